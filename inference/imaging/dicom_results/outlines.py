"""Outlines of a structure in a slice, as RTSTRUCT wants them: closed polygons without holes.

An outline runs between the centres of voxels, so that filling it by whether centres lie inside gives back the
voxels it was drawn from. A hole is joined to the outline around it by a cut of no width (a keyhole), as
PS3.3 C.8.8.6.3 describes.
"""

from itertools import pairwise

import numpy as np
from contourpy import FillType, contour_generator

from model.arrays import F64, Mask

BETWEEN = 0.5
"""Level between inside (1) and outside (0)."""


def outlines(mask: Mask) -> list[F64]:
    """Polygons around the voxels of a slice.

    Args:
        mask: (rows, columns).

    Returns:
        One for each piece: (corners, 2), column and row in voxels, voxel centres at whole numbers. No corner
        lies on a straight line between its neighbours.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return []
    top, left = int(rows[0]) - 1, int(columns[0]) - 1
    part = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1).astype(np.float64)
    generator = contour_generator(z=part, fill_type=FillType.OuterOffset)
    filled = generator.filled(BETWEEN, np.inf)
    polygons = []
    for points, offsets in zip(*filled, strict=True):
        rings = [points[a:b] for a, b in pairwise(offsets)]
        polygons.append(_without_straight(_joined(rings)) + np.array((left, top)))
    return polygons


def _joined(rings: list[F64]) -> F64:
    """An outer ring and its holes as one ring; each closed ring ends with its first corner.

    Corners lie halfway between two neighbours, in a row or in a column. A cut joins one of either kind: its
    slope is then a fraction of two odd numbers, by which no line from a half reaches a point of two whole
    numbers, so that no voxel's centre lies on a cut.
    """
    outer, *holes = (ring[:-1] for ring in rings)
    for hole in sorted(holes, key=lambda ring: float(ring[:, 0].min())):
        apart = np.square(outer[:, None] - hole[None]).sum(axis=-1)
        apart[_in_row(outer)[:, None] == _in_row(hole)] = np.inf
        at, begin = np.unravel_index(int(apart.argmin()), apart.shape)
        around = np.concatenate([hole[begin:], hole[: begin + 1]])
        outer = np.concatenate([outer[: at + 1], around, outer[at:]])
    return np.asarray(outer, np.float64)


def _without_straight(ring: F64) -> F64:
    """A ring without the corners at which it goes straight on; those at which it turns back stay.

    Corners are whole numbers and halves, so that products of their differences are exact.
    """
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    across = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    turns: Mask = (across != 0) | ((before * after).sum(axis=1) < 0)
    return ring[turns]


def _in_row(ring: F64) -> Mask:
    """Which corners lie between neighbours in a row, rather than in a column."""
    return np.asarray(ring[:, 0] % 1 == BETWEEN)
