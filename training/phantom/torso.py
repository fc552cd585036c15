"""The trunk: skin, fat, muscle wall, the abdominal cavity with the diaphragm above it, and lungs.

All later parts take their bearings from a :class:`Torso`: the cavity's wall shapes liver and spleen, ribs run
in the wall, and bowel fills what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.canvas import Canvas, Field
from training.phantom.frame import FloatArray, Frame, Region, resample
from training.phantom.shapes import ellipsoid, gradient_norm, profile, smooth_max, smooth_min, superellipse
from training.phantom.tissue import Tissues

# Half-axes of the cavity and the height of its centre over the spine, by z.
HALF_WIDTH_MM = (
    (-290, 92), (-220, 102), (-165, 117), (-110, 122), (-60, 118), (0, 124), (60, 131), (130, 128),
    (200, 118), (260, 96), (320, 50),
)  # fmt: skip
HALF_DEPTH_MM = ((-290, 76), (-165, 80), (-60, 84), (40, 92), (110, 96), (200, 90), (270, 66), (320, 38))
CENTRE_Y_MM = ((-290, -42), (0, -38), (120, -36), (320, -15))
# Muscle wall at the flanks and the back (hips and buttocks below), and at the front.
WALL_MM = (
    (-290, 50),
    (-200, 52),
    (-150, 42),
    (-110, 24),
    (-60, 17),
    (0, 15),
    (100, 13),
    (200, 18),
    (300, 40),
)
FRONT_WALL_MM = ((-290, 18), (-200, 11), (-60, 10), (0, 9.5), (60, 10), (100, 12), (200, 18), (300, 40))
# Centre (x, y, z) and radii of left and right ventricle, right and left atrium, mm.
_CHAMBERS_MM = (
    (42, -68, 128, 26, 21, 22),
    (12, -86, 128, 24, 15, 24),
    (-20, -52, 140, 20, 24, 30),
    (14, -38, 156, 26, 16, 20),
)


@dataclass(frozen=True, kw_only=True)
class Habitus:
    """What makes one trunk differ from another, in canonical mm."""

    fat_mm: float
    """Subcutaneous fat at the flank."""
    muscle: float
    """Factor on the thickness of the wall and back muscles."""
    dome_mm: float
    """Height of the right diaphragm dome above the first lumbar vertebra."""
    left_drop_mm: float
    """How much lower the left dome stands."""
    squareness: float
    """Exponent of the cavity's cross-section: 2 is an ellipse."""
    visceral: float
    """Fat between the organs: 0.2 in the lean, whose organs touch, to 2 in the obese."""
    belly_fluid: bool
    """Ascites: fluid instead of fat between the organs."""
    effusion_mm: float
    """Depth of fluid behind the lungs; 0 in most."""


def random_habitus(rng: np.random.Generator) -> Habitus:
    """Draw a trunk, from lean to obese: a third has under 8 mm of fat, so that organs touch."""
    fat_mm = float(np.clip(rng.gamma(1.4, 11.0), 2.0, 55.0))
    return Habitus(
        fat_mm=fat_mm,
        muscle=float(np.clip(rng.normal(1.0, 0.15), 0.65, 1.4)),
        dome_mm=float(rng.normal(124.0, 8.0)),
        left_drop_mm=float(rng.uniform(4.0, 18.0)),
        squareness=float(rng.uniform(2.1, 2.7)),
        visceral=float(np.clip(fat_mm / 20 * rng.lognormal(0, 0.4), 0.2, 2.0)),
        belly_fluid=bool(rng.random() < 0.04),
        effusion_mm=float(rng.uniform(12, 60)) if rng.random() < 0.08 else 0.0,
    )


@dataclass(frozen=True)
class Torso:
    """Distance fields of the trunk on the whole coarse grid, mm (negative inside)."""

    habitus: Habitus
    skin: FloatArray
    muscle: FloatArray
    cavity: FloatArray
    above_dome: FloatArray
    """Height above the diaphragm, measured across it: positive in the chest."""
    belly: FloatArray
    """The abdominal cavity: inside the wall and under the diaphragm."""


def true_distance(frame: Frame, level: FloatArray) -> FloatArray:
    """Turn any smooth level function into a distance near its zero level, by its gradient."""
    steepness = gradient_norm(level, [1 / frame.step_mm] * 3)
    np.clip(steepness, 0.25, 4.0, out=steepness)
    return np.asarray(level / steepness)


def build_torso(frame: Frame, habitus: Habitus, rng: np.random.Generator) -> Torso:
    """Compute the trunk's fields for one patient, on every second grid point, since they are smooth."""
    half = frame.halved()
    fields = _half_fields(half, habitus, rng)
    positions = [np.arange(n) / 2.0 for n in frame.shape]
    skin, muscle, cavity, above, belly = (resample(f, positions) for f in fields)
    return Torso(habitus, skin, muscle, cavity, above, belly)


