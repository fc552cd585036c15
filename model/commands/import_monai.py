"""A trained model of MONAI: a bundle of the model zoo, or the folds of Auto3DSeg's SegResNet.

Reads configurations and checkpoints without running what they hold: a value that MONAI would evaluate as
Python is refused by name, as is a transform or an argument that a bundle cannot state exactly.

exit codes: 0 written; 1 the exported network does not compute what the original does; 2 refused, with the
reason; in both cases nothing is written
"""

import argparse
from pathlib import Path

from model.commands.packaging_options import add_packaging, add_priority

WORK = "model.commands.work.import_trained_work"


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
