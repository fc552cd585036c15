"""The patient's middle as a line that runs head-foot, and how far to the left of it a voxel lies.

Arrays are (z, y, x) in canonical orientation; positions are LPS millimetres. The line is a list of points,
level after level; `left_xy` is the direction to the patient's left in the transverse plane. A voxel's
*lateral* coordinate is its distance from the line's point at its own level along that direction: positive on
the left, negative on the right.

    one slice, 10 mm a voxel     . R R . . L L
                                 . R R o . L L      o: the line at this level (aorta)
    lateral in mm              -30 .  -10 0 .  20

Sides are the same wherever the array's axes point: a voxel's level is its height in the world, not its slice.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from inference.geometry import Geometry
from inference.postprocessing.label_statistics import Found
from inference.postprocessing.runs import Index, Ints, Runs, count_along
from model.arrays import F64, Voxels

STRAIGHT: tuple[float, float] = (1.0, 0.0)
"""The patient's left where the patient lies straight: the world's x axis."""
SMOOTHED_OVER_MM = 20.0
BODY_ABOVE_HU = -300.0
BODY_STEP_MM = 4.0

USUAL_PLACE_MM: Mapping[str, tuple[float, float]] = {
    "liver": (-70, 25), "gallbladder": (-70, 20), "inferior vena cava": (-20, 10), "duodenum": (-17, 15),
    "bladder": (0, 15),
    "prostate/uterus": (0, 15), "esophagus": (10, 15), "aorta": (12, 10), "pancreas": (25, 20),
    "stomach": (45, 30),
    "spleen": (105, 15), "right kidney": (-72, 12), "left kidney": (72, 12), "right adrenal gland": (-36, 10),
    "left adrenal gland": (42, 10),
}  # fmt: skip
"""How far to the left of the middle an organ's centre usually lies, and how much that varies; rounded from
three adults."""


@dataclass(frozen=True, kw_only=True)
class Midline:
    """A line through the patient's middle."""

    points_mm: F64
    """(n, 3) as x, y, z in mm, n at least 1, z rising. Above and below, the line goes on straight up and
    down."""
    left_xy: tuple[float, float] = STRAIGHT
    """Unit vector."""
    shift_mm: float = 0.0
    """How far to the left of `points_mm` the middle lies."""
    exact: bool = True
    """Whether a vessel gave the line, level by level; False for a guess from the body, other organs or the
    image."""

    def lateral_mm(self, index_zyx: Index, geometry: Geometry) -> F64:
        """Signed distance (n,) of voxels from the line; positive on the patient's left."""
        steps = geometry.matrix * geometry.spacing_zyx_mm[::-1]  # [world x, y, z][array x, y, z]
        x, y, height = geometry.origin_xyz_mm
        left = np.array(self.left_xy)
        along_left = _affine(index_zyx, (left @ steps[:2])[::-1], float(left @ (x, y)))
        level = _affine(index_zyx, steps[2, ::-1], height)
        at_level = np.interp(level, self.points_mm[:, 2], self.points_mm[:, :2] @ left)
        return np.asarray(along_left - at_level - self.shift_mm, np.float64)


def line_through(vessel: Runs, geometry: Geometry) -> Midline:
    """The centre line of a vessel: in each slice the median position of its voxels, smoothed along z.

    Medians stay inside the vessel when a stray part of the label lies in the same slice.

    Args:
        vessel: its runs, at least one.
        geometry: grid of the label map.
    """
    across_y, across_x = count_along(vessel, 2), count_along(vessel, 1)
    held = np.flatnonzero(across_x.any(axis=1))
    return _smooth_line(
        np.stack([held, _median_index(across_y[held]), _median_index(across_x[held])], axis=1),
        geometry,
        geometry.spacing_zyx_mm[0],
    )