def _half_fields(frame: Frame, habitus: Habitus, rng: np.random.Generator) -> tuple[FloatArray, ...]:
    """Skin, muscle, cavity, height above the diaphragm and belly."""
    region = frame.whole()
    z_line = region.z
    centre_y = profile(z_line, CENTRE_Y_MM)
    half_x, half_y = profile(z_line, HALF_WIDTH_MM), profile(z_line, HALF_DEPTH_MM)
    y = region.y - centre_y
    cavity = true_distance(frame, superellipse(region.x, y, half_x, half_y, habitus.squareness))
    dome = _dome_height(region, y / half_y, region.x / half_x, habitus)
    above = true_distance(frame, region.z - dome)
    behind = np.clip((y / half_y + np.float32(0.75)) / np.float32(0.6), 0, 1)
    wall = profile(z_line, WALL_MM) * behind + profile(z_line, FRONT_WALL_MM) * (1 - behind)
    # The straight muscles of the belly leave a seam in the midline.
    wall = wall * np.float32(habitus.muscle) - np.float32(4) * (1 - behind) * np.exp(
        -((region.x / 9) ** 2)
    ) * (z_line < 60)
    # The back muscles beside the spine stand out behind the cavity; without them the spinous processes would
    # lie outside.
    wide = profile(z_line, ((-290, 30), (-100, 34), (60, 32), (150, 26)))
    deep = profile(z_line, ((-290, 24), (-60, 27), (60, 24), (150, 20))) * np.float32(habitus.muscle)
    back = superellipse(np.abs(region.x) - np.float32(33), region.y - np.float32(50), wide, deep, 2.4)
    muscle = smooth_min(cavity - wall, true_distance(frame, back), 14.0)
    depth = np.float32(habitus.fat_mm) * profile(
        z_line, ((-290, 1.2), (-120, 1.25), (-40, 1.1), (60, 0.75), (150, 0.6), (300, 0.6))
    )
    depth *= np.float32(1.0) + np.float32(0.25) * np.clip(y / half_y, -1, 1)
    skin = muscle - depth - np.float32(4.0)
    skin += frame.noise(region, 90.0, rng) * np.float32(min(4.0, 0.12 * habitus.fat_mm + 0.5))
    belly = smooth_max(cavity + np.float32(1.5), above, 4.0)
    return skin, muscle, cavity, above, belly


def _dome_height(region: Region, v: FloatArray, u: FloatArray, habitus: Habitus) -> FloatArray:
    """Height of the diaphragm over each axial point.

    U and v are the point's position in the cavity, -1 to 1.
    """
    x, y = region.x, region.y
    left = 1 / (1 + np.exp(-(x - 8) / np.float32(14)))
    top = np.float32(habitus.dome_mm) - np.float32(habitus.left_drop_mm) * left
    # The heart rests on the middle of the diaphragm and flattens it.
    top -= np.float32(13) * np.exp(-(((x - 18) / 34) ** 2) - ((y + 62) / 40) ** 2)
    top -= np.float32(22) * np.exp(-((x / 26) ** 2)) * np.clip(v, 0, 1)
    rim = np.float32(34) - np.float32(30) * np.clip(v, -1.2, 1.2)
    radius = np.sqrt((u / np.float32(0.97)) ** 2 + (v / np.float32(0.96)) ** 2)
    crown = np.sqrt(np.clip(1 - radius**3, 0, 1))
    result: FloatArray = rim + (top - rim) * crown - np.float32(140) * np.clip(radius - 1, 0, None)
    return result


