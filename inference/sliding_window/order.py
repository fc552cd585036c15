"""Which windows of an image are run: all of a grid, or the middle of the body first.

And which hold nothing to find.

Arrays are (z, y, x); window starts may be negative, see `placement.window_starts`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from inference.restoration.winners import Rule
from inference.sliding_window.placement import Slices, covered, starts_of, window_starts
from model.arrays import F32, Mask, Zyx
from model.labels import BACKGROUND
from model.manifest.network import Member
from model.manifest.tiling import CentreFirst

RunWindow = Callable[[Zyx], F32 | None]
"""Runs the window with this start and takes its result in; its probabilities, or None where it was
skipped."""


@dataclass(frozen=True)
class Rows:
    """The slices of an image that one row of windows covers."""

    voxels: F32
    """(channels, z, y, x), normalized; all of y and x."""
    origin: int
    """The image's slice that is the first of these."""
    size_zyx: Zyx
    """Size of the whole image."""


@dataclass
class WindowCount:
    """Windows of a case."""

    run: int = 0
    skipped: int = 0

    @property
    def seen(self) -> int:
        """Windows that are done with, run or skipped."""
        return self.run + self.skipped


class AllWindowsOrder:
    """Every window of the grid, from front to back, then from right to left."""

    def __init__(self, member: Member, size_zyx: Zyx) -> None:
        _, self._y, self._x = starts_of(member, size_zyx)

    def row(self, z: int, run: RunWindow) -> int:
        """Run the windows that begin at slice `z`; returns how many were left out unseen: none."""
        for y, x in product(self._y, self._x):
            run((z, y, x))
        return 0


@dataclass
class CentreFirstOrder:
    """Three by three windows around the middle of each level, the centre first.

    See `model.manifest.tiling.CentreFirst`.

    Neighbours overlap by half. The eight around the centre are left out where its result shows that they hold
    nothing. What lies outside the nine windows is background. Voxels are counted on the network's grid, as
    published. A level that is looked at again is left out again, whatever levels came before it this time.
    """

    centre_first: CentreFirst
    window_zyx: Zyx
    size_zyx: Zyx
    channels: tuple[str, ...]
    """Names of the scores' channels; background first under softmax."""
    rule: Rule
    _skip_next: bool = field(default=False, init=False)
    _left_out: dict[int, bool] = field(default_factory=dict, init=False)
    """Whether the level that begins at a slice was left out when it was first looked at."""

    def row(self, z: int, run: RunWindow) -> int:
        """Run the windows that begin at slice `z`; returns how many were left out unseen."""
        ys, xs = (three_starts(self.size_zyx[axis], self.window_zyx[axis]) for axis in (1, 2))
        centre = (z, ys[len(ys) // 2], xs[len(xs) // 2])
        around = [(z, y, x) for y, x in product(ys, xs) if (z, y, x) != centre]
        skip, self._skip_next = self._left_out.setdefault(z, self._skip_next), False
        if skip:
            return 1 + len(around)
        scores = run(centre)
        if scores is None or not self._goes_on(scores):
            return len(around)
        for start in around:
            run(start)
        return 0

    def _goes_on(self, scores: F32) -> bool:
        """Whether the centre's result (channels, z, y, x) calls for the windows around it."""
        settings = self.centre_first
        passing = [i for i, name in enumerate(self.channels) if name in settings.passing_through]
        others = [i for i, name in enumerate(self.channels) if i not in passing and name != BACKGROUND]
        rest = scores[0] if self.rule.softmax else self.rule.threshold
        best_other = scores[others].max(axis=0, initial=-np.inf)
        best_passing = scores[passing].max(axis=0, initial=-np.inf)
        foreground = np.maximum(best_other, best_passing) > rest
        if np.count_nonzero(foreground) < settings.least_foreground:
            self._skip_next = True
            return False
        anterior = foreground[:, : round(settings.anterior_share * foreground.shape[1])]
        if np.count_nonzero(anterior) < settings.least_anterior:
            return False
        stays = (foreground & (best_other >= best_passing)).any()
        return bool(stays or foreground[:, 0].any() or foreground[:, -1].any())


WindowOrder = AllWindowsOrder | CentreFirstOrder


def order_of(member: Member, size_zyx: Zyx, channels: tuple[str, ...], rule: Rule) -> WindowOrder:
    """The order in which a member's windows run on a grid."""
    order = member.tiling.order
    if isinstance(order, CentreFirst):
        return CentreFirstOrder(order, member.window_zyx, size_zyx, channels, rule)
    return AllWindowsOrder(member, size_zyx)


def three_starts(size: int, window: int) -> tuple[int, ...]:
    """Starts of three half-overlapping windows around the middle of an axis, inside the image.

    Fewer where they coincide.

    Size 20, window 8: 2, 6, 10. Size 12: 0, 2, 4, since the outer ones would stick out. Size 8 or less: one
    window.
    """
    middle = (size - window) // 2
    if size <= window:
        return window_starts(size, window, 0)
    return tuple(sorted({max(0, middle - window // 2), middle, min(size - window, middle + window // 2)}))


@dataclass(frozen=True)
class Air:
    """How air is told in a network's input."""

    channel: int
    """That shows it: a CT."""
    up_to: float
    """Value of the input up to which a voxel is air."""


class Relevance:
    """Says of a window whether anything can be found in it.

    Args:
        air: how air is told; None where it cannot be.
        region: (z, y, x) where organs may be, on any grid that spans the image edge to edge; None for
            everywhere.
    """

    def __init__(self, air: Air | None = None, region: Mask | None = None) -> None:
        self._air = air
        self._region = region

    def __call__(self, rows: Rows, start: Zyx, window_zyx: Zyx) -> bool:
        """Whether the window holds more than air and touches the region."""
        (z, y, x), _ = covered(start, window_zyx, rows.size_zyx)
        if self._region is not None:
            part = tuple(touched((z, y, x), rows.size_zyx, self._region.shape))
            if not self._region[part].any():
                return False
        if self._air is None:
            return True
        inside = rows.voxels[self._air.channel, z.start - rows.origin : z.stop - rows.origin, y, x]
        return bool(inside.max() > self._air.up_to)


def touched(inside: Slices, size: Zyx, other: tuple[int, ...]) -> Iterator[slice]:
    """The voxels of another grid, over the same box edge to edge, that a box of this one touches."""
    for part, n, m in zip(inside, size, other, strict=True):
        yield slice(part.start * m // n, -(-part.stop * m // n))
