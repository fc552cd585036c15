"""The superior mesenteric vein and artery, which maps of the TotalSegmentator data set do not hold.

They run in front of the aorta, the vein on the right, from behind the neck of the pancreas into the
mesentery: round, as bright as the pancreas or brighter, and no part of it. The vein is 9 to 13 mm wide, the
artery, which leaves the aorta at the first lumbar vertebra, 6 to 9 mm (Gray's Anatomy).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.phantom.bodies.body import Body
from training.phantom.bodies.body_filling import Deformed
from training.phantom.bodies.tubes import lay_tube

VEIN, ARTERY = "portal_vein_and_splenic_vein", "iliac_artery_left"
"""Structures of the same blood, whose ids the vessels get."""
_YIELDING = ("small_bowel", "colon", "pancreas", "renal_vein")
_STEP_MM = 1.5


def paint_mesenteric_vessels(
    deformed: Deformed, body: Body, step_mm: float, rng: np.random.Generator
) -> list[str]:
    """Lay the vein and the artery through fat, bowel and pancreas, in place; returns which ones are in view.

    Args:
        deformed: the patient; `structures` and `depth_mm` are changed.
        body: the patient's body, for the ids.
        step_mm: spacing of the arrays.
        rng: source of all randomness.
    """
    # All is drawn first: what is in view does not change the other draws.
    end_mm, start_mm = float(rng.uniform(-130, -70)), float(rng.uniform(-8, 8))
    forward_mm = float(rng.uniform(22, 38))
    to_right_mm, apart_mm = float(rng.uniform(2, 12)), float(rng.uniform(11, 17))
    wave_mm, phase = float(rng.uniform(0, 5)), float(rng.uniform(0, 2 * np.pi))
    vein_mm, artery_mm = float(rng.uniform(4.5, 6.5)), float(rng.uniform(3.0, 4.5))
    if not {"aorta", VEIN, ARTERY} <= body.ids.keys():
        return []
    aorta = _middles(deformed, body.ids["aorta"], end_mm, start_mm + 6)
    if len(aorta) < 2:
        return []
    painted = []
    yields = np.isin(np.arange(256), [0, *body.of(*_YIELDING)])
    heights = np.arange(start_mm, end_mm, -_STEP_MM)
    # How far along, 0 to 1. The artery comes forward in an arch, the vein begins in front, at its confluence.
    along = (start_mm - heights) / (start_mm - end_mm)
    sway = wave_mm * np.sin(6 * along + phase)
    arch = forward_mm * (0.75 + 0.25 * along) * np.clip(along / 0.18, 0.15, 1) ** 0.5
    for name, radius_mm, right_mm, front_mm in (
        (VEIN, vein_mm, to_right_mm + sway, forward_mm * (0.8 + 0.3 * along)),
        (ARTERY, artery_mm, to_right_mm - apart_mm + sway, arch),
    ):
        # Thinner towards the end, where branches have left.
        radii = radius_mm * (1 - 0.5 * along)
        middles = _beside(aorta, heights, right_mm, front_mm, step_mm)
        # They end with the aorta: below its fork, and where the scan does.
        inside = (heights >= aorta[0, 0]) & (heights <= aorta[-1, 0])
        if lay_tube(
            deformed.structures,
            deformed.depth_mm,
            body.ids[name],
            middles[inside],
            radii[inside],
            [step_mm] * 3,
            yields,
        ):
            painted.append(name)
    return painted


def _middles(deformed: Deformed, aorta: int, low_mm: float, high_mm: float) -> npt.NDArray[np.float64]:
    """Rows of (canonical height in mm, z, y, x in voxels) of the aorta's middle, towards the head."""
    rows = []
    heights = np.broadcast_to(deformed.canonical_z_mm, deformed.structures.shape)
    for z in np.flatnonzero((deformed.structures == aorta).any((1, 2))):
        y, x = (float(i.mean()) for i in np.nonzero(deformed.structures[z] == aorta))
        height = float(heights[z, round(y), round(x)])
        if low_mm <= height <= high_mm:
            rows.append((height, z, y, x))
    return np.array(sorted(rows))


def _beside(
    aorta: npt.NDArray[np.float64],
    heights_mm: npt.NDArray[np.float64],
    right_mm: npt.NDArray[np.float64],
    front_mm: npt.NDArray[np.float64],
    step_mm: float,
) -> npt.NDArray[np.float64]:
    """Points (z, y, x) in voxels, so far to the right of the aorta's middle and before it."""
    z, y, x = (np.interp(heights_mm, aorta[:, 0], aorta[:, axis]) for axis in (1, 2, 3))
    return np.stack([z, y - front_mm / step_mm, x - right_mm / step_mm], axis=1)
