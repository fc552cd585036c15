"""A whole-body map brought onto the frame of a scan."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.phantom.bodies.body import HULL_STRIDE, STEPS_PER_MM, Body
from training.phantom.bodies.body_filling import Deformed
from training.phantom.bodies.shape import Shape, move_organs
from training.phantom.bodies.structures import ORGANS, VESSELS_OF
from training.phantom.frame import FloatArray, Frame


def deform(
    frame: Frame,
    body: Body,
    shape: Shape,
    rng: np.random.Generator,
    missing: Collection[str] = (),
    *,
    size: float = 1.0,
) -> Deformed:
    """Bring a body onto a scan's frame.

    Where organs (FLARE names) are missing there is nothing. The body's millimetres are `size` of the frame's:
    2 shows it half as large.
    """
    whole = frame.whole()
    coordinates = [c * np.float32(size) for c in (whole.z, whole.y, whole.x)]
    move_organs(coordinates, body, rng)
    index = [
        c / np.float32(s) + np.float32(o)
        for c, s, o in zip(coordinates, body.spacing_zyx_mm, body.origin_zyx, strict=True)
    ]
    to_patient = float(np.prod(shape.pose.size_xyz) ** (1 / 3)) / size
    nearest_voxel = [np.rint(i).astype(np.int32) for i in index]
    inside = np.ones(frame.shape, dtype=bool)
    for i, n in zip(nearest_voxel, body.labels.shape, strict=True):
        inside &= (i >= 0) & (i < n)
        np.clip(i, 0, n - 1, out=i)
    at = tuple(nearest_voxel)
    structures = np.where(inside, body.labels[at], np.uint8(0))
    depth = _sampled(body.depth, index) * np.float32(to_patient / STEPS_PER_MM)
    # Organs of the lean fill the fat between them.
    gap = _sampled(body.nearest_gap, index) * np.float32(to_patient / STEPS_PER_MM)
    uneven = shape.growth_mm * np.clip(1 + 0.6 * frame.noise(whole, 40.0, rng), 0, 2)
    grown = inside & (structures == 0) & (gap < uneven)
    structures[grown] = body.nearest[at][grown]
    hull = _hull_distance(body, index) * np.float32(to_patient)
    of_organ = {**ORGANS, **VESSELS_OF}
    lost = [i for name, i in body.ids.items() if of_organ.get(name) in missing]
    structures[np.isin(structures, lost)] = 0
    return Deformed(structures, depth, hull, whole.z)


def _hull_distance(body: Body, index: Sequence[FloatArray]) -> FloatArray:
    """Distance to the hull at voxels of the map (z, y, x), in its mm; it goes on growing beside the map.

    Above and below, the body goes on as it ends.
    """
    hull_index = [i / np.float32(HULL_STRIDE) for i in index]
    inside: FloatArray = ndimage.map_coordinates(body.hull, hull_index, order=1, mode="nearest")
    beside = [
        np.float32(mm) * np.maximum(np.maximum(-i, i - np.float32(n - 1)), np.float32(0))
        for i, n, mm in zip(index[1:], body.labels.shape[1:], body.spacing_zyx_mm[1:], strict=True)
    ]
    return np.asarray(inside + np.hypot(*beside), np.float32)


def _sampled(values: npt.NDArray[np.uint8], index: list[FloatArray]) -> FloatArray:
    return np.asarray(ndimage.map_coordinates(values, index, output=np.float32, order=1, mode="nearest"))