def body_middle(image_hu: Voxels, geometry: Geometry) -> Midline | None:
    """The middle of the body, without couch and arms, in each slice of a CT, seen every 4 mm or so.

    Args:
        image_hu: (z, y, x) in canonical orientation, HU.
        geometry: grid of `image_hu`.

    Returns:
        A guess, not a vessel's line; None where there is no body, or only one flank of it is in the image.
    """
    steps = [max(1, round(BODY_STEP_MM / spacing)) for spacing in geometry.spacing_zyx_mm]
    body = image_hu[:: steps[0], :: steps[1], :: steps[2]] > BODY_ABOVE_HU
    if not body.any():
        return None
    body = cc3d.largest_k(body, k=1, connectivity=6) > 0
    if body[:, :, 0].any() != body[:, :, -1].any():
        return None
    held = np.flatnonzero(body.any(axis=(1, 2)))
    across = [_median_index(np.count_nonzero(body, axis=axis)[held]) for axis in (2, 1)]
    index = np.stack([held, *across], axis=1) * steps
    line = _smooth_line(index, geometry, steps[0] * geometry.spacing_zyx_mm[0])
    return Midline(points_mm=line.points_mm, exact=False)


def middle_by_organs(organs: Mapping[str, Found], geometry: Geometry) -> Midline | None:
    """A guess from where organs usually lie; None without an organ whose place is known.

    Organs cut by the image's left or right edge have no centre to go by; they count only where all are cut.
    """
    known = {name: found for name, found in organs.items() if name in USUAL_PLACE_MM}
    whole = {
        name: f
        for name, f in known.items()
        if f.box.start_zyx[2] > 0 and f.box.stop_zyx[2] < geometry.size_zyx[2]
    }
    used = whole or known
    if not used:
        return None
    centres = geometry.to_world([found.centre_zyx for found in used.values()])
    place, spread = np.array([USUAL_PLACE_MM[name] for name in used]).T
    centres[:, 0] -= place
    return _along_slices(np.average(centres, axis=0, weights=spread**-2.0), geometry)


def middle_of_image(geometry: Geometry) -> Midline:
    """The middle of the image, for lack of anything better."""
    return _along_slices(geometry.to_world([(size - 1) / 2 for size in geometry.size_zyx]), geometry)


def _along_slices(point_mm: F64, geometry: Geometry) -> Midline:
    """A guess that runs along the array's z axis: who tilts slices does so to follow the patient."""
    axis = geometry.matrix[:, 2] * 1000.0
    return Midline(points_mm=np.stack([point_mm - axis, point_mm + axis]), exact=False)


def _smooth_line(index_zyx: F64, geometry: Geometry, step_mm: float) -> Midline:
    """A line through one point per slice (n, 3), its y and x the median of those around it.

    Slices are `step_mm` apart.
    """
    radius = min(round(SMOOTHED_OVER_MM / 2 / step_mm), len(index_zyx) - 1)
    padded = np.pad(index_zyx[:, 1:], ((radius, radius), (0, 0)), mode="reflect")
    across = np.median(sliding_window_view(padded, 2 * radius + 1, axis=0), axis=-1)
    points = geometry.to_world(np.column_stack([index_zyx[:, 0], across]))
    return Midline(points_mm=points[np.argsort(points[:, 2], kind="stable")])


def _affine(index_zyx: Index, steps_zyx: F64, origin: float) -> F64:
    """`origin + steps · index`, axis by axis; a step of 0 costs nothing."""
    value = np.full(index_zyx[0].shape, origin, np.float64)
    for index, step in zip(index_zyx, steps_zyx, strict=True):
        if step:
            value += index * step
    return value


def _median_index(counts: Ints) -> F64:
    """Median position (n,) of the voxels counted per index (n, size).

    Between two indices where half lies on each side.

    `_median_index([[0, 2, 2, 0], [1, 1, 1, 0]])` is [1.5, 1.0].
    """
    below = np.cumsum(counts, axis=1) * 2
    half = below[:, -1:] // 2
    return np.asarray(((below >= half).argmax(axis=1) + (below > half).argmax(axis=1)) / 2, np.float64)
