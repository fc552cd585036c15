"""Options, and values of options, that several command lines take; imports nothing heavy."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Once(argparse.Action):
    """Stores an option's value, and refuses a second one: of two folders only the last would be taken.

    `parser.register("action", None, Once)` makes all options so that name no action.
    """

    _is_given = False

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Store the value, once a command line.

        Raises:
            ArgumentError: there is one already.
        """
        if self._is_given:
            raise argparse.ArgumentError(self, "is given twice, and takes one value; leave one of them out")
        self._is_given = True
        setattr(namespace, self.dest, values)


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
