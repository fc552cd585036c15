"""What `python -m training ensemble` does."""

import argparse
import logging
import math
from collections.abc import Sequence
from pathlib import Path

from model.bundle import ModelBundle, load_bundle
from training.bundling.description import Statement
from training.bundling.joining import join_bundles
from training.training_errors import RecipeError

logger = logging.getLogger(__name__)


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
