"""What differs between a run as it was begun and as it is asked for, in a few words."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from model.schema import dump

MOST_CHARACTERS = 60
"""Of a value, in a message."""
MOST_NAMES = 3
"""Of those that are more, or fewer, in a message."""
NONE = "none"


def first_difference(before: object, now: object, where: str) -> str:
    """The first field that differs, with both values; empty where nothing does.

    Of lists of names it tells which are more now, and which fewer.

    >>> first_difference({"stopping": {"steps": 20}}, {"stopping": {"steps": 40}}, "")
    'stopping.steps 20, now 40'
    >>> first_difference(["a", "b"], ["b", "c"], "cases")
    'cases now 1 more: c; 1 fewer: a'

    Args:
        before: a dataclass, or JSON values.
        now: the same, of which fields may have other values.
        where: path of both in a larger document.
    """
    if before == now:
        return ""
    one, other = _parts(before), _parts(now)
    inside: dict[str, tuple[object, object]] = {}
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        dot = "." if where else ""
        inside = {f"{where}{dot}{name}": (one.get(name), other.get(name)) for name in (*one, *other)}
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if all(isinstance(name, str) for name in (*one, *other)):
            return f"{where} {_other_names(one, other)}".strip()
        if len(one) == len(other):
            pairs = zip(one, other, strict=True)
            inside = {f"{where}[{index}]": both for index, both in enumerate(pairs)}
    for path, both in inside.items():
        if found := first_difference(*both, path):
            return found
    return f"{where} {_shown(before)}, now {_shown(now)}".strip()


def _parts(value: object) -> object:
    """The fields of a dataclass that count where it is compared, but for those that are not stated."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    counted = [field.name for field in dataclasses.fields(value) if field.compare]
    return {name: getattr(value, name) for name in counted if getattr(value, name) is not None}


def _other_names(before: Sequence[str], now: Sequence[str]) -> str:
    was, is_now = Counter(before), Counter(now)
    more, fewer = list((is_now - was).elements()), list((was - is_now).elements())
    changes = [
        f"{len(names)} {how}: {some_of(names)}" for names, how in ((more, "more"), (fewer, "fewer")) if names
    ]
    return f"now {'; '.join(changes)}" if changes else "now in another order"


def some_of(names: Sequence[str]) -> str:
    """The first few of names, and how many others there are.

    >>> some_of(["a", "b", "c", "d", "e"])
    'a, b, c and 2 others'
    """
    left = len(names) - MOST_NAMES
    if left <= 1:  # One more name takes no more room than "1 other".
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMES])} and {left} others"


def _shown(value: object) -> str:
    text = NONE if value is None else str(dump(value))
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