def paint_torso(canvas: Canvas, torso: Torso, tissues: Tissues, rng: np.random.Generator) -> None:
    """Skin, subcutaneous fat, muscles and visceral fat."""
    frame = canvas.frame
    whole = frame.whole()
    strands = frame.noise(whole, 14.0, rng)
    texture = frame.noise(whole, 7.0, rng)
    fat = (
        np.float32(tissues["fat"])
        + np.float32(5) * texture
        + np.float32(rng.uniform(4, 14)) * np.clip(strands - 1.1, 0, None)
    )
    canvas.paint(Field(whole, torso.skin), tissues["skin"])
    canvas.paint(Field(whole, torso.skin + np.float32(2.2)), fat)
    # Fat between the fibres: more of it in weak muscles.
    marbling = np.float32(rng.uniform(4, 16) / torso.habitus.muscle) * (
        frame.noise(whole, 9.0, rng) - np.float32(0.3)
    )
    muscle = np.float32(tissues["muscle"]) - np.clip(marbling, -4, 60)
    canvas.paint(Field(whole, torso.muscle), muscle)
    flank = np.abs(np.abs(torso.cavity - np.float32(8.5)) - np.float32(3.2)) - np.float32(0.7)
    flank = np.maximum(flank, np.maximum(np.float32(55) - np.abs(whole.x), whole.z - np.float32(25)))
    flank = np.maximum(flank, np.float32(-130) - whole.z)
    flank = np.maximum(flank, np.float32(2) * (np.float32(rng.normal(0, 0.7)) - frame.noise(whole, 50, rng)))
    canvas.paint(Field(whole, flank), tissues["fat"])
    visceral = (
        fat
        + np.float32(rng.normal(0, 4))
        + np.float32(rng.choice([0, 0, 0, 8, 20])) * np.clip(strands, 0, None)
    )
    if torso.habitus.belly_fluid:
        visceral = np.float32(tissues["fluid"]) + texture
    canvas.paint(Field(whole, torso.cavity), visceral)


def paint_lungs(canvas: Canvas, torso: Torso, tissues: Tissues, rng: np.random.Generator) -> None:
    """Diaphragm, lungs with branching vessels, heart and great vessels of the chest."""
    frame = canvas.frame
    chest = frame.region((-150, -140, 0), (150, 90, 330))
    if chest.empty:
        return
    above, cavity = torso.above_dome[chest.slices], torso.cavity[chest.slices]
    canvas.paint(
        Field(chest, smooth_max(cavity + np.float32(1), -above - np.float32(0.3), 3)), tissues["muscle"]
    )
    lift = torso.habitus.dome_mm - 124
    core = smooth_min(
        ellipsoid(chest, (2, -30, 190), (24, 52, 150)),
        smooth_min(
            ellipsoid(chest, (22, -62, 132 + lift), (58, 44, 46)),
            ellipsoid(chest, (0, 2, 180), (26, 22, 400)),
            12,
        ),
        14,
    )
    middle = np.maximum(cavity, np.maximum(core, -above + np.float32(2)))
    # The rounded seam keeps lung out of the narrow recess between diaphragm and wall, which is closed at
    # rest.
    recess = float(rng.uniform(8, 30))
    lung = smooth_max(smooth_max(cavity + np.float32(2), np.float32(2.6) - above, recess), -core, 5)
    hu = np.float32(tissues["lung"]) + np.float32(22) * frame.noise(chest, 35, rng)
    # Lung at the back is denser in a patient lying on it.
    hu += np.clip(chest.y, -90, 60) * np.float32(rng.uniform(0.2, 0.9))
    canvas.paint(Field(chest, middle), tissues["fat"] + 10)
    canvas.paint(Field(chest, lung), hu)
    vessels = np.hypot(frame.noise(chest, 26, rng), frame.noise(chest, 26, rng)) - np.float32(0.16)
    vessels = np.maximum(true_distance(frame, vessels), lung + np.float32(3))
    canvas.paint(Field(chest, vessels), tissues["portal vein"] * 0.9)
    if torso.habitus.effusion_mm > 0:
        level = np.float32(52 - torso.habitus.effusion_mm)
        fluid = np.maximum(
            lung + np.float32(0.5), level - chest.y + np.float32(0.15) * (chest.z - np.float32(60))
        )
        canvas.paint(
            Field(chest, np.maximum(fluid, np.float32(rng.uniform(-1, 1) * 90) * np.sign(chest.x) - 45)),
            tissues["fluid"],
        )
    _paint_heart(canvas, torso, tissues, rng)


def _paint_heart(canvas: Canvas, torso: Torso, tissues: Tissues, rng: np.random.Generator) -> None:
    frame = canvas.frame
    lift = torso.habitus.dome_mm - 124
    region = frame.region((-50, -125, 70 + lift), (95, 0, 230 + lift))
    if region.empty:
        return
    above = torso.above_dome[region.slices]
    wobble = frame.noise(region, 45, rng) * np.float32(2.5)
    heart = smooth_min(
        ellipsoid(region, (28, -66, 130 + lift), (48, 38, 36)),
        ellipsoid(region, (-10, -52, 140 + lift), (32, 32, 40)),
        14,
    )
    heart = smooth_max(heart + wobble, np.float32(4) - above, 5)
    canvas.paint(Field(region, heart), tissues["myocardium"])
    for x, y, z, *radii in _CHAMBERS_MM:
        chamber = ellipsoid(region, (x, y, z + lift), (radii[0], radii[1], radii[2]))
        chamber = smooth_max(chamber + wobble, heart + np.float32(3), 4)
        canvas.paint(Field(region, chamber), tissues["heart"])
