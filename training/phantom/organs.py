"""The thirteen organs as distance fields in the canonical patient.

Each builder takes a :class:`Site` (frame, trunk, random generator) and returns a field: a signed distance in
mm on the box of the coarse grid that the organ can occupy. Positions are canonical millimetres (x left, y
back, z head; origin in L1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.phantom.bones import spine_block
from training.phantom.canvas import Field
from training.phantom.frame import FloatArray, Frame, Region
from training.phantom.shapes import (
    Point,
    curve,
    ellipsoid,
    path_bounds,
    slab_segment,
    smooth_max,
    smooth_min,
    tube,
)
from training.phantom.torso import Torso


@dataclass(frozen=True)
class Site:
    """Where organs are drawn, and the randomness they are drawn with."""

    frame: Frame
    torso: Torso
    rng: np.random.Generator

    def jitter(self, sigma_mm: float) -> Point:
        """Random displacement in mm, limited to two deviations."""
        x, y, z = np.clip(self.rng.normal(0, sigma_mm, 3), -2 * sigma_mm, 2 * sigma_mm)
        return float(x), float(y), float(z)

    def factor(self, sigma: float) -> float:
        """Random size factor around 1, limited to two deviations."""
        return float(np.clip(self.rng.normal(1, sigma), 1 - 2 * sigma, 1 + 2 * sigma))

    def rough(self, region: Region, distance: FloatArray, bumps: Sequence[tuple[float, float]]) -> FloatArray:
        """Move the surface by smooth noise: pairs of (wavelength, amplitude) in mm."""
        for wavelength, amplitude in bumps:
            distance = distance + self.frame.noise(region, wavelength, self.rng) * np.float32(amplitude)
        return distance

    def path_field(
        self,
        points: Sequence[Sequence[float]],
        *,
        spacing_mm: float = 2.0,
        flatten: Point = (1, 1, 1),
        bumps: Sequence[tuple[float, float]] = (),
        reach_mm: float = 6.0,
    ) -> Field:
        """Tube through control points (x, y, z, radius); distances are known up to `reach_mm` outside."""
        path = curve(points, spacing_mm)
        region = self.frame.region(*path_bounds(path, flatten))
        if region.empty:
            return Field(region, region.x)
        # Noise on top of a distance that ends at too small a value would make islands out there.
        swing = 3.5 * float(np.sqrt(sum(amplitude**2 for _, amplitude in bumps)))
        return Field(
            region, self.rough(region, tube(self.frame, region, path, flatten, reach_mm + swing), bumps)
        )


def moved(
    points: Sequence[Sequence[float]],
    by: Point,
    scale: float = 1.0,
    spread: npt.NDArray[np.float64] | None = None,
) -> list[list[float]]:
    """Control points displaced by `by`, radii times `scale`, each point with its own `spread` if given."""
    result = np.array(points, dtype=np.float64)
    result[:, :3] += by
    result[:, 3] *= scale
    if spread is not None:
        result[:, :3] += spread
    return [[float(v) for v in row] for row in result]


def tilt(ax: float, ay: float, az: float) -> npt.NDArray[np.float64]:
    """Rotation matrix from angles about x, y, z in degrees."""
    x, y, z = np.deg2rad([ax, ay, az])
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(np.einsum("ij,jk,kl->il", rz, ry, rx))


def liver(site: Site) -> Field:
    """Fills the right upper belly under the dome; thins out to a left lobe in front of the stomach."""
    region = site.frame.region((-140, -140, -110), (110, 70, 150))
    if region.empty:
        return Field(region, region.x)
    rng, x, y, z = site.rng, region.x, region.y, region.z
    belly = site.torso.belly[region.slices] + np.float32(rng.uniform(0.3, 2.0))
    tip, reach = float(np.clip(rng.normal(-50, 17), -90, -15)), float(rng.normal(66, 20))
    # Height of the lower surface from right to left, and how far back the liver goes.
    low = np.interp(x, [-115, -85, -50, -20, 15, 60, 100], [tip, tip + 8, tip + 38, 6, 14, 52, 95]).astype(
        np.float32
    )
    low = low + np.clip(-60 - y, -60, 60) * np.float32(0.22)
    # Lower down the right lobe keeps more to the side, which leaves room for duodenum and pancreas.
    across = x + np.clip(8 - z, 0, 70) * np.float32(0.55)
    back = np.interp(across, [-60, -36, -18, 0, 25, 70], [90, 22, -28, -42, -48, -60]).astype(np.float32)
    back += np.clip((z - 70) * np.float32(0.35), 0, 22)
    shape = smooth_max(low - z, y - back, 16) * np.float32(0.8)
    shape = smooth_max(shape, (x - reach) * np.float32(0.9) + np.abs(y + 80) * np.float32(0.15), 20)
    shape = site.rough(region, shape, [(80, 4.0), (35, 1.6)])
    hilum = ellipsoid(region, (-22, -55, 14), (20, 9, 16))
    shape = smooth_max(shape, -hilum, 8)
    fissure = np.maximum(
        np.abs(x - 8 + (y + 70) * np.float32(0.2)) - np.float32(rng.uniform(0.5, 3)),
        np.maximum(z - 48, y + 62),
    )
    shape = smooth_max(shape, -fissure, 4)
    shape = smooth_max(shape, -spine_block(region) + 7, 8)
    return Field(region, smooth_max(shape, belly, 5))


def spleen(site: Site) -> Field:
    """A thick shell under the left chest wall, hollowed on the side of stomach and kidney."""
    region = site.frame.region((20, -80, -60), (150, 75, 130))
    if region.empty:
        return Field(region, region.x)
    size = site.factor(0.14)
    dx, dy, dz = site.jitter(6)
    belly = site.torso.belly[region.slices] + np.float32(site.rng.uniform(0.5, 2.5))
    patch = ellipsoid(region, (98 + dx, 12 + dy, 46 + dz), (64, 52 * size, 60 * size), tilt(25, 0, 0))
    patch = site.rough(region, patch, [(45, 3.0)])
    thickness = np.float32(site.rng.uniform(37, 51) * size)
    inner = -belly - thickness * (1 - np.clip(patch + 45, 0, 45) / 90)
    shape = smooth_max(patch, site.rough(region, inner, [(40, 2.0)]), 10)
    return Field(region, smooth_max(shape, belly, 5))


def kidney(site: Site, side: int) -> tuple[Field, Field]:
    """One kidney (side -1 right, +1 left) and its sinus, which is not part of the organ."""
    size = site.factor(0.09)
    dx, dy, dz = site.jitter(5)
    centre = (side * 73 + dx, 10 + dy, (-34 if side < 0 else -22) + dz)
    region = site.frame.region(
        (centre[0] - 45, centre[1] - 42, centre[2] - 70), (centre[0] + 45, centre[1] + 42, centre[2] + 70)
    )
    if region.empty:
        return Field(region, region.x), Field(region, region.x)
    turn = tilt(site.rng.normal(-12, 4), side * site.rng.normal(13, 4), side * site.rng.normal(28, 8))
    body = ellipsoid(region, centre, (28.5 * size, 26 * size, 55 * size), turn)
    body = site.rough(region, body, [(50, 2.5), (20, 0.8)])
    inward = turn[:, 0] * -side
    hilum = tuple(float(c + 21 * size * i) for c, i in zip(centre, inward, strict=True))
    sinus = ellipsoid(region, (hilum[0], hilum[1], hilum[2]), (19 * size, 7.5 * size, 20 * size), turn)
    sinus = site.rough(region, sinus, [(16, 2.2)])
    clear = smooth_max(body, -spine_block(region) + 2, 5)
    return Field(region, smooth_max(clear, -sinus, 3)), Field(region, np.maximum(sinus, body))


def stomach(site: Site) -> Field:
    """J-shaped, from the fundus under the left dome to the pylorus right of the midline."""
    rng = site.rng
    fill = float(rng.uniform(0.68, 1.12))
    points = [
        (66, -4, 94, 25), (65, -24, 80, 35), (63, -54, 50, 33), (55, -72, 16, 29), (36, -80, -8, 24),
        (12, -82, -14, 20),
        (-10, -78, -8, 16), (-28, -72, -2, 9),
    ]  # fmt: skip
    spread = rng.normal(0, 5, (len(points), 3))
    spread[-1] *= 0.3
    spread[:, 2] += (
        np.linspace(0, 1, len(points)) ** 2 * rng.normal(-4, 8) * (np.arange(len(points)) < len(points) - 1)
    )
    field = site.path_field(
        moved(points, (0, 0, 0), fill, spread), spacing_mm=4, bumps=[(45, 3.0), (22, 1.5)], reach_mm=12
    )
    if field.region.empty:
        return field
    belly = site.torso.belly[field.region.slices]
    return Field(field.region, smooth_max(field.distance, belly + np.float32(2.0), 6))


def duodenum(site: Site) -> Field:
    """The C-loop from the pylorus around the pancreas's head, below it across the midline, to the jejunum."""
    points = [
        (-28, -72, -2, 9), (-42, -64, 4, 12), (-54, -52, -8, 11), (-56, -44, -34, 11.5), (-52, -42, -58, 12),
        (-38, -46, -70, 11),
        (-12, -53, -72, 10), (10, -55, -69, 9.5), (28, -50, -56, 10), (34, -50, -34, 10),
    ]  # fmt: skip
    spread = site.rng.normal(0, 3.0, (len(points), 3))
    spread[0] = 0
    return site.path_field(
        moved(points, site.jitter(2), 0.95 * site.factor(0.1), spread), bumps=[(18, 1.2)], reach_mm=12
    )


