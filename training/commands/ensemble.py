"""`python -m training ensemble`: several bundles become one, such as the final models of different recipes.

Each bundle's members are averaged and cleaned up by themselves, then the results are averaged (`--fuse
cleaned`, as the AMOS22 entry with large batches and large patches does); or all members become one ensemble
(`--fuse members`). Exit codes: 0 done, 1 the bundles do not go together, 2 wrong call.
"""

import argparse
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from model.bundle import ModelBundle, load_bundle
from training.bundling.description import Statement
from training.bundling.joining import Fuse, join_bundles
from training.training_errors import RecipeError

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `ensemble`."""
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="bundle folders, two or more")
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--fuse",
        choices=get_args(Fuse),
        default="cleaned",
        help="cleaned: each bundle is cleaned up before all are averaged; members: after (default: "
        "%(default)s)",
    )
    parser.add_argument(
        "--weights",
        nargs="+",
        type=float,
        metavar="W",
        help="share of each bundle, relative to the others (default: all the same)",
    )
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    parser.add_argument("--licence", help="licence of the weights (default: those of the bundles)")
    parser.add_argument("--intended-use", help="what the model is for (default: as the bundles say)")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")


def run(arguments: argparse.Namespace) -> int:
    """Join as the command line says.

    Raises:
        RecipeError: the call is faulty.
        BundleError: a bundle is missing or damaged, or there is something else at `--output`.
        ExportError: the bundles do not go together.
    """
    _check(arguments)
    bundles = [load_bundle(folder) for folder in arguments.bundles]
    stated = [bundle.manifest.provenance for bundle in bundles]
    statement = Statement(
        name=arguments.name or arguments.output.name,
        licence=arguments.licence or "; ".join(dict.fromkeys(each.licence for each in stated)),
        intended_use=arguments.intended_use or " ".join(dict.fromkeys(each.intended_use for each in stated)),
    )
    joined = join_bundles(
        arguments.output,
        bundles,
        statement,
        fuse=arguments.fuse,
        weights=arguments.weights,
        overwrite=arguments.overwrite,
    )
    _say(joined, bundles)
    return 0


def _check(arguments: argparse.Namespace) -> None:
    folders: Sequence[Path] = arguments.bundles
    if len(folders) < 2:
        raise RecipeError(f"{folders[0]}: is one bundle alone; give two or more")
    for weight in arguments.weights or ():
        if not (weight > 0 and math.isfinite(weight)):
            raise RecipeError(f"--weights: must be above 0, is {weight:g}")


def _say(joined: ModelBundle, bundles: Sequence[ModelBundle]) -> None:
    manifest = joined.manifest
    logger.info(
        "%d bundles, %d members, fusion %s of %s",
        len(bundles),
        len(manifest.members),
        manifest.fusion.kind,
        "; ".join(bundle.manifest.name for bundle in bundles),
    )
    logger.info("done: %s", joined.folder)
