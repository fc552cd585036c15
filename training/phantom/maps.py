"""Anatomy from label maps: real organ shapes, deformed, in place of the procedural ones.

A map holds only the thirteen organs, in FLARE ids. It is carried into the canonical patient: the spine, which
is not in the map, is taken to lie behind the aorta; the trunk is then fitted around the organs' extent, and
everything else is drawn as in a procedural case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from model.labels import FLARE23
from training.phantom.canvas import Field
from training.phantom.frame import FloatArray, Frame, Pose, Region
from training.phantom.torso import Habitus, Torso

_PAD_MM = 18.0
_CANONICAL_KIDNEYS_Z_MM = -28.0
_AORTA_MM = (
    (-121, 3, -34),
    (-50, 9, -33),
    (0, 8, -32),
    (40, 7, -30),
    (80, 11, -26),
    (125, 18, -19),
    (180, 23, -14),
    (235, 25, -12),
)


@dataclass(frozen=True)
class OrganMap:
    """One organ: signed distance in mm on a crop of the map's own grid."""

    distance: FloatArray
    start_zyx: tuple[int, int, int]


@dataclass(frozen=True, kw_only=True)
class AnatomyMap:
    """A body in map coordinates, and how canonical points are found in it."""

    name: str
    organs: dict[str, OrganMap]
    spacing_zyx_mm: tuple[float, float, float]
    size_zyx: tuple[int, int, int]
    heights_mm: npt.NDArray[np.float64]
    """Canonical z of the knots of the centre line."""
    centre_xy_mm: npt.NDArray[np.float64]
    """(n, 2) map x, y in mm of the spine at each knot."""
    origin_z_mm: float
    """Map z in mm of canonical z = 0."""
    scale_xyz: tuple[float, float, float]
    """Map millimetres per canonical millimetre, so that the canonical trunk fits around this body."""
    dome_mm: float
    left_drop_mm: float
    range_mm: tuple[float, float]
    """Canonical heights between which the map can be trusted: infinite where no organ is cut by the map's
    end."""

    def habitus(self, drawn: Habitus) -> Habitus:
        """The drawn trunk with the diaphragm at this body's height."""
        return replace(drawn, dome_mm=self.dome_mm, left_drop_mm=self.left_drop_mm)

    def pose(self, drawn: Pose) -> Pose:
        """The drawn pose for this body: its own size, changed by the drawn one."""
        sx, sy, sz = (scale * size for scale, size in zip(self.scale_xyz, drawn.size_xyz, strict=True))
        return replace(drawn, size_xyz=(sx, sy, sz))

    def missing(self) -> list[str]:
        """Organs that the map does not have."""
        return [name for name, i in FLARE23.ids.items() if name not in self.organs and i <= 13]


def anatomy_from_labels(
    name: str, labels: npt.NDArray[np.uint8], spacing_zyx_mm: tuple[float, float, float]
) -> AnatomyMap:
    """Prepare a label map (z, y, x) in LPS axes: x to the left, y to the back, z to the head.

    Raises:
        ValueError: liver, aorta or both kidneys are missing, so that the body cannot be oriented.
    """
    ids = FLARE23.ids
    needed = [n for n in ("liver", "aorta") if not (labels == ids[n]).any()]
    kidneys = np.isin(labels, (ids["right kidney"], ids["left kidney"]))
    if needed or not kidneys.any():
        raise ValueError(f"label map {name}: needs liver, aorta and a kidney to be oriented")
    spacing = np.asarray(spacing_zyx_mm)
    origin_z = float(np.flatnonzero(kidneys.any((1, 2))).mean() * spacing[0]) - _CANONICAL_KIDNEYS_Z_MM
    heights, centre = _spine_line(labels == ids["aorta"], spacing, origin_z)
    organs = {}
    for organ, label in ids.items():
        mask = labels == label
        if label <= 13 and mask.any():
            organs[organ] = _organ_map(mask, spacing)
    scale = _trunk_scale(
        np.isin(labels, [ids[n] for n in ("liver", "spleen", "stomach")]), spacing, origin_z, heights, centre
    )
    rows = np.arange(labels.shape[0]) * spacing[0] - origin_z
    right_top = rows[(labels == ids["liver"]).any((1, 2))].max() + 3.0
    left = np.isin(labels, (ids["spleen"], ids["stomach"])).any((1, 2))
    left_top = rows[left].max() + 3.0 if left.any() else right_top - 10.0
    return AnatomyMap(
        name=name,
        organs=organs,
        spacing_zyx_mm=spacing_zyx_mm,
        size_zyx=(labels.shape[0], labels.shape[1], labels.shape[2]),
        heights_mm=heights,
        centre_xy_mm=centre,
        origin_z_mm=origin_z,
        scale_xyz=scale,
        dome_mm=float(right_top),
        left_drop_mm=float(np.clip(right_top - left_top, 0.0, 40.0)),
        range_mm=(
            float(rows[0]) if labels[0].any() else -np.inf,
            float(rows[-1]) if labels[-1].any() else np.inf,
        ),
    )


