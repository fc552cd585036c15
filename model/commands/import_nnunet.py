"""A trained model of nnU-Net v2: plain and residual-encoder U-Nets, any plans, any folds.

Reads `plans.json`, `dataset.json` and `fold_*/checkpoint_final.pth`. nnU-Net itself is not needed, and
checkpoints are read without running what they hold.

exit codes: 0 written; 1 the exported network does not compute what the original does; 2 refused, with the
reason; in both cases nothing is written
"""

import argparse
from pathlib import Path

from model.commands.packaging_options import add_packaging
from model.importers.nnunet_folder import DEFAULT_CHECKPOINT, DEFAULT_CONFIGURATION

WORK = "model.commands.work.import_trained_work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `import nnunet`."""
    parser.add_argument(
        "model",
        type=Path,
        metavar="RESULTS_DIR_OR_ZIP",
        help="folder with plans.json, one that holds such a folder, or a zip of nnUNetv2_export_model_to_zip",
    )
    parser.add_argument(
        "--configuration",
        metavar="NAME",
        help=f"which one, if there are several (default: {DEFAULT_CONFIGURATION})",
    )
    parser.add_argument(
        "--folds", nargs="+", default=[], metavar="FOLD", help="0 to 4, or all (default: all that are there)"
    )
    parser.add_argument(
        "--checkpoint", default=DEFAULT_CHECKPOINT, metavar="FILE", help="in each fold (default: %(default)s)"
    )
    parser.add_argument(
        "--any-trainer",
        action="store_true",
        help="take a trainer that nnU-Net does not have, on your word that it builds the plans' network",
    )
    parser.add_argument(
        "--any-window",
        action="store_true",
        help="write files that take windows of any size, so that `verify --explore` can try others",
    )
    add_packaging(parser)
