"""How far the members of an ensemble agree: each one's own winners, compared on a coarse grid.

Members are averaged as their windows come, so that none has a result of its own. What each would have said
is kept at points about `POINTS_MM` apart, taken from the one window in whose middle part a point lies: one
byte a point and member, and some thousandths of a window's time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from inference.restoration.winners import Rule, decide
from inference.sliding_window.placement import starts_of
from model.arrays import F32, U8, Zyx, ZyxMm
from model.manifest.network import Member

POINTS_MM = 5.0
MOST_POINTS = 1 << 19
"""Points are farther apart where there would be more."""
FEWEST_POINTS = 40
"""Dice of structures that both members see at fewer points together is left out."""

Span = tuple[int, int]
Index = NDArray[np.intp]


def points_over(size_zyx: Zyx, spacing_zyx_mm: ZyxMm) -> Zyx:
    """How many points there are along each axis of a region of an image, `MOST_POINTS` at most.

    >>> points_over((100, 512, 512), (3.0, 0.625, 0.625))
    (60, 64, 64)
    """
    size_mm = [size * spacing for size, spacing in zip(size_zyx, spacing_zyx_mm, strict=True)]
    apart_mm = POINTS_MM
    while True:
        z, y, x = (max(1, ceil(length / apart_mm)) for length in size_mm)
        if z * y * x <= MOST_POINTS:
            return z, y, x
        apart_mm *= 1.1


class Ballot:
    """One member's winners at the points of a region.

    Args:
        points: how many there are along z, y and x.
        grid_zyx: size of the member's grid over the region.
        member: its windows.
        rule: what the scores of its windows are.
    """

    def __init__(self, points: Zyx, grid_zyx: Zyx, member: Member, rule: Rule) -> None:
        self.winners: U8 = np.zeros(points, np.uint8)
        """(z, y, x); background where no window ran."""
        self._rule = rule
        self._axes = [
            _Axis.of(count, size, window, starts)
            for count, size, window, starts in zip(
                points, grid_zyx, member.window_zyx, starts_of(member, grid_zyx), strict=True
            )
        ]

    def add(self, scores: F32, start: Zyx) -> None:
        """Take the points for which a window counts most.

        Args:
            scores: (channels, z, y, x) of the window.
            start: where it begins on the member's grid.
        """
        spans = [axis.points_of(first) for axis, first in zip(self._axes, start, strict=True)]
        z, y, x = (
            axis.voxels[low:high] - first
            for axis, (low, high), first in zip(self._axes, spans, start, strict=True)
        )
        (z0, z1), (y0, y1), (x0, x1) = spans
        for winners, k in zip(self.winners[z0:z1, y0:y1, x0:x1], z, strict=True):  # All at once take memory.
            winners[...] = decide(scores[:, k, y[:, None], x], self._rule)


@dataclass(frozen=True, kw_only=True)
class _Axis:
    """Points along one axis, and the windows in whose middle they lie."""

    voxels: Index
    """(points,) the voxel of the member's grid at each."""
    bounds: Mapping[int, Span]
    """First and one past the last point of each window, by its start."""

    @classmethod
    def of(cls, points: int, size: int, window: int, starts: Sequence[int]) -> "_Axis":
        voxels = ((np.arange(points) + 0.5) * size / points).astype(np.intp)
        # Half-way between the middles of neighbouring windows one begins to count more than the other.
        edges = [0.0, *((a + b + window) / 2 for a, b in pairwise(starts)), float(size)]
        places = np.searchsorted(voxels, edges)
        spans = zip(starts, pairwise(places), strict=True)
        return cls(voxels=voxels, bounds={start: (int(low), int(high)) for start, (low, high) in spans})

    def points_of(self, start: int) -> Span:
        return self.bounds.get(start, (0, 0))


def agreement(ballots: Sequence[U8], structures: int) -> dict[int, float]:
    """Mean Dice between every two members, by the number of the structure among decisions, from 1.

    Of structures that no two members see at `FEWEST_POINTS` points together, nothing is said.

    >>> one, other = np.zeros((2, 4, 5, 10), np.uint8)
    >>> one[:2], other[1:3] = 1, 1
    >>> agreement([one, other], 1)
    {1: 0.5}
    """
    dice: dict[int, list[float]] = {}
    for one, other in combinations(ballots, 2):
        for number, value in _dice(one, other, structures):
            dice.setdefault(number, []).append(value)
    return {number: float(np.mean(values)) for number, values in sorted(dice.items())}


def _dice(one: U8, other: U8, structures: int) -> Iterator[tuple[int, float]]:
    counts = [np.bincount(each.ravel(), minlength=structures + 1) for each in (one, other, one[one == other])]
    for number in range(1, structures + 1):
        a, b, both = (int(count[number]) for count in counts)
        if a + b >= FEWEST_POINTS:
            yield number, 2 * both / (a + b)
