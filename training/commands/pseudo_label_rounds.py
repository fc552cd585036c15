"""Compare the pseudo-labels of successive rounds, and keep the cases that are stable.

How unstable a case is (u): the voxels that changed since the round before, as a share of the foreground; the
mean over the rounds after the first. Cases with u up to --most-unstable make a data set, with the labels of
the last round; `stability.csv` and `stability.png` in it show all cases.

exit codes: 0 done; 1 failed; 2 wrong call
"""

import argparse
import math
from pathlib import Path

from training.commands.options import add_workers, check_workers
from training.pseudo_labels.selection import read_rounds, write_stable
from training.pseudo_labels.stability import MOST_UNSTABLE
from training.training_errors import RecipeError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line of `pseudo-label rounds`."""
    parser.add_argument(
        "rounds",
        nargs="+",
        type=Path,
        metavar="ROUND",
        help="data sets that `pseudo-label unlabelled` wrote, in the order of the rounds",
    )
    parser.add_argument(
        "--most-unstable",
        type=float,
        default=MOST_UNSTABLE,
        metavar="U",
        help="highest u of a case that is kept (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="data-set folder to write")
    add_workers(parser, "read label maps")


def run(arguments: argparse.Namespace) -> int:
    """Select as the command line says.

    Raises:
        DataError: the rounds are not usable or hold different cases, no case is stable, or there is something
            else at `--output`.
        RecipeError: the call is faulty.
    """
    check_workers(arguments)
    if len(arguments.rounds) < 2:
        raise RecipeError(f"{arguments.rounds[0]}: is a single round; give two or more")
    places = [one.resolve() for one in arguments.rounds]
    twice = [one for one in arguments.rounds if places.count(one.resolve()) > 1]
    if twice:
        raise RecipeError(f"{twice[0]}: is given twice; give each round once")
    threshold: float = arguments.most_unstable
    if not (math.isfinite(threshold) and threshold >= 0):
        raise RecipeError(f"--most-unstable: must be 0 or more, is {threshold:g}")
    rounds = read_rounds(arguments.rounds)
    write_stable(arguments.output, arguments.rounds, rounds, threshold, arguments.workers)
    return 0
