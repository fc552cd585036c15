"""How one patient's body differs from the map's: girth, fat, pose, and each organ's size and place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from training.phantom.bodies.body import Body
from training.phantom.frame import FloatArray, Pose, random_pose

_SKIN_MM = 2.0
_RESIZED = (
    "liver",
    "spleen",
    "kidney_left",
    "kidney_right",
    "stomach",
    "gallbladder",
    "pancreas",
    "duodenum",
    "urinary_bladder",
    "adrenal_gland_left",
    "adrenal_gland_right",
)
# Least and largest width, fat and growth in mm, and share of soft tissue, of each build.
_BUILDS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "lean": ((235, 310), (2, 14), (0.5, 5.0), (0.2, 0.9)),
    "medium": ((290, 370), (8, 30), (0.0, 2.5), (0.1, 0.5)),
    "stout": ((340, 430), (22, 55), (0.0, 0.8), (0.0, 0.25)),
}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Habitus and pose of one patient; lengths in millimetres of the patient."""

    width_mm: float
    """Width of the trunk at the first lumbar vertebra, skin to skin."""
    fat_mm: float
    """Fat under the skin at the flank."""
    wall_mm: float
    """Muscle outside of what the map's structures span."""
    growth_mm: float
    """How far organs may grow into the fat between them: in the lean they touch."""
    soft_share: float
    """Share of the space between structures that is mesentery, loops and fascia and not fat."""
    pose: Pose


def random_shape(rng: np.random.Generator, body: Body) -> Shape:
    """Draw a patient: half of them lean, with a body 230 to 310 mm wide and organs that touch."""
    build = str(rng.choice(list(_BUILDS), p=[0.5, 0.3, 0.2]))
    width, fat, growth, soft = (float(rng.uniform(*limits)) for limits in _BUILDS[build])
    wall = float(rng.uniform(3, 10))
    across = float(np.clip((width - 2 * (fat + wall + _SKIN_MM)) / body.hull_width_mm, 0.68, 1.3))
    drawn = random_pose(rng, warp=float(rng.uniform(0.6, 1.5)))
    pose = replace(
        drawn,
        size_xyz=(across, across * float(rng.uniform(0.86, 1.16)), float(rng.uniform(0.86, 1.14))),
        rotation=drawn.rotation @ _tilt(rng),
    )
    return Shape(
        width_mm=width,
        fat_mm=fat,
        wall_mm=wall,
        growth_mm=growth,
        soft_share=soft,
        pose=pose,
    )


def _tilt(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A further turn of patients who do not lie straight, about a random axis (Rodrigues' formula)."""
    angle = np.deg2rad(rng.normal(0, 10 if rng.random() < 0.3 else 3))
    axis = rng.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def move_organs(coordinates_zyx: list[FloatArray], body: Body, rng: np.random.Generator) -> None:
    """Change where map coordinates (mm from the origin) point to, so that organs change size and place.

    Around each organ the map is stretched and shifted under a bell of the organ's size. The stretch stays
    below what would fold space, and neighbours give way with it, so that organs never overlap.
    """
    spacing = np.asarray(body.spacing_zyx_mm)
    for structure in _RESIZED:
        stretch = float(np.exp(rng.normal(0, 0.2)))
        shift = rng.normal(0, 0.12, 3)
        voxels = (
            np.argwhere(body.labels == body.ids[structure]) if structure in body.ids else np.empty((0, 3))
        )
        if not len(voxels):
            continue
        centre = (voxels.mean(0) - body.origin_zyx) * spacing
        radius = max(14.0, 1.3 * float((3 / (4 * np.pi) * len(voxels) * spacing.prod()) ** (1 / 3)))
        # 1 / stretch - 1: a larger organ is read from fewer millimetres of the map.
        strain = float(np.clip(1 / stretch - 1, -0.3, 0.35))
        delta = [c - np.float32(m) for c, m in zip(coordinates_zyx, centre, strict=True)]
        square = delta[0] ** 2 + delta[1] ** 2 + delta[2] ** 2
        near = np.flatnonzero(square < np.float32((3 * radius) ** 2))
        if not near.size:
            continue
        bell = np.exp(square.ravel()[near] * np.float32(-0.5 / radius**2))
        for axis, d, part in zip(coordinates_zyx, delta, shift, strict=True):
            axis.reshape(-1)[near] += bell * (
                d.ravel()[near] * np.float32(strain) + np.float32(part * radius)
            )
