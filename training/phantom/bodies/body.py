"""A body as a map of all its structures, made ready to be deformed and painted.

The canonical origin is put into the first lumbar vertebra, as everywhere in the phantoms. Arrays are
(z, y, x) in LPS axes: x to the left, y to the back, z to the head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull

from training.phantom.bodies.structures import ADDED, GROWING
from training.phantom.frame import FloatArray

STEPS_PER_MM = 10
"""Distances are kept in tenths of a millimetre, in one byte: up to 25.5 mm."""
_ROUNDNESS = 2.2
"""Exponent of the superellipse that trunks are rounded to; 2 is an ellipse, more is squarer."""
_MOST_DISC_MM = 16.0
"""Vertebrae that are farther apart have more than a disc between them."""
_LEAST_DISC_ML = 0.3
"""Smaller gaps are notches of a vertebra's surface."""
_PAD_MM = 75.0
HULL_STRIDE = 2
_MOST_GROWTH_MM = 20.0


@dataclass(frozen=True, kw_only=True)
class Body:
    """One body on its own grid, padded to the sides."""

    name: str
    ids: Mapping[str, int]
    """Structure to id in `labels`."""
    labels: npt.NDArray[np.uint8]
    spacing_zyx_mm: tuple[float, float, float]
    origin_zyx: tuple[float, float, float]
    """Index of the canonical origin."""
    depth: npt.NDArray[np.uint8]
    """How deep a voxel lies in its structure, tenths of a millimetre; 0 outside of all."""
    nearest: npt.NDArray[np.uint8]
    """The organ that would fill a voxel first if all grew, by id."""
    nearest_gap: npt.NDArray[np.uint8]
    """How far it would have to grow, tenths of a millimetre."""
    hull: FloatArray
    """Signed distance in mm to the trunk that the structures span, on every second voxel: negative inside."""
    hull_width_mm: float
    """Width of that trunk at the height of the first lumbar vertebra."""
    range_mm: tuple[float, float]
    """Canonical heights that the map covers."""

    def of(self, *starts: str) -> npt.NDArray[np.uint8]:
        """Ids of the structures whose names begin with one of `starts`."""
        return np.array([i for name, i in self.ids.items() if name.startswith(starts)], dtype=np.uint8)


