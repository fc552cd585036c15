"""What the benchmarks that start programs have in common on the command line."""

import argparse
import sys
from pathlib import Path

from eval.eval_errors import JudgingError


def add_run_options(parser: argparse.ArgumentParser, repeats: str) -> None:
    """Declare how runs are made; `repeats` explains the option of that name."""
    add = parser.add_argument
    add("--repeats", type=int, default=3, metavar="N", help=f"{repeats} (default: %(default)s)")
    add(
        "--threads",
        type=int,
        default=0,
        metavar="N",
        help="threads of the networks (default: as each library chooses)",
    )
    add(
        "--timeout",
        type=float,
        default=3600.0,
        metavar="S",
        help="seconds after which a run is stopped (default: %(default)s)",
    )


def say(text: str) -> None:
    """Tell of progress on a line of its own."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def output_folder(given: Path) -> Path:
    """The whole path of the folder for all files.

    Raises:
        JudgingError: it is a file.
    """
    output = given.resolve()
    if output.exists() and not output.is_dir():
        raise JudgingError(f"{output}: is a file; give a folder with --output")
    return output