def _spine_line(
    aorta: npt.NDArray[np.bool_], spacing: npt.NDArray[np.float64], origin_z: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Spine position per height, from the aorta's path less where the aorta lies in the canonical patient."""
    rows, points = [], []
    for z in np.flatnonzero(aorta.any((1, 2))):
        y, x = np.nonzero(aorta[z])
        height = z * spacing[0] - origin_z
        # Above the lower chest the arch turns away from the spine, below L4 the iliac arteries do.
        if -115 < height < 150:
            rows.append(height)
            points.append((x.mean() * spacing[2], y.mean() * spacing[1]))
    knots = np.linspace(min(rows), max(rows), max(3, int((max(rows) - min(rows)) / 45)))
    canonical = np.asarray(_AORTA_MM, dtype=np.float64)
    centre = np.empty((len(knots), 2))
    for axis in range(2):
        offset = np.array([p[axis] for p in points]) - np.interp(
            rows, canonical[:, 0], canonical[:, 1 + axis]
        )
        smooth = ndimage.gaussian_filter1d(offset, 30 / spacing[0], mode="nearest")
        centre[:, axis] = np.interp(knots, rows, smooth)
    return knots, centre


def _trunk_scale(
    organs: npt.NDArray[np.bool_],
    spacing: npt.NDArray[np.float64],
    origin_z: float,
    heights: npt.NDArray[np.float64],
    centre: npt.NDArray[np.float64],
) -> tuple[float, float, float]:
    """How much larger this body is than the canonical one, by how far organs reach sideways and forwards."""
    zz, yy, xx = np.nonzero(organs)
    z = zz * spacing[0] - origin_z
    across = np.abs(xx * spacing[2] - np.interp(z, heights, centre[:, 0]))
    ahead = np.interp(z, heights, centre[:, 1]) - yy * spacing[1]
    # In the canonical body they reach 121 mm to the sides and 124 mm to the front; a little room is left.
    width, depth = float(np.quantile(across, 0.995)) / 116, float(np.quantile(ahead, 0.995)) / 119
    return width, float(np.clip(depth, 0.75 * width, 1.3 * width)), 1.0


def _organ_map(mask: npt.NDArray[np.bool_], spacing: npt.NDArray[np.float64]) -> OrganMap:
    """Signed distance around one organ, smoothed by less than a voxel to take the steps of the voxels off."""
    pad = np.ceil(_PAD_MM / spacing).astype(int)
    found = ndimage.find_objects(mask.astype(np.uint8))[0]
    start = [s.start - p for s, p in zip(found, pad, strict=True)]
    # An organ that the map's end cuts goes on beyond it, or the cut would look like its surface.
    crop = mask[found]
    for axis, (s, p, size) in enumerate(zip(found, pad, mask.shape, strict=True)):
        for ends, cut in (((p, 0), s.start == 0), ((0, p), s.stop == size)):
            crop = np.pad(
                crop, [ends if i == axis else (0, 0) for i in range(3)], mode="edge" if cut else "constant"
            )
    outside = ndimage.distance_transform_edt(~crop, sampling=spacing)
    inside = ndimage.distance_transform_edt(crop, sampling=spacing)
    distance = (outside - inside).astype(np.float32) + np.where(crop, 0.5, -0.5).astype(
        np.float32
    ) * np.float32(spacing.min())
    smooth = ndimage.gaussian_filter(distance, 0.6)
    return OrganMap(smooth, (int(start[0]), int(start[1]), int(start[2])))


def sample_organs(frame: Frame, anatomy: AnatomyMap) -> dict[str, Field]:
    """Distance fields of a map's organs on a frame."""
    whole = frame.whole()
    scale = anatomy.scale_xyz
    z = whole.z * np.float32(scale[2])
    knots = anatomy.heights_mm
    map_x = whole.x * np.float32(scale[0]) + np.interp(z, knots, anatomy.centre_xy_mm[:, 0]).astype(
        np.float32
    )
    map_y = whole.y * np.float32(scale[1]) + np.interp(z, knots, anatomy.centre_xy_mm[:, 1]).astype(
        np.float32
    )
    map_z = z + np.float32(anatomy.origin_z_mm)
    index = [c / np.float32(s) for c, s in zip((map_z, map_y, map_x), anatomy.spacing_zyx_mm, strict=True)]
    return {
        name: field
        for name, organ in anatomy.organs.items()
        if (field := _sample(whole, index, organ)) is not None
    }


def _sample(whole: Region, index: list[FloatArray], organ: OrganMap) -> Field | None:
    inside = np.ones(whole.shape, dtype=bool)
    for axis, start, size in zip(index, organ.start_zyx, organ.distance.shape, strict=True):
        inside &= (axis > start) & (axis < start + size - 1)
    slices = []
    for axis_index in range(3):
        hits = np.flatnonzero(inside.any(axis=tuple(i for i in range(3) if i != axis_index)))
        if hits.size < 2:
            return None
        slices.append(slice(int(hits[0]), int(hits[-1]) + 1))
    box = (slices[0], slices[1], slices[2])
    points = [axis[box] - np.float32(start) for axis, start in zip(index, organ.start_zyx, strict=True)]
    distance = ndimage.map_coordinates(organ.distance, points, order=1, mode="nearest")
    region = Region(box, whole.x[box], whole.y[box], whole.z[box])
    return Field(region, distance)


def fit_trunk(torso: Torso, fields: dict[str, Field]) -> Torso:
    """Move diaphragm and wall around the organs of the map: no liver in the lung, no spleen in a rib."""
    above, cavity, belly = torso.above_dome.copy(), torso.cavity.copy(), torso.belly.copy()
    muscle = torso.muscle.copy()
    for name in ("liver", "spleen", "stomach", "right kidney", "left kidney", "gallbladder"):
        if name not in fields:
            continue
        box, distance = fields[name].region.slices, fields[name].distance
        above[box] = np.minimum(above[box], distance - np.float32(2.5))
        belly[box] = np.minimum(belly[box], distance - np.float32(1.0))
        cavity[box] = np.minimum(cavity[box], distance - np.float32(3.5))
        muscle[box] = np.minimum(muscle[box], distance - np.float32(11))
    skin = np.minimum(torso.skin, muscle - np.float32(4))
    return replace(torso, above_dome=above, cavity=cavity, belly=belly, muscle=muscle, skin=skin)
