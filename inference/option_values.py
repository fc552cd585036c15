"""Values of options that several command lines take; imports nothing heavy."""

import argparse


def at_least_one(text: str) -> int:
    """A whole number, 1 or more.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number, 1 or more")
    return int(text)
