"""Scans of other parts of the body, in which there is no organ to find: heads, necks and limbs.

Coarse on purpose: what a network must learn from them is that bone, muscle, air and round soft tissue alone
are no abdomen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.phantom.bodies.slices import random_slices, scan
from training.phantom.canvas import Canvas, Field
from training.phantom.case import PhantomCase
from training.phantom.frame import Frame, random_pose
from training.phantom.scanner import finish, random_scanner
from training.phantom.shapes import curve, ellipsoid, tube
from training.phantom.tissue import Tissues, random_tissues

PARTS = ("head and neck", "legs", "leg", "shoulders")
"""Parts of the body that can be drawn."""
_STEP_MM = 2.0


def elsewhere_case(rng: np.random.Generator, part: str | None = None) -> PhantomCase:
    """Draw a scan without abdominal organs.

    Raises:
        ValueError: there is no such part.
    """
    if part is not None and part not in PARTS:
        raise ValueError(f"unknown part {part!r}; known: {', '.join(PARTS)}")
    drawn = str(rng.choice(PARTS))
    part = part or drawn
    tissues, slices = random_tissues(rng), random_slices(rng)
    length = max(float(rng.uniform(40, 240)), slices.length_of(8))
    half_x, half_y = {
        "leg": (80, 80),
        "legs": (200, 95),
        "head and neck": (105, 120),
        "shoulders": (240, 130),
    }[part]
    margin = rng.uniform(5, 50, 2)
    size_mm = np.array([length, 2 * (half_y + margin[1]), 2 * (half_x + margin[0])])
    size = np.ceil(size_mm / _STEP_MM).astype(int)
    frame = Frame(
        pose=random_pose(rng),
        origin_xyz_mm=-size_mm[::-1] / 2,
        step_mm=_STEP_MM,
        shape=(int(size[0]), int(size[1]), int(size[2])),
    )
    canvas = Canvas.over(frame)
    if part == "leg":
        _leg(canvas, tissues, rng, 0.0)
    elif part == "legs":
        for side in (-1, 1):
            _leg(canvas, tissues, rng, side * float(rng.uniform(82, 105)))
    elif part == "shoulders":
        _shoulders(canvas, tissues, rng)
    else:
        _head(canvas, tissues, rng)
    image = ndimage.gaussian_filter(canvas.image, 0.4)
    image, labels = scan(image, np.zeros(frame.shape, dtype=np.uint8), _STEP_MM, slices)
    image, labels = _cropped(image, labels, rng)
    spacing = (slices.spacing_mm, _STEP_MM, _STEP_MM)
    return PhantomCase(
        image=finish(image, random_scanner(rng, slices.thickness_mm), spacing, rng),
        labels=labels,
        spacing_xyz_mm=(_STEP_MM, _STEP_MM, slices.spacing_mm),
        origin_xyz_mm=(0.0, 0.0, 0.0),
        direction=np.eye(3),
        info={
            "phase": tissues.phase,
            "coverage": part,
            "anatomy": "elsewhere",
            "absent_ids": list(range(1, 14)),
            "slice_mm": slices.thickness_mm,
        },
    )


def _cropped(
    image: npt.NDArray[np.floating], labels: npt.NDArray[np.uint8], rng: np.random.Generator
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.uint8]]:
    """Half of the scans are cut around something inside the body, as around a tumor."""
    if rng.random() < 0.5:
        return image, labels
    box = []
    for n in image.shape[1:]:
        width = int(rng.uniform(0.45, 0.9) * n)
        start = int(rng.integers(0, n - width + 1))
        box.append(slice(start, start + width))
    return image[:, box[0], box[1]], labels[:, box[0], box[1]]


def _tissue_lumps(
    canvas: Canvas, field: Field, hu: float, rng: np.random.Generator, tissues: Tissues
) -> None:
    """Muscles with seams of fat between them, and mottle."""
    frame, region = canvas.frame, field.region
    mottle = np.float32(rng.uniform(3, 12)) * frame.noise(region, 9, rng)
    canvas.paint(field, np.float32(hu) + mottle)
    seam = np.abs(frame.noise(region, float(rng.uniform(22, 40)), rng)) * 8 - np.float32(
        rng.uniform(0.3, 1.2)
    )
    canvas.paint(Field(region, np.maximum(seam, field.distance + 2)), tissues["fat"])
    mass = float(rng.uniform(0, 1))
    if mass < 0.4:
        # A tumor, a joint's fluid or a vessel: a round thing alone does not make an organ.
        x, y = rng.uniform(-35, 35, 2)
        middle = (float(region.x.mean() + x), float(region.y.mean() + y), float(region.z.mean()))
        radii = tuple(float(r) for r in rng.uniform(12, 45, 3))
        ball = ellipsoid(region, middle, (radii[0], radii[1], radii[2]))
        lump = np.float32(rng.uniform(5, 110)) + np.float32(8) * frame.noise(region, 15, rng)
        canvas.paint(Field(region, np.maximum(ball, field.distance + 3)), lump)


def _leg(canvas: Canvas, tissues: Tissues, rng: np.random.Generator, x: float) -> None:
    frame = canvas.frame
    whole = frame.whole()
    low, high = float(whole.z.min()) - 40, float(whole.z.max()) + 40
    y, radius, fat = float(rng.normal(0, 8)), float(rng.uniform(52, 90)), float(rng.uniform(3, 25))

    def limb(width: float, taper: float, dx: float = 0.0, dy: float = 0.0) -> Field:
        ends = [(x + dx, y + dy, low, width * taper), (x + dx * 0.8, y + dy, high, width)]
        return Field(whole, tube(frame, whole, curve(ends, 6.0), reach_mm=40))

    skin = limb(radius, float(rng.uniform(0.7, 1.0)))
    canvas.paint(skin, tissues["skin"])
    canvas.paint(Field(whole, skin.distance + 2), tissues["fat"])
    _tissue_lumps(canvas, Field(whole, skin.distance + np.float32(2 + fat)), tissues["muscle"], rng, tissues)
    bone = limb(float(rng.uniform(13, 22)), 0.9, float(rng.normal(0, 8)), float(rng.normal(0, 8)))
    canvas.paint(bone, tissues["cortical bone"] * 1.7)
    canvas.paint(Field(whole, bone.distance + np.float32(rng.uniform(2, 6))), float(rng.uniform(-60, 150)))
    for _ in range(2):
        canvas.paint(limb(4.0, 0.9, float(rng.normal(0, 18)), float(rng.normal(0, 18))), tissues["cava"])


def _head(canvas: Canvas, tissues: Tissues, rng: np.random.Generator) -> None:
    """Skull with brain and air-filled cavities above, a neck with spine, airway and vessels below."""
    frame = canvas.frame
    whole = frame.whole()
    base = float(rng.uniform(-90, 90))
    neck = tube(frame, whole, curve([(0, 10, base - 260, 62), (0, 12, base, 58)], 6.0), reach_mm=40)
    if rng.random() < 0.5:
        neck = np.minimum(neck, ellipsoid(whole, (0, 20, base - 190), (190, 85, 70)))
    skull = ellipsoid(whole, (0, 0, base + 60), (76, 94, 88))
    face = ellipsoid(whole, (0, -48, base - 5), (58, 52, 68))
    skin = np.minimum(np.minimum(neck, skull - 7), face)
    canvas.paint(Field(whole, skin), tissues["skin"])
    canvas.paint(Field(whole, skin + 2), tissues["fat"] + 20)
    _tissue_lumps(canvas, Field(whole, skin + np.float32(rng.uniform(4, 9))), tissues["muscle"], rng, tissues)
    spine = tube(frame, whole, curve([(0, 40, base - 260, 17), (0, 22, base, 14)], 5.0))
    canvas.paint(Field(whole, spine), tissues["cortical bone"] * 0.7)
    canvas.paint(Field(whole, spine + 3), tissues["marrow"])
    canvas.paint(Field(whole, skull), tissues["cortical bone"] * 1.7)
    brain = np.float32(rng.uniform(28, 40)) + np.float32(4) * frame.noise(whole, 14, rng)
    canvas.paint(Field(whole, skull + np.float32(rng.uniform(5, 9))), brain)
    ventricles = ellipsoid(whole, (0, 0, base + 66), (14, 34, 14))
    canvas.paint(Field(whole, ventricles), 8.0)
    jaw = np.maximum(np.abs(face + 14) - 5, whole.z - np.float32(base - 8))
    canvas.paint(Field(whole, np.maximum(jaw, whole.y + 25)), tissues["cortical bone"] * 1.6)
    for x, y, z, rx, ry, rz in (
        (-24, -52, 12, 14, 16, 18),
        (24, -52, 12, 14, 16, 18),
        (0, -50, 14, 12, 32, 24),
    ):
        canvas.paint(Field(whole, ellipsoid(whole, (x, y, base + z), (rx, ry, rz))), -950.0)
    airway = tube(frame, whole, curve([(0, -12, base - 260, 9), (0, -18, base - 20, 10)], 5.0))
    canvas.paint(Field(whole, airway), -980.0)
    thyroid = ellipsoid(whole, (0, -14, base - 130), (26, 14, 22))
    canvas.paint(Field(whole, np.maximum(thyroid, 1 - airway)), tissues["thyroid"])
    for side in (-1, 1):
        for x, tissue, radius in ((27, "aorta", 3.5), (36, "cava", 6.0)):
            ends = [(side * x, 2, base - 260, radius), (side * x, 5, base, radius)]
            canvas.paint(Field(whole, tube(frame, whole, curve(ends, 5.0))), tissues[tissue])


def _shoulders(canvas: Canvas, tissues: Tissues, rng: np.random.Generator) -> None:
    """Upper chest with the tips of the lungs, shoulder blades and arms."""
    frame = canvas.frame
    whole = frame.whole()
    trunk = ellipsoid(whole, (0, 0, -20), (175, 100, 400))
    arms = [
        tube(frame, whole, curve([(s * 195, 10, -400, 45), (s * 185, 5, 400, 48)], 10.0), reach_mm=30)
        for s in (-1, 1)
    ]
    skin = np.minimum(trunk, np.minimum(*arms))
    canvas.paint(Field(whole, skin), tissues["skin"])
    canvas.paint(Field(whole, skin + 2), tissues["fat"])
    _tissue_lumps(
        canvas, Field(whole, skin + np.float32(rng.uniform(5, 20))), tissues["muscle"], rng, tissues
    )
    top = float(rng.uniform(-60, 120))
    for side in (-1, 1):
        lung = ellipsoid(whole, (side * 62, 5, top - 140), (52, 66, 140))
        canvas.paint(Field(whole, np.abs(lung - 4) - 4), tissues["marrow"] * 1.5)
        canvas.paint(Field(whole, lung), tissues["lung"])
        bone = tube(frame, whole, curve([(side * 192, 8, -400, 12), (side * 182, 5, 400, 13)], 6.0))
        canvas.paint(Field(whole, bone), tissues["cortical bone"] * 1.6)
        canvas.paint(Field(whole, bone + 4), 40.0)
    spine = tube(frame, whole, curve([(0, 52, -400, 20), (0, 40, 400, 16)], 6.0))
    canvas.paint(Field(whole, spine), tissues["cortical bone"] * 0.7)
    canvas.paint(Field(whole, spine + 3), tissues["marrow"])
    vessels = (("aorta", 14, 11.0), ("cava", -20, 9.0), ("aorta", 24, 4.0), ("cava", -36, 5.0))
    for tissue, x, radius in vessels:
        ends = [(x, -15, -400, radius), (x, -20, 400, radius)]
        canvas.paint(Field(whole, tube(frame, whole, curve(ends, 5.0))), tissues[tissue])
    airway = tube(frame, whole, curve([(0, 0, -400, 9), (0, -8, 400, 9)], 5.0))
    canvas.paint(Field(whole, airway), -980.0)
