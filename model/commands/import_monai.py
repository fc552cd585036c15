"""A trained model of MONAI: a bundle of the model zoo, or the folds of Auto3DSeg's SegResNet.

Reads configurations and checkpoints without running what they hold: a value that MONAI would evaluate as
Python is refused by name, as is a transform or an argument that a bundle cannot state exactly.

exit codes: 0 written; 1 the exported network does not compute what the original does; 2 refused, with the
reason; in both cases nothing is written
"""

import argparse
import logging
from pathlib import Path

from model.commands.packaging_options import add_packaging, add_priority, packaging_of

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `import monai`."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="CHECKPOINT_OR_BUNDLE",
        help="bundle of the model zoo (folder or zip), or folder of Auto3DSeg with segresnet_0 …",
    )
    parser.add_argument(
        "--folds", nargs="+", default=[], metavar="FOLD", help="of Auto3DSeg (default: all that are there)"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="in the bundle's or each fold's folder (default: models/model.pt or model/model.pt)",
    )
    add_priority(parser)
    add_packaging(parser)


def run(arguments: argparse.Namespace) -> int:
    """Import as the command line says.

    Raises:
        RefusedModelError: it is no such model, or one that cannot be expressed.
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: the memory of a network could not be measured.
        BundleError: there is something else at `--output`.
    """
    from model.importers.monai.importing import import_monai  # Needs torch, which --help does not.

    bundle = import_monai(
        arguments.model,
        arguments.output,
        packaging_of(arguments),
        folds=arguments.folds,
        checkpoint=arguments.checkpoint,
        priority=arguments.priority,
    )
    logger.info("done: %s", bundle.folder)
    return 0
