"""Which windows of an image are run: all of a grid, or the middle of the body first.

And which hold nothing to find.

Arrays are (z, y, x); window starts may be negative, see `placement.window_starts`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from inference.sliding_window.placement import Slices, covered, window_starts
from model.manifest import Member, Zyx

F32 = NDArray[np.float32]
RunWindow = Callable[[Zyx], F32 | None]
"""Runs the window with this start and takes its result in; its probabilities, or None where it was
skipped."""

LEAST_FOREGROUND = 1000
LEAST_ANTERIOR = 500
ANTERIOR = 0.6
TUBES = frozenset({"aorta", "inferior vena cava", "esophagus"})


@dataclass(frozen=True)
class Rows:
    """The slices of an image that one row of windows covers."""

    voxels: F32
    """(z, y, x), normalized; all of y and x."""
    origin: int
    """The image's slice that is the first of these."""
    size_zyx: Zyx
    """Of the whole image."""


@dataclass
class WindowCount:
    """Windows of a case."""

    run: int = 0
    skipped: int = 0


class FullGrid:
    """Every window of the grid, from front to back, then from right to left."""

    def __init__(self, member: Member, size_zyx: Zyx) -> None:
        self._y, self._x = (
            window_starts(size_zyx[axis], member.window_zyx[axis], member.overlap) for axis in (1, 2)
        )

    def row(self, z: int, run: RunWindow) -> int:
        """Run the windows that begin at slice `z`; returns how many were left out unseen: none."""
        for y, x in product(self._y, self._x):
            run((z, y, x))
        return 0


@dataclass
class CentreFirst:
    """Three by three windows around the middle of each level, the centre first (FLARE22 winner, efficient inference).

    Neighbours overlap by half. The eight around the centre are left out where its result shows that they hold
    nothing:

    - under 1000 foreground voxels: then the next level is left out too;
    - under 500 foreground voxels in its anterior 60 %;
    - nothing but aorta, vena cava and esophagus, none of which touches its anterior or posterior edge.

    What lies outside the nine windows is background. Voxels are counted on the model's grid, as published. A
    level that is looked at again is left out again, whatever levels came before it this time.
    """

    member: Member
    size_zyx: Zyx
    channels: tuple[str, ...]
    """Names of the probabilities' channels; background first under softmax."""
    _skip_next: bool = field(default=False, init=False)
    _left_out: dict[int, bool] = field(default_factory=dict, init=False)
    """Whether the level that begins at a slice was left out when it was first looked at."""

    def row(self, z: int, run: RunWindow) -> int:
        """Run the windows that begin at slice `z`; returns how many were left out unseen."""
        ys, xs = (three_starts(self.size_zyx[axis], self.member.window_zyx[axis]) for axis in (1, 2))
        centre = (z, ys[len(ys) // 2], xs[len(xs) // 2])
        around = [(z, y, x) for y, x in product(ys, xs) if (z, y, x) != centre]
        skip, self._skip_next = self._left_out.setdefault(z, self._skip_next), False
        if skip:
            return 1 + len(around)
        probabilities = run(centre)
        if probabilities is None or not self._goes_on(probabilities):
            return len(around)
        for start in around:
            run(start)
        return 0

    def _goes_on(self, probabilities: F32) -> bool:
        """Whether the centre's result (channels, z, y, x) calls for the windows around it."""
        tubes = [i for i, name in enumerate(self.channels) if name in TUBES]
        others = [i for i, name in enumerate(self.channels) if name not in TUBES and name != "background"]
        rest = probabilities[0] if self.channels[0] == "background" else np.float32(0.5)
        best_other = probabilities[others].max(axis=0, initial=0)
        best_tube = probabilities[tubes].max(axis=0, initial=0)
        foreground = np.maximum(best_other, best_tube) > rest
        if np.count_nonzero(foreground) < LEAST_FOREGROUND:
            self._skip_next = True
            return False
        if np.count_nonzero(foreground[:, : round(ANTERIOR * foreground.shape[1])]) < LEAST_ANTERIOR:
            return False
        return bool(
            (foreground & (best_other >= best_tube)).any()
            or foreground[:, 0].any()
            or foreground[:, -1].any()
        )


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


class Relevance:
    """Says of a window whether anything can be found in it.

    Args:
        air: value of the normalized image up to which a voxel is air; None where air cannot be told.
        region: (z, y, x) where organs may be, on any grid that spans the image edge to edge; None for
            everywhere.
    """

    def __init__(self, air: float | None = None, region: NDArray[np.bool_] | None = None) -> None:
        self._air = air
        self._region = region

    def __call__(self, rows: Rows, start: Zyx, window_zyx: Zyx) -> bool:
        """Whether the window holds more than air and touches the region."""
        (z, y, x), _ = covered(start, window_zyx, rows.size_zyx)
        if (
            self._region is not None
            and not self._region[tuple(touched((z, y, x), rows.size_zyx, self._region.shape))].any()
        ):
            return False
        return self._air is None or bool(
            rows.voxels[z.start - rows.origin : z.stop - rows.origin, y, x].max() > self._air
        )


def touched(inside: Slices, size: Zyx, other: tuple[int, ...]) -> Iterator[slice]:
    """The voxels of another grid, over the same box edge to edge, that a box of this one touches."""
    for part, n, m in zip(inside, size, other, strict=True):
        yield slice(part.start * m // n, -(-part.stop * m // n))
