"""What `python -m model import nnunet` and `import monai` do."""

import argparse
import logging

from model.commands.packaging_options import packaging_of
from model.importers.monai.importing import import_monai
from model.importers.nnunet import import_nnunet

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Import as the command line says.

    Raises:
        RefusedModelError: it is no such model, or one that cannot be expressed.
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: the memory of a network could not be measured.
        BundleError: there is something else at `--output`.
    """
    model, folder, packaging = arguments.model, arguments.output, packaging_of(arguments)
    if arguments.what == "nnunet":
        bundle = import_nnunet(
            model,
            folder,
            packaging,
            configuration=arguments.configuration,
            folds=arguments.folds,
            checkpoint=arguments.checkpoint,
            any_trainer=arguments.any_trainer,
        )
    else:
        bundle = import_monai(
            model,
            folder,
            packaging,
            folds=arguments.folds,
            checkpoint=arguments.checkpoint,
            priority=arguments.priority,
        )
    logger.info("done: %s", bundle.folder)
    return 0
