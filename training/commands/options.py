"""Options that several commands have."""

import argparse
import os

from training.training_errors import RecipeError


def add_workers(parser: argparse.ArgumentParser, does: str) -> None:
    """Declare `--workers`, a number of threads.

    Args:
        parser: of the command.
        does: what the threads do, e.g. `read files`.
    """
    parser.add_argument(
        "--workers",
        type=int,
        default=min(4, os.cpu_count() or 1),
        help=f"threads that {does} (default: %(default)s)",
    )


def check_workers(arguments: argparse.Namespace) -> None:
    """Refuse a number of threads below 1.

    Raises:
        RecipeError: it is below 1.
    """
    if arguments.workers < 1:
        raise RecipeError("--workers: must be 1 or more")


def add_overrides(parser: argparse.ArgumentParser, text: str) -> None:
    """Declare `--set FIELD=VALUE`, which may be repeated; kept as `overrides`, a list of words."""
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="FIELD=VALUE", help=text
    )
