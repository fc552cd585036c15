"""What `python -m training export` does."""

import argparse
import logging

from training.bundling.description import Statement
from training.bundling.ensemble import write_ensemble
from training.bundling.trained import load_ensemble

logger = logging.getLogger(__name__)


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