def pancreas(site: Site) -> Field:
    """Head in the duodenal loop, neck before the mesenteric vein, body over the spine, tail to the spleen."""
    size = 0.93 * site.factor(0.12)
    spread = site.rng.normal(0, 2.5, (7, 3))
    points = [
        (-34, -56, -46, 11), (-33, -58, -30, 14.5), (-22, -62, -14, 13), (-2, -69, 0, 9.5),
        (20, -64, 10, 10.5), (46, -44, 20, 11),
        (74, -18, 30, 10.5),
    ]  # fmt: skip
    body = site.path_field(
        moved(points, site.jitter(2), size, spread), flatten=(1.05, 0.92, 1.15), reach_mm=16
    )
    if body.region.empty:
        return body
    uncinate = ellipsoid(body.region, (-20, -50, -40), (15, 8, 15))
    distance = smooth_min(body.distance, uncinate, 8)
    # Lobules: the older the patient, the deeper the clefts.
    lobules = float(site.rng.uniform(0.8, 2.6))
    return Field(body.region, site.rough(body.region, distance, [(30, 1.5), (9, lobules)]))


def aorta(site: Site) -> Field:
    """From the chest to the bifurcation at L4, slightly left of the midline in the abdomen."""
    width = site.factor(0.1)
    points = [
        (3, -34, -121, 8), (6, -34, -90, 8.5), (9, -33, -50, 9), (8, -32, 0, 9.8), (7, -30, 40, 10.5),
        (11, -26, 80, 11.5),
        (18, -19, 125, 12), (23, -14, 180, 12.5), (25, -12, 235, 13), (22, -22, 265, 14),
    ]  # fmt: skip
    spread = np.repeat(site.rng.normal(0, 1.8, (len(points), 1)), 3, axis=1) * np.array([1.0, 0.3, 0.0])
    return site.path_field(moved(points, (0, 0, 0), width, spread), reach_mm=12)


