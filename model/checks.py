"""Value checks of documents.

Each raises the `ValueError` that `model.schema.parse` puts the path in front of.
"""

import math

MOST_SHOWN = 80
"""Characters of a text that is refused."""


def check(condition: bool, message: str) -> None:
    """Refuse a document with a message that begins with the field's name.

    Raises:
        ValueError: the condition does not hold.
    """
    if not condition:
        raise ValueError(message)


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside a range, both ends included.

    Raises:
        ValueError: it is outside, or not a number.
    """
    if not low <= value <= high:
        raise ValueError(f"{name}: must be {low:g} to {high:g}, is {_shown(value)}")


def _shown(value: float) -> str:
    try:
        return f"{value:g}"
    except OverflowError:  # A whole number that no float holds.
        return "a number of too many digits"


def check_finite(name: str, value: float) -> None:
    """Refuse infinity and NaN.

    Raises:
        ValueError: the value is one of them.
    """
    check(math.isfinite(value), f"{name}: must be finite, is {value}")


def check_printable(name: str, text: str) -> None:
    r"""Refuse a text that would do something to a terminal or begin a line of its own.

    >>> check_printable("name", "a\nb")
    Traceback (most recent call last):
    ValueError: name: must hold printable characters only, is 'a\nb'

    Raises:
        ValueError: it holds control characters, line breaks or the like.
    """
    check(text.isprintable(), f"{name}: must hold printable characters only, is {text[:MOST_SHOWN]!r}")
