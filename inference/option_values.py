"""Options, and values of options, that several command lines take; imports nothing heavy."""

import argparse
from pathlib import Path


def at_least_one(text: str) -> int:
    """A whole number, 1 or more.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 1 or more")
    return int(text)


def add_statistics(parser: argparse.ArgumentParser) -> None:
    """Declare `--statistics`."""
    parser.add_argument(
        "--statistics",
        type=Path,
        metavar="FILE",
        help="write volume, mean and deviation of HU and extent of each organ of each case, as FILE.csv and "
        "FILE.json",
    )
