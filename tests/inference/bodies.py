"""Bodies of ellipsoids with a name each, drawn into label maps, for tests of left and right.

Patient coordinates in mm: x to the left, y to posterior, z up, the aorta at (0, 0) unless a case says
otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from inference.geometry import Geometry
from model.labels import FLARE23

RIGHT, LEFT = "right kidney", "left kidney"
RIGHT_ADRENAL, LEFT_ADRENAL = "right adrenal gland", "left adrenal gland"
BOTH = "both kidneys, cut at x = 0"
KIDNEY_RADII = (26, 24, 48)


@dataclass(frozen=True)
class Ball:
    """An ellipsoid; later ones of a body lie over earlier ones."""

    name: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float] = KIDNEY_RADII


KIDNEY_R, KIDNEY_L = Ball(RIGHT, (-70, 30, 0)), Ball(LEFT, (70, 30, 10))
ADRENAL_R, ADRENAL_L = (
    Ball(RIGHT_ADRENAL, (-38, 8, 62), (12, 12, 15)),
    Ball(LEFT_ADRENAL, (40, 4, 55), (12, 12, 15)),
)
AORTA = Ball("aorta", (0, 0, 0), (10, 10, 1e6))
CAVA = Ball("inferior vena cava", (-26, -8, 0), (12, 10, 1e6))
LIVER, SPLEEN = Ball("liver", (-75, -30, 75), (70, 60, 40)), Ball("spleen", (105, 30, 70), (24, 30, 30))
NORMAL = (LIVER, SPLEEN, CAVA, AORTA, KIDNEY_R, KIDNEY_L, ADRENAL_R, ADRENAL_L)
SPINELESS = tuple(ball for ball in NORMAL if ball not in (AORTA, CAVA))
HORSESHOE = (
    AORTA, CAVA, ADRENAL_R, ADRENAL_L,
    Ball(BOTH, (-55, 30, 0)), Ball(BOTH, (55, 30, 0)), Ball(BOTH, (0, -22, -35), (60, 11, 14)),
    Ball(BOTH, (-44, 5, -35), (18, 30, 12)),
    Ball(BOTH, (44, 5, -35), (18, 30, 12)),
)  # fmt: skip


def without(*gone: Ball) -> tuple[Ball, ...]:
    return tuple(ball for ball in NORMAL if ball not in gone)


@dataclass(frozen=True)
class Case:
    body: tuple[Ball, ...]
    turned: float = 0.0
    """Degrees in the transverse plane."""
    tilted: float = 0.0
    """Degrees in the coronal plane."""
    bend: Callable[[np.ndarray], np.ndarray] | None = None
    """Where the middle lies (mm to the left) at each height."""
    box: tuple[tuple[float, float], tuple[float, float]] = ((-110, 110), (-180, 180))
    """What the image shows along z and x."""
    right: float = 1.0
    """Share of each structure that must be found on its side."""


CASES = {
    "two kidneys": Case(NORMAL),
    "right kidney only": Case(without(KIDNEY_L)),
    "left kidney only": Case(without(KIDNEY_R)),
    "right side only, no adrenals": Case((AORTA, KIDNEY_R)),
    "a shrunken left kidney": Case((*without(KIDNEY_L), Ball(LEFT, (60, 30, 0), (10, 10, 16)))),
    "right kidney in two fragments": Case(
        (*without(KIDNEY_R), Ball(RIGHT, (-70, 30, 30), (25, 24, 16)),
         Ball(RIGHT, (-70, 30, -25), (25, 24, 28)))
    ),
    "one kidney, two fragments above each other": Case(
        (*without(KIDNEY_R, KIDNEY_L), Ball(LEFT, (70, 30, 30), (25, 24, 18)),
         Ball(LEFT, (68, 30, -20), (25, 24, 25)))
    ),
    "one kidney, two fragments beside each other": Case(
        (*without(KIDNEY_R, KIDNEY_L), Ball(LEFT, (50, 30, 0), (12, 24, 40)),
         Ball(LEFT, (88, 30, 0), (14, 24, 44)))
    ),
    "left kidney in two pieces far apart, right one shrunken": Case(
        (AORTA, Ball(LEFT, (40, 30, 0), (12, 24, 40)), Ball(LEFT, (102, 30, 0), (14, 24, 44)),
         Ball(RIGHT, (-60, 30, 0), (12, 12, 15)))
    ),
    "a crumb on each side": Case(
        (*NORMAL, Ball(RIGHT, (-20, 40, -80), (7, 7, 7)), Ball(LEFT, (25, -60, 60), (7, 7, 7)))
    ),
    "a cyst of the left kidney reaches across": Case(
        (AORTA, Ball(LEFT, (44, -50, 0), (60, 36, 60)), KIDNEY_R)
    ),
    "a single left kidney reaches across": Case((AORTA, Ball(LEFT, (40, -50, 0), (60, 36, 60)))),
    "kidneys touch on the midline": Case(
        (AORTA, Ball(BOTH, (-32, 32, 0), (34, 22, 48)), Ball(BOTH, (32, 32, 0), (34, 22, 48))), right=0.97
    ),
    "kidneys pressed flat against each other": Case(
        (AORTA, Ball(BOTH, (0, 36, 0), (70, 24, 45))), right=0.97
    ),
    "a small kidney touches a large one": Case(
        (AORTA, Ball(BOTH, (-26, 32, 0), (28, 20, 26)), Ball(BOTH, (42, 32, 0), (44, 24, 50))), right=0.97
    ),
    "horseshoe": Case(HORSESHOE, right=0.97),
    "horseshoe, patient turned": Case(HORSESHOE, turned=28, right=0.97),
    "horseshoe without adrenals, patient turned back": Case(
        HORSESHOE[:2] + HORSESHOE[4:], turned=-28, right=0.97
    ),
    "an infant's horseshoe": Case(
        (
            Ball("aorta", (0, 0, 0), (5, 5, 1e6)), Ball(BOTH, (-18, 10, 0), (9, 9, 18)),
            Ball(BOTH, (18, 10, 0), (9, 9, 18)),
            Ball(BOTH, (0, 10, -10), (20, 5, 6)),
        ),
        right=0.97,
    ),
    "crossed: the lower kidney is the other side's": Case(
        (*without(KIDNEY_R, KIDNEY_L), Ball(RIGHT, (-70, 30, 42), (26, 24, 40)),
         Ball(LEFT, (-55, 25, -55), (26, 24, 40)))
    ),
    "crossed and fused: no border to be seen": Case(
        (*without(KIDNEY_R, KIDNEY_L), Ball(RIGHT, (-70, 30, 30), (26, 24, 45)),
         Ball(RIGHT, (-58, 25, -45), (26, 24, 45)))
    ),
    "pelvic kidney on the midline": Case((*without(KIDNEY_L), Ball(LEFT, (-4, 10, -75), (34, 26, 30)))),
    "scoliosis: the whole body bends": Case(NORMAL, bend=lambda z: 45 * np.sin(z / 60)),
    "scoliosis: the aorta bows around both kidneys": Case(
        (Ball("aorta", (105, 0, 0), (10, 10, 1e6)), Ball(RIGHT, (-60, 30, 0)), Ball(LEFT, (45, 30, 0)))
    ),
    "the aorta lies far to the left": Case((*without(AORTA), Ball("aorta", (44, -20, 0), (10, 10, 1e6)))),
    "stray pieces of aorta": Case(
        (*NORMAL, Ball("aorta", (90, -60, 0), (9, 9, 60)), Ball("aorta", (-100, -80, 40), (5, 5, 20)))
    ),
    "turned to the left": Case(NORMAL, turned=30),
    "turned to the right": Case(NORMAL, turned=-30),
    "turned, right kidney only": Case(without(KIDNEY_L), turned=-30),
    "turned, left kidney only": Case(without(KIDNEY_R), turned=30),
    "tilted": Case(NORMAL, tilted=30),
    "tilted back, left kidney only": Case(without(KIDNEY_R), tilted=-30),
    "no aorta": Case(without(AORTA)),
    "no aorta, right kidney only": Case(without(AORTA, KIDNEY_L)),
    "no vessel": Case(SPINELESS),
    "no vessel, left kidney only": Case(tuple(ball for ball in SPINELESS if ball != KIDNEY_R)),
    "no vessel, turned": Case(SPINELESS, turned=30),
    "no vessel, patient lies far to the left": Case(SPINELESS, box=((-110, 110), (-240, 120))),
    "kidneys alone, patient lies far to the left": Case(
        (KIDNEY_R, KIDNEY_L, ADRENAL_R, ADRENAL_L), box=((-110, 110), (-240, 120))
    ),
    "upper slab: adrenals alone": Case(NORMAL, box=((56, 68), (-180, 180))),
    "lower slab: tips of the kidneys": Case(NORMAL, box=((-46, -34), (-180, 180))),
    "three slices": Case(NORMAL, box=((20, 30), (-180, 180))),
    "one slice": Case(NORMAL, box=((20, 23), (-180, 180))),
    "image shows the right side only": Case(NORMAL, box=((-110, 110), (-180, 8))),
    "image shows the left side only": Case(NORMAL, box=((-110, 110), (-8, 180))),
    "image shows the right side only, no vessel": Case(SPINELESS, box=((-110, 110), (-180, -10))),
    "image shows the left side only, no vessel": Case(SPINELESS, box=((-110, 110), (10, 180))),
    "adrenals alone": Case((AORTA, ADRENAL_R, ADRENAL_L)),
    "adrenals alone, none but the cava": Case((CAVA, ADRENAL_R, ADRENAL_L)),
    "nothing": Case((AORTA,)),
}  # fmt: skip


def draw(case: Case, step_mm: float = 4.0) -> tuple[np.ndarray, Geometry]:
    """Label map (z, y, x) with FLARE23 ids and its grid."""
    (z0, z1), (x0, x1) = case.box
    z, y, x = np.meshgrid(
        *(np.arange(a, b, step_mm) for a, b in ((z0, z1), (-120, 120), (x0, x1))), indexing="ij"
    )
    geometry = Geometry(size_zyx=z.shape, spacing_zyx_mm=(step_mm,) * 3, origin_xyz_mm=(x0, -120.0, z0))
    turn, tilt = np.deg2rad([case.turned, case.tilted])
    x, y = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    x, z = np.cos(tilt) * x + np.sin(tilt) * z, np.cos(tilt) * z - np.sin(tilt) * x
    x = x - case.bend(z) if case.bend else x
    labels = np.zeros(z.shape, np.uint8)
    for ball in case.body:
        inside = (
            sum(((at - c) / r) ** 2 for at, c, r in zip((x, y, z), ball.centre, ball.radii, strict=True)) <= 1
        )
        if ball.name == BOTH:
            labels[inside] = np.where(x[inside] > 0, FLARE23.ids[LEFT], FLARE23.ids[RIGHT])
        else:
            labels[inside] = FLARE23.ids[ball.name]
    return labels, geometry
