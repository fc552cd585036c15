"""The reference pages, made from dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import pytest

from docs.generate import HERE, PAGES, Page, reachable, render


@dataclass(frozen=True, kw_only=True)
class Round:
    """A ball.

    Args:
        radius_mm: not looked at, for the string under the field is nearer.
        holes: how many
            there are.

    Raises:
        ValueError: too many holes.
    """

    kind: Literal["round"] = "round"
    radius_mm: float = 2.0
    """Half of
    its width."""
    holes: int = 0


@dataclass(frozen=True, kw_only=True)
class Flat:
    """A plate:

        ____

    thin.
    """

    kind: Literal["flat"] = "flat"


@dataclass(frozen=True, kw_only=True)
class Named:
    name: str
    """What it is called."""


@dataclass(frozen=True, kw_only=True)
class Box(Named):
    """What is in the box."""

    things: tuple[Round | Flat, ...] = ()
    """In any order."""
    first: Round = field(default_factory=Round)
    second: Round = field(default_factory=lambda: Round(holes=9))
    size_zyx: tuple[int, int, int] | None = None
    colours: Mapping[str, Literal["red", "blue"]]


PAGE = """\
# Boxes

<!-- Made by `make docs` from the docstrings; change them, not this page. -->

About boxes.

## Box

What is in the box.

- **`name`** (text; required): What it is called.
- **`things`** (list of: [round](#round) or [flat](#flat); default `[]`): In any order.
- **`first`** ([round](#round); default `round`)
- **`second`** ([round](#round); default `{"kind": "round", "radius_mm": 2.0, "holes": 9}`)
- **`size_zyx`** (null or list of 3: whole number; default `null`)
- **`colours`** (mapping from name to: `red` or `blue`; required)

## Round

`kind: round`

A ball.

- **`radius_mm`** (number; default `2.0`): Half of its width.
- **`holes`** (whole number; default `0`): how many there are.

## Flat

`kind: flat`

A plate:

```
____
```

thin.
"""


def test_a_page_by_hand():
    page = Page(title="Boxes", introduction="About boxes.", module=__name__, root="Box")
    assert reachable(Box) == [Box, Round, Flat]
    assert render(page) == PAGE


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_current(name):
    assert (HERE / name).read_text(encoding="utf-8") == render(PAGES[name]), "run `make docs`"