def prepare_body(
    name: str,
    labels: npt.NDArray[np.uint8],
    spacing_zyx_mm: tuple[float, float, float],
    ids: Mapping[str, int],
) -> Body:
    """Prepare a map (z, y, x) in LPS axes.

    Arms are left out: they end where the map does.

    Raises:
        ValueError: there is no first lumbar vertebra to put the origin into, or no id is free for what is
            added.
    """
    spacing = np.asarray(spacing_zyx_mm)
    vertebra = np.argwhere(labels == ids.get("vertebrae_L1", -1))
    if not vertebra.size:
        raise ValueError(f"map {name}: has no vertebrae_L1, so the body cannot be placed")
    arms = [i for structure, i in ids.items() if structure.startswith("humerus")]
    trunk = np.where(np.isin(labels, arms), np.uint8(0), labels)
    ids = _with_added(name, ids)
    if "spinal_cord" in ids:
        trunk[_gaps_of_spine(trunk, spacing, ids)] = ids["intervertebral_discs"]
    pad = [0, *np.ceil(_PAD_MM / spacing[1:]).astype(int)]
    trunk = np.pad(trunk, [(p, p) for p in pad])
    origin = vertebra.mean(0) + pad
    nearest, gap = _nearest(trunk, spacing, [i for n, i in ids.items() if n.startswith(GROWING)])
    hull = _hull(trunk[::HULL_STRIDE, ::HULL_STRIDE, ::HULL_STRIDE] > 0, spacing * HULL_STRIDE)
    level = hull[int(origin[0]) // HULL_STRIDE] < 0
    return Body(
        name=name,
        ids=ids,
        labels=trunk,
        spacing_zyx_mm=spacing_zyx_mm,
        origin_zyx=(float(origin[0]), float(origin[1]), float(origin[2])),
        depth=_depth(trunk, spacing),
        nearest=nearest,
        nearest_gap=gap,
        hull=hull,
        hull_width_mm=float(level.any(0).sum() * spacing[2] * HULL_STRIDE),
        range_mm=(
            float(-origin[0] * spacing[0]),
            float((labels.shape[0] - 1 - origin[0]) * spacing[0]),
        ),
    )


def _with_added(name: str, ids: Mapping[str, int]) -> dict[str, int]:
    """The ids of a map, and free ones for what is added to it."""
    added = [structure for structure in ADDED if structure not in ids]
    last = max(ids.values())
    if last + len(added) > np.iinfo(np.uint8).max:
        raise ValueError(f"map {name}: has id {last}, above {np.iinfo(np.uint8).max - len(added)}")
    return {**ids, **{structure: last + number for number, structure in enumerate(added, start=1)}}


def _gaps_of_spine(
    labels: npt.NDArray[np.uint8], spacing: npt.NDArray[np.float64], ids: Mapping[str, int]
) -> npt.NDArray[np.bool_]:
    """Empty voxels between one vertebra and the next, before the canal: discs."""
    gaps = np.zeros(labels.shape, dtype=bool)
    vertebrae = np.isin(labels, [i for structure, i in ids.items() if structure.startswith("vertebrae")])
    found = ndimage.find_objects(vertebrae.astype(np.uint8))
    if not found:
        return gaps
    box = found[0]
    spine, here = np.where(vertebrae[box], labels[box], np.uint8(0)), labels[box]
    z = np.arange(spine.shape[0])[:, None, None]
    # The last vertebra's voxel below each voxel, and the first above.
    below = np.maximum.accumulate(np.where(spine > 0, z, 0))
    above = np.minimum.accumulate(np.where(spine > 0, z, len(z) - 1)[::-1])[::-1]
    one, other = (np.take_along_axis(spine, each, axis=0) for each in (below, above))
    is_disc = (here == 0) & (one > 0) & (other > 0) & (one != other)
    is_disc &= (above - below - 1) * spacing[0] <= _MOST_DISC_MM
    canal = [np.nonzero(plane)[0].min() if plane.any() else 0 for plane in here == ids["spinal_cord"]]
    is_disc &= np.arange(spine.shape[1])[:, None] < np.array(canal)[:, None, None]
    parts, count = ndimage.label(is_disc)
    sizes_ml = np.bincount(parts.ravel(), minlength=count + 1) * spacing.prod() / 1000
    sizes_ml[0] = 0
    gaps[box] = (sizes_ml >= _LEAST_DISC_ML)[parts]
    return gaps


def _bytes(distance_mm: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    return np.asarray(np.clip(np.rint(distance_mm * STEPS_PER_MM), 0, 255).astype(np.uint8))


def _depth(labels: npt.NDArray[np.uint8], spacing: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Distance to the surface of the structure that a voxel belongs to; a cut end is no surface."""
    depth = np.zeros(labels.shape, dtype=np.uint8)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        mask = labels[box] == index
        ends = [(int(s.start > 0), int(s.stop < n)) for s, n in zip(box, labels.shape, strict=True)]
        inside = ndimage.distance_transform_edt(np.pad(mask, ends), sampling=spacing)
        inside = inside[tuple(slice(a, n - b) for (a, b), n in zip(ends, inside.shape, strict=True))]
        depth[box][mask] = _bytes(inside - spacing.min() / 2)[mask]
    return depth


def _nearest(
    labels: npt.NDArray[np.uint8], spacing: npt.NDArray[np.float64], growing: list[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Which of the growing structures is nearest to each empty voxel, and how far away."""
    found = ndimage.find_objects(np.isin(labels, growing).astype(np.uint8))
    if not found:
        return np.zeros_like(labels), np.full(labels.shape, 255, dtype=np.uint8)
    reach = np.ceil(_MOST_GROWTH_MM / spacing).astype(int)
    box = tuple(slice(max(0, s.start - r), s.stop + r) for s, r in zip(found[0], reach, strict=True))
    crop = labels[box]
    distance, index = ndimage.distance_transform_edt(
        ~np.isin(crop, growing), sampling=spacing, return_indices=True
    )
    nearest = np.zeros_like(labels)
    nearest[box] = crop[tuple(index)]
    gap = np.full(labels.shape, 255, dtype=np.uint8)
    gap[box] = _bytes(distance - spacing.min() / 2)
    return nearest, gap


def _hull(any_structure: npt.NDArray[np.bool_], spacing: npt.NDArray[np.float64]) -> FloatArray:
    """Signed distance to the outline of each slice, smooth from slice to slice.

    Maps lack the muscles of flanks and back, so that the convex hull is angular; a superellipse in its box
    rounds it. What lies between the two is filled as the space between structures is, under a wall of muscle.
    """
    planes = []
    for plane in any_structure:
        filled = _convex(plane) | _rounded(plane)
        outside = ndimage.distance_transform_edt(~filled, sampling=spacing[1:])
        planes.append(outside - ndimage.distance_transform_edt(filled, sampling=spacing[1:]))
    return np.asarray(ndimage.gaussian_filter(np.stack(planes).astype(np.float32), 9.0 / spacing))


def _rounded(plane: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The superellipse in the box around the pixels of one slice."""
    found = ndimage.find_objects(plane.astype(np.uint8))
    if not found:
        return plane
    y, x = (
        np.abs(2 * (np.arange(n) + 0.5 - s.start) / (s.stop - s.start) - 1) ** _ROUNDNESS
        for s, n in zip(found[0], plane.shape, strict=True)
    )
    return np.asarray(y[:, None] + x <= 1)


def _convex(plane: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The convex hull of the pixels of one slice."""
    points = np.argwhere(plane)
    # A hull needs an area; fewer pixels are left as they are.
    if len(points) < 3 or (np.ptp(points, axis=0) == 0).any():
        return plane
    y, x = np.ogrid[: plane.shape[0], : plane.shape[1]]
    inside = np.ones(plane.shape, dtype=bool)
    for across_y, across_x, offset in ConvexHull(points).equations:
        inside &= across_y * y + across_x * x + offset <= 1e-9
    return inside
