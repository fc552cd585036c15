"""`python -m training export`: checkpoints become a bundle, if onnxruntime computes what torch computes."""

import argparse
import logging
from pathlib import Path

from model.commands.packaging_options import add_fp16, add_statement
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
    add_statement(parser)
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="data set whose first case is compared on as well (default: synthetic windows)",
    )
    add_overrides(
        parser, "how the networks are run, instead of as recipes say, e.g. inference.tiling.overlap=0.25"
    )
    add_fp16(parser)


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
        licence=arguments.licence or "not stated",
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
