"""`python -m training untrained`: a bundle with random weights, to measure time and memory of a network.

exit codes: 0 written; 1 the folder is there already, or cannot be written; 2 wrong call
"""

import argparse
from pathlib import Path

WORK = "training.commands.work.untrained_work"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `untrained`."""
    parser.add_argument("--output", type=Path, required=True, help="bundle folder to write")
    parser.add_argument("--seed", type=int, default=0, help="of the weights (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle that is already there")
