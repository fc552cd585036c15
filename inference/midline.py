"""The patient's middle as a line that runs head-foot, and how far to the left of it a voxel lies.

Arrays are (z, y, x) in canonical orientation; positions are LPS millimetres. The line is a list of points, level after
level; `left_xy` is the direction to the patient's left in the transverse plane. A voxel's *lateral* coordinate is its
distance from the line's point at its own level along that direction: positive on the left, negative on the right.

            y=  . . . . . . .
                . R R . . L L       left_xy →
                . R R o . L L       o: the line at this level (aorta)
    lateral in mm -20 .  10
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from inference.found import U8, Found
from inference.geometry import Geometry

F64 = NDArray[np.float64]
Index = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
"""The z, y and x of n voxels, as `np.nonzero` gives them."""

STRAIGHT: tuple[float, float] = (1.0, 0.0)
"""The patient's left where the patient lies straight: the world's x axis."""
SMOOTHED_OVER_MM = 20.0


@dataclass(frozen=True, kw_only=True)
class Midline:
    """A line through the patient's middle."""

    points_mm: F64
    """(n, 3) as x, y, z in mm, n at least 1, z rising. Above and below, the line goes on straight up and down."""
    left_xy: tuple[float, float] = STRAIGHT
    """Unit vector."""
    shift_mm: float = 0.0
    """How far to the left of `points_mm` the middle lies."""
    exact: bool = True
    """Whether an organ gave the line, not just the outline of the body or the image."""

    def lateral_mm(self, index_zyx: Index, geometry: Geometry) -> F64:
        """Signed distance (n,) of voxels from the line; positive on the patient's left."""
        steps = geometry.matrix * geometry.spacing_zyx_mm[::-1]  # [world x, y, z][array x, y, z]
        x, y, height = geometry.origin_xyz_mm
        left = np.array(self.left_xy)
        along_left = _affine(index_zyx, (left @ steps[:2])[::-1], float(left @ (x, y)))
        level = _affine(index_zyx, steps[2, ::-1], height)
        return np.asarray(along_left - np.interp(level, self.points_mm[:, 2], self.points_mm[:, :2] @ left) - self.shift_mm, np.float64)


def line_through(labels: U8, label: int, found: Found, geometry: Geometry, shift_mm: float = 0.0) -> Midline:
    """The centre line of one label: in each slice the median position of its voxels, smoothed along z.

    Medians stay inside the vessel when a stray part of the label lies in the same slice.

    Args:
        labels: (z, y, x).
        label: id in `labels`.
        found: where the label lies.
        geometry: grid of `labels`.
        shift_mm: how far to the left of the label the patient's middle lies.
    """
    mask = labels[found.box.slices] == label
    held = np.flatnonzero(mask.any(axis=(1, 2)))
    across_x = _median_index(np.count_nonzero(mask, axis=1)[held])
    across_y = _median_index(np.count_nonzero(mask, axis=2)[held])
    points = geometry.to_world(np.stack([held, across_y, across_x], axis=1) + found.box.start_zyx)
    smooth = _running_median(points, round(SMOOTHED_OVER_MM / 2 / geometry.spacing_zyx_mm[0]))
    return Midline(points_mm=smooth[np.argsort(smooth[:, 2], kind="stable")], shift_mm=shift_mm)


def straight_line(geometry: Geometry) -> Midline:
    """The middle of the image, for lack of anything better."""
    middle = geometry.to_world([(size - 1) / 2 for size in geometry.size_zyx])
    return Midline(points_mm=middle[np.newaxis], exact=False)


def _affine(index_zyx: Index, steps_zyx: F64, origin: float) -> F64:
    """`origin + steps · index`, axis by axis; a step of 0 costs nothing."""
    value = np.full(index_zyx[0].shape, origin, np.float64)
    for index, step in zip(index_zyx, steps_zyx, strict=True):
        if step:
            value += index * step
    return value


def _median_index(counts: NDArray[np.intp]) -> F64:
    """Median position (n,) of the voxels counted per index (n, size); between two indices where half lies on each side.

    `_median_index([[0, 2, 2, 0], [1, 1, 1, 0]])` is [1.5, 1.0].
    """
    below = np.cumsum(counts, axis=1) * 2
    total = below[:, -1:] // 2
    return np.asarray(((below >= total).argmax(axis=1) + (below > total).argmax(axis=1)) / 2, np.float64)


def _running_median(points: F64, radius: int) -> F64:
    """Median of each point (n, 3) and up to `radius` neighbours on either side."""
    padded = np.pad(points, ((radius, radius), (0, 0)), mode="reflect" if radius < len(points) else "edge")
    return np.asarray(np.median(sliding_window_view(padded, 2 * radius + 1, axis=0), axis=-1), np.float64)
