"""Vessels that a map does not hold, laid as tubes through what gives way to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.phantom.frame import FloatArray

_ROUNDING_MM = 5.0


def lay_tube(
    structures: npt.NDArray[np.uint8],
    depth_mm: FloatArray,
    vessel: int,
    middles_zyx: npt.NDArray[np.float64],
    radii_mm: npt.NDArray[np.float64],
    spacing_zyx_mm: npt.ArrayLike,
    yields: npt.NDArray[np.bool_],
) -> bool:
    """Lay a tube of spheres, in place; whether any of it is in view.

    Args:
        structures: ids, (z, y, x); changed.
        depth_mm: how deep each voxel lies in its structure, of the same shape; changed.
        vessel: id that the tube gets.
        middles_zyx: middle of each sphere in voxels, (n, 3); those out of view are left out.
        radii_mm: their radii, (n).
        spacing_zyx_mm: of the arrays.
        yields: which of the 256 ids give way; the vessel's own is crossed as well.
    """
    spacing, shape = np.asarray(spacing_zyx_mm), np.array(structures.shape)
    laid = False
    for middle, radius in zip(middles_zyx, radii_mm, strict=True):
        low = np.maximum(np.floor(middle - radius / spacing).astype(int), 0)
        high = np.minimum(np.ceil(middle + radius / spacing).astype(int) + 1, shape)
        if (low >= high).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        away_mm = [(a - m) * mm for a, m, mm in zip(np.ogrid[box], middle, spacing, strict=True)]
        distance_mm = np.sqrt(sum(mm**2 for mm in away_mm))
        tube = (distance_mm <= radius) & (yields[structures[box]] | (structures[box] == vessel))
        structures[box][tube] = vessel
        depth_mm[box][tube] = np.maximum(depth_mm[box][tube], radius - distance_mm[tube])
        laid |= bool(tube.any())
    return laid


def smooth_way(
    points_zyx: Sequence[npt.NDArray[np.float64]], spacing_zyx_mm: npt.ArrayLike, step_mm: float = 1.0
) -> npt.NDArray[np.float64]:
    """Points (n, 3) in voxels, about `step_mm` apart, along the way through some; corners are rounded."""
    corners = np.array(points_zyx)
    lengths = np.linalg.norm(np.diff(corners, axis=0) * np.asarray(spacing_zyx_mm), axis=1)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    along = np.linspace(0, at[-1], max(2, round(at[-1] / step_mm)))
    way = np.stack([np.interp(along, at, axis) for axis in corners.T], axis=1)
    return np.asarray(ndimage.gaussian_filter1d(way, _ROUNDING_MM / step_mm, axis=0, mode="nearest"))
