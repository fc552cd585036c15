"""Which windows a member may be given on a grid, from the whole grid in one to its own many."""

from itertools import product
from math import ceil, prod

from inference.sliding_window.placement import window_starts
from model.arrays import Zyx
from model.manifest.network import Member
from model.manifest.window import LARGEST_SIDE, AnyWindow


def window_choices(grid_zyx: Zyx, member: Member) -> list[Zyx]:
    """Windows that a member may be given: those that take fewest runs first, its own last.

    A choice that is no smaller than one before it along every axis is left out: it would take more runs in no
    less memory.

    Args:
        grid_zyx: what is to be covered.
        member: its own window, which others it takes, and how they overlap.
    """
    if not isinstance(member.window, AnyWindow):
        return [member.window_zyx]
    steps, least = member.window.multiple_of_zyx, member.window.smallest_zyx
    sides = [
        axis_choices(size, own, step, low, member.tiling.overlap)
        for size, own, step, low in zip(grid_zyx, member.window_zyx, steps, least, strict=True)
    ]
    runs = {
        (a, b, c): prod(
            len(window_starts(size, side, member.tiling.overlap))
            for size, side in zip(grid_zyx, (a, b, c), strict=True)
        )
        for a, b, c in product(*sides)
    }
    found: list[Zyx] = []
    for window in sorted(runs, key=lambda window: (runs[window], prod(window), window)):
        no_smaller = any(all(a <= b for a, b in zip(one, window, strict=True)) for one in found)
        if not no_smaller:
            found.append(window)
    return found


def axis_choices(size: int, own: int, step: int, least: int, overlap: float) -> list[int]:
    """Sides of windows along one axis, for one window, two, and so on; the member's own is the last.

    20 voxels, own side 8, multiples of 4, half overlapping: 20 (one window), 16 (two, for which 13.3 would
    do), 12 (three, 10), 8 (four).

    Args:
        size: voxels to be covered.
        own: side of the member's own window.
        step: what a side must be a multiple of.
        least: smallest side, where `size` is below `own`.
        overlap: share of a window that the next one covers again at least.
    """
    padded = max(least, _up(size, step))
    if padded <= own:
        return [padded]
    sides, count = [min(padded, LARGEST_SIDE // step * step)], 1
    while sides[-1] > own:
        count += 1
        side = max(own, _up(size / (1 + (count - 1) * (1 - overlap)), step))
        if side < sides[-1]:
            sides.append(side)
    return sides


def _up(size: float, step: int) -> int:
    # Subtracting a little keeps 20 / 1.25 = 16.000...4 from asking for one step more.
    return ceil(size / step - 1e-9) * step