def vena_cava(site: Site) -> Field:
    """Right of the aorta; behind the liver it comes forward and ends in the right atrium."""
    points = [
        (-14, -32, -130, 8.5), (-19, -33, -100, 9), (-21, -34, -50, 9.5), (-22, -36, 0, 10),
        (-24, -40, 40, 10.5),
        (-26, -46, 75, 11), (-24, -52, 105, 11.5), (-20, -55, 124, 12),
    ]  # fmt: skip
    flat = float(site.rng.uniform(0.6, 1.0))
    spread = site.rng.normal(0, 1.5, (len(points), 3)) * np.array([1, 0.6, 0])
    return site.path_field(
        moved(points, (0, 0, 0), site.factor(0.1), spread), flatten=(1.25, flat, 1.0), reach_mm=12
    )


def adrenal(site: Site, side: int) -> Field:
    """Thin limbs: an inverted Y on the left, a slanted V behind the vena cava on the right."""
    dx, dy, dz = site.jitter(2)
    apex = (-29 + dx, -22 + dy) if side < 0 else (31 + dx, -24 + dy)
    centre_z = (36 if side < 0 else 28) + dz
    height = 17 * site.factor(0.12)
    region = site.frame.region(
        (apex[0] - 40, apex[1] - 25, centre_z - 32), (apex[0] + 40, apex[1] + 45, centre_z + 32)
    )
    if region.empty:
        return Field(region, region.x)
    # The plates lean: lower down the limbs sit further apart from the spine.
    lean = (region.z - np.float32(centre_z)) * np.float32(0.22)
    shifted = Region(region.slices, region.x + side * lean, region.y + lean * np.float32(0.6), region.z)
    thick = float(site.rng.uniform(3.0, 4.6))
    limb = float(site.rng.uniform(17, 24))
    medial = (apex[0] + side * 1.0, apex[1] + limb)
    lateral = (apex[0] + side * limb * 0.62, apex[1] + limb * 0.85)
    body = slab_segment(shifted, apex, medial, thick)
    second = slab_segment(shifted, apex, lateral, thick) + np.clip(
        region.z - np.float32(centre_z + 4), 0, 12
    ) * np.float32(0.25)
    distance = smooth_min(body, second, 2.5)
    if side > 0:
        distance = smooth_min(
            distance, slab_segment(shifted, apex, (apex[0] - 3.0, apex[1] - 7.0), thick + 0.5), 2.5
        )
    distance = smooth_max(distance, np.abs(region.z - np.float32(centre_z)) - np.float32(height), 5)
    return Field(region, site.rough(region, distance, [(18, 0.7)]))


def gallbladder(site: Site) -> Field:
    """A pear under the right lobe, its bottom forward and down."""
    size = site.factor(0.18)
    dx, dy, dz = site.jitter(5)
    points = [
        (-44, -62, 8, 4.5),
        (-52, -68, -4, 9),
        (-62, -78, -18, 14),
        (-68, -86, -30, 14.5),
        (-70, -90, -38, 11),
    ]
    return site.path_field(moved(points, (dx, dy, dz), size), bumps=[(30, 1.0)], reach_mm=12)


def esophagus(site: Site) -> Field:
    """Behind the heart, through the hiatus in front of the aorta, to the stomach."""
    points = [
        (42, -24, 78, 9), (27, -34, 86, 9), (14, -42, 100, 9), (6, -40, 122, 9), (2, -35, 160, 8.5),
        (0, -30, 200, 8),
        (2, -28, 250, 8), (3, -30, 300, 8),
    ]  # fmt: skip
    spread = site.rng.normal(0, 1.5, (len(points), 3)) * np.array([1, 0.6, 0])
    return site.path_field(
        moved(points, (0, 0, 0), site.factor(0.13), spread),
        flatten=(1.15, 0.9, 1.0),
        bumps=[(25, 0.8)],
        reach_mm=12,
    )
