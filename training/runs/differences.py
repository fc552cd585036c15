"""What differs between a run as it was begun and as it is asked for, in a few words."""

from collections.abc import Mapping

from model.schema import dump

MOST_CHARACTERS = 60
"""Of a value, in a message."""
NONE = "none"


def first_difference(before: object, now: object, where: str) -> str:
    """The first field that differs, with both values; empty where nothing does.

    >>> first_difference({"stopping": {"steps": 20}}, {"stopping": {"steps": 40}}, "")
    'stopping.steps 20, now 40'

    Args:
        before: a dataclass, or JSON values.
        now: the same, of which fields may have other values.
        where: path of both in a larger document.
    """
    one, other = dump(before), dump(now)
    if one == other:
        return ""
    inside: dict[str, tuple[object, object]] = {}
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        dot = "." if where else ""
        inside = {f"{where}{dot}{name}": (one.get(name), other.get(name)) for name in (*one, *other)}
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = zip(one, other, strict=True)
        inside = {f"{where}[{index}]": both for index, both in enumerate(pairs)}
    for path, both in inside.items():
        if found := first_difference(*both, path):
            return found
    return f"{where} {_shown(one)}, now {_shown(other)}"


def _shown(value: object) -> str:
    text = NONE if value is None else str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
