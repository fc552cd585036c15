"""`python -m training export`: checkpoints become a bundle, if onnxruntime computes what torch computes.

exit codes: 0 written; 1 onnxruntime computes something else, or checkpoints do not go together; 2 wrong call,
or a checkpoint that is not there; in both cases nothing is written
"""

import argparse
from pathlib import Path

from model.commands.packaging_options import add_fp16, add_statement
from training.commands.options import add_overrides

WORK = "training.commands.work.export_work"


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
