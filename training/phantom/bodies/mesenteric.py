"""The superior mesenteric vein and artery, which maps of the TotalSegmentator data set do not hold.

They run in front of the aorta, the vein on the right, from behind the neck of the pancreas into the
mesentery: round, as bright as the pancreas or brighter, and no part of it. The vein is 9 to 13 mm wide, the
artery, which leaves the aorta at the first lumbar vertebra, 6 to 9 mm (Gray's Anatomy).
"""

from __future__ import annotations

import numpy as np

from training.phantom.bodies.additions import Additions

VEIN, ARTERY = "superior_mesenteric_vein", "superior_mesenteric_artery"
_YIELDING = ("small_bowel", "colon", "pancreas", "renal_vein")
_STEP_MM = 1.5


def lay_mesenteric_vessels(whole: Additions, rng: np.random.Generator) -> None:
    """Add the vein and the artery, through fat, bowel and pancreas; neither where there is no aorta.

    Args:
        whole: the patient's map.
        rng: source of all randomness.
    """
    # All is drawn first: what is there does not change the other draws.
    end_mm, start_mm = float(rng.uniform(-130, -70)), float(rng.uniform(-8, 8))
    forward_mm = float(rng.uniform(22, 38))
    to_right_mm, apart_mm = float(rng.uniform(2, 12)), float(rng.uniform(11, 17))
    wave_mm, phase = float(rng.uniform(0, 5)), float(rng.uniform(0, 2 * np.pi))
    vein_mm, artery_mm = float(rng.uniform(4.5, 6.5)), float(rng.uniform(3.0, 4.5))
    aorta = whole.course("aorta")
    if aorta is None:
        return
    heights = np.arange(start_mm, end_mm, -_STEP_MM)
    z = whole.z_of(heights)
    # They end with the aorta, below its fork.
    inside = (z >= aorta.z[0]) & (z <= aorta.z[-1])
    # How far along, 0 to 1. The artery comes forward in an arch, the vein begins in front, at its confluence.
    along = (start_mm - heights) / (start_mm - end_mm)
    sway = wave_mm * np.sin(6 * along + phase)
    arch = forward_mm * (0.75 + 0.25 * along) * np.clip(along / 0.18, 0.15, 1) ** 0.5
    for name, radius_mm, right_mm, front_mm in (
        (VEIN, vein_mm, to_right_mm + sway, forward_mm * (0.8 + 0.3 * along)),
        (ARTERY, artery_mm, to_right_mm - apart_mm + sway, arch),
    ):
        away_mm = np.stack([np.zeros(len(z)), -front_mm, -right_mm], axis=1)
        # Thinner towards the end, where branches have left.
        radii_mm = radius_mm * (1 - 0.5 * along)
        way = aorta.at(z) + away_mm / whole.spacing
        whole.lay_tube(name, way[inside], radii_mm[inside], _YIELDING)
