"""Which windows a member may be given on a grid, from the whole grid in one to its own many."""

from itertools import product
from math import ceil, prod

from inference.sliding_window.placement import window_starts
from model.arrays import Zyx
from model.manifest.network import Member
from model.manifest.window import LARGEST_SIDE, AnyWindow


def window_choices(grid_zyx: Zyx, member: Member) -> list[Zyx]:
    """Windows that a member may be given: those that take fewest runs first, its own last.

    Of those that take as many, the smallest first.

    Args:
        grid_zyx: what is to be covered.
        member: its own window, which others it takes, and how they overlap.
    """
    choices = sorted(
        (prod(runs), prod(window), window)
        for runs, window in (
            zip(*axes, strict=True)
            for axes in product(*(each.items() for each in _side_choices(grid_zyx, member)))
        )
    )
    return [(z, y, x) for _, _, (z, y, x) in choices]


def end_windows(grid_zyx: Zyx, member: Member) -> tuple[Zyx, Zyx]:
    """The first and the last of `window_choices`, without those between, which may be many."""
    along_z, along_y, along_x = (list(axis.values()) for axis in _side_choices(grid_zyx, member))
    return (along_z[0], along_y[0], along_x[0]), (along_z[-1], along_y[-1], along_x[-1])


def _side_choices(grid_zyx: Zyx, member: Member) -> list[dict[int, int]]:
    """Sides of windows along z, y and x by how many windows there are along that axis, fewest first."""
    own = member.window_zyx
    if not isinstance(member.window, AnyWindow) or member.window.use == "own":
        return [{1: side} for side in own]
    steps, least, overlap = member.window.multiple_of_zyx, member.window.smallest_zyx, member.tiling.overlap
    sides = [
        axis_choices(size, side, step, low, overlap)
        for size, side, step, low in zip(grid_zyx, own, steps, least, strict=True)
    ]
    if member.window.use == "fitted":
        return [{1: min(side, max(axis.values()))} for side, axis in zip(own, sides, strict=True)]
    return sides


def axis_choices(size: int, own: int, step: int, least: int, overlap: float) -> dict[int, int]:
    """Smallest side of windows along one axis by how many of them there are; the member's own is the last.

    20 voxels, own side 8, multiples of 4, half overlapping: one window of 20; two of 16, though 13.3 would
    do; three of 12, for 10; four of 8.

    Args:
        size: voxels to be covered.
        own: side of the member's own window.
        step: what a side must be a multiple of.
        least: smallest side, where `size` is below `own`.
        overlap: share of a window that the next one covers again at least.
    """
    padded = max(least, _up(size, step))
    if padded <= own:
        return {1: padded}
    sides, count = [min(padded, LARGEST_SIDE // step * step)], 1
    while sides[-1] > own:
        count += 1
        side = max(own, _up(size / (1 + (count - 1) * (1 - overlap)), step))
        if side < sides[-1]:
            sides.append(side)
    # A later side that needs no more windows than one before it takes its place.
    return {len(window_starts(size, side, overlap)): side for side in sides}


def _up(size: float, step: int) -> int:
    # Subtracting a little keeps 42 / 1.4 = 30.000...4 from asking for one step more.
    return ceil(size / step - 1e-9) * step
