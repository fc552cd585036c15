"""Signed distances of simple bodies, in canonical millimetres: negative inside, positive outside.

The functions take coordinate arrays (z, y, x) and return an array of the same shape. They are distances near
the surface and only roughly so far away, which is all that drawing needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator

from training.phantom.frame import FloatArray, Frame, Region

Point = tuple[float, float, float]
FAR_MM = np.float32(60.0)


def ellipsoid(
    region: Region, centre: Point, radii: Point, tilt: npt.NDArray[np.float64] | None = None
) -> FloatArray:
    """Ellipsoid with semi-axes in mm; `tilt` is a 3×3 rotation of its axes."""
    dx, dy, dz = (
        region.x - np.float32(centre[0]),
        region.y - np.float32(centre[1]),
        region.z - np.float32(centre[2]),
    )
    if tilt is not None:
        t = tilt.astype(np.float32)
        dx, dy, dz = (t[0, i] * dx + t[1, i] * dy + t[2, i] * dz for i in range(3))
    rx, ry, rz = (np.float32(r) for r in radii)
    level = np.sqrt((dx / rx) ** 2 + (dy / ry) ** 2 + (dz / rz) ** 2)
    slope = np.sqrt((dx / rx**2) ** 2 + (dy / ry**2) ** 2 + (dz / rz**2) ** 2)
    # At the very centre both are zero; their quotient is some radius there.
    scale = np.divide(level, slope, out=np.full_like(level, min(radii)), where=slope > 1e-6)
    result: FloatArray = scale * (level - 1)
    return result


def smooth_min(a: FloatArray, b: FloatArray, radius: float) -> FloatArray:
    """Union whose seam is rounded over `radius` mm."""
    h = np.maximum(np.float32(radius) - np.abs(a - b), 0) / np.float32(radius)
    result: FloatArray = np.minimum(a, b) - h * h * np.float32(radius / 4)
    return result


def smooth_max(a: FloatArray, b: FloatArray, radius: float) -> FloatArray:
    """Intersection whose edge is rounded over `radius` mm."""
    return -smooth_min(-a, -b, radius)


def curve(
    points: Sequence[Sequence[float]] | npt.NDArray[np.float64], spacing_mm: float
) -> npt.NDArray[np.float64]:
    """Smooth curve through control points.

    Rows (x, y, z, …), any further columns (a radius) are interpolated with them.
    """
    control = np.asarray(points, dtype=np.float64)
    chord = np.linalg.norm(np.diff(control[:, :3], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(np.maximum(chord, 1e-3))])
    count = max(2, int(np.ceil(along[-1] / spacing_mm)) + 1)
    return np.asarray(PchipInterpolator(along, control)(np.linspace(0.0, along[-1], count)))


def tube(
    frame: Frame,
    region: Region,
    path: npt.NDArray[np.float64],
    flatten: Point = (1.0, 1.0, 1.0),
    reach_mm: float = 6.0,
) -> FloatArray:
    """Tube along a densely sampled path of rows (x, y, z, radius), mm.

    `flatten` divides distances along x, y and z: (1.3, 0.8, 1) makes a vessel wider than deep. Only the
    neighbourhood of each sample is touched, so long thin paths stay cheap: further than `reach_mm` from the
    surface the distance stays at that.
    """
    result = np.full(region.shape, reach_mm, dtype=np.float32)
    if region.empty:
        return result
    step = frame.step_mm
    starts = np.array([s.start for s in region.slices], dtype=np.float64)
    scanner = frame.pose.to_scanner(path[:, :3])
    centres = ((scanner - frame.origin_xyz_mm) / step)[:, ::-1] - starts
    fx, fy, fz = (np.float32(1.0 / f) for f in flatten)
    largest = max(frame.pose.size_xyz) * max(flatten)
    for centre, (px, py, pz, radius) in zip(centres, path[:, :4], strict=True):
        reach = (radius + reach_mm) * largest / step + 1
        low = np.maximum(np.floor(centre - reach), 0).astype(int)
        high = np.minimum(np.ceil(centre + reach) + 1, region.shape).astype(int)
        if (low >= high).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        dx = (region.x[box] - np.float32(px)) * fx
        dy = (region.y[box] - np.float32(py)) * fy
        dz = (region.z[box] - np.float32(pz)) * fz
        np.minimum(result[box], np.sqrt(dx * dx + dy * dy + dz * dz) - np.float32(radius), out=result[box])
    return result


def path_bounds(path: npt.NDArray[np.float64], flatten: Point = (1.0, 1.0, 1.0)) -> tuple[Point, Point]:
    """Canonical box around a path of rows (x, y, z, radius)."""
    reach = path[:, 3:4] * np.asarray(flatten)
    low, high = (path[:, :3] - reach).min(0), (path[:, :3] + reach).max(0)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))


def superellipse(
    x: FloatArray, y: FloatArray, half_x: FloatArray, half_y: FloatArray, power: float
) -> FloatArray:
    """Rounded rectangle in the axial plane with half-axes in mm (they may vary from voxel to voxel)."""
    p = np.float32(power)
    level = ((np.abs(x) / half_x) ** p + (np.abs(y) / half_y) ** p) ** np.float32(1 / power)
    result: FloatArray = (level - 1) * np.minimum(half_x, half_y)
    return result


def slab_segment(
    region: Region, start: tuple[float, float], end: tuple[float, float], thickness: float
) -> FloatArray:
    """A plate parallel to z: axial distance from the segment start-end (x, y), less half the thickness."""
    (x0, y0), (x1, y1) = start, end
    ux, uy = x1 - x0, y1 - y0
    length = max(ux * ux + uy * uy, 1e-6)
    t = np.clip(
        ((region.x - np.float32(x0)) * np.float32(ux) + (region.y - np.float32(y0)) * np.float32(uy))
        / np.float32(length),
        0,
        1,
    )
    dx = region.x - np.float32(x0) - t * np.float32(ux)
    dy = region.y - np.float32(y0) - t * np.float32(uy)
    result: FloatArray = np.sqrt(dx * dx + dy * dy) - np.float32(thickness / 2)
    return result


def profile(z: FloatArray, knots: Sequence[tuple[float, float]]) -> FloatArray:
    """Piecewise linear function of z from (z, value) knots in ascending z, e.g. the half-width of the trunk.

    Constant beyond the knots. Looked up in a table of quarter millimetres: several times faster than
    interpolating millions of voxels.
    """
    heights, values = (np.array(column, dtype=np.float64) for column in zip(*knots, strict=True))
    table = np.interp(np.arange(heights[0], heights[-1] + 0.25, 0.25), heights, values).astype(np.float32)
    index = ((z - np.float32(heights[0])) * np.float32(4) + np.float32(0.5)).astype(np.int32)
    return table.take(index, mode="clip")


def slope(values: FloatArray, axis: int) -> FloatArray:
    """Twice the difference per grid step along an axis.

    One-sided at the ends, where it is doubled to match.
    """
    result = np.empty_like(values)

    def at(first: int | None, last: int | None) -> tuple[slice, ...]:
        return tuple(slice(first, last) if i == axis else slice(None) for i in range(values.ndim))

    np.subtract(values[at(2, None)], values[at(None, -2)], out=result[at(1, -1)])
    result[at(0, 1)] = 2 * (values[at(1, 2)] - values[at(0, 1)])
    result[at(-1, None)] = 2 * (values[at(-1, None)] - values[at(-2, -1)])
    return result


def gradient_norm(values: FloatArray, weights_zyx: Sequence[float]) -> FloatArray:
    """Length of the gradient with each axis scaled by a weight (1 / grid step: the plain gradient)."""
    square = np.zeros(values.shape, dtype=np.float32)
    for axis, weight in enumerate(weights_zyx):
        part = slope(values, axis)
        part *= np.float32(0.5 * weight)
        part *= part
        square += part
    return np.sqrt(square, out=square)
