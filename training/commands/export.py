"""`python -m training export`: checkpoints become a bundle, if onnxruntime computes what torch computes."""

import argparse
import logging
from pathlib import Path

from training.bundling.description import Statement
from training.bundling.ensemble import write_ensemble
from training.bundling.trained import load_ensemble
from training.commands.options import add_overrides

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `export`."""
    parser.add_argument(
        "checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="members of the ensemble, in order"
    )
    parser.add_argument(
        "--localization", type=Path, metavar="CHECKPOINT", help="network that finds the region of interest"
    )
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="data set whose first case is compared on as well (default: synthetic windows)",
    )
    parser.add_argument("--name", help="name of the bundle (default: the folder's)")
    parser.add_argument("--licence", default="not stated", help="licence of the weights")
    parser.add_argument(
        "--intended-use", default="Research only; not a medical device.", help="what the model is for"
    )
    add_overrides(
        parser, "how the networks are run, instead of as recipes say, e.g. inference.tiling.overlap=0.25"
    )
    parser.add_argument(
        "--no-fp16",
        action="store_true",
        help="leave out the second file of each member, with which GPUs compute in fp16",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")


def run(arguments: argparse.Namespace) -> int:
    """Export as the command line says.

    Raises:
        CheckpointError: a checkpoint is not usable.
        RecipeError: an override is faulty.
        ExportError: the checkpoints do not make an ensemble.
        DataError: the data set to compare on is not usable.
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: the memory of a network could not be measured.
        BundleError: there is something else at `--output`.
    """
    members, localization = load_ensemble(arguments.checkpoints, arguments.localization, arguments.overrides)
    statement = Statement(
        name=arguments.name or arguments.output.name,
        licence=arguments.licence,
        intended_use=arguments.intended_use,
    )
    bundle = write_ensemble(
        arguments.output,
        members,
        localization,
        statement,
        data=arguments.data,
        fp16=not arguments.no_fp16,
        overwrite=arguments.overwrite,
    )
    logger.info("done: %s", bundle.folder)
    return 0
