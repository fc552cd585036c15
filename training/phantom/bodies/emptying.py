"""The stomach of a patient who has fasted: a band with thick walls, where the map's is full."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from training.phantom.bodies.body import Body
from training.phantom.bodies.body_filling import Deformed

_REACH_MM = 32.0
_MOST_LOST = 0.4


def empty_stomach(deformed: Deformed, body: Body, step_mm: float, rng: np.random.Generator) -> bool:
    """Shrink the stomach towards its middle, in place; whether there is one.

    The inner 8 to 14 mm of each stretch stay, and at least six tenths of its depth: what is left is the wall,
    in folds. What is freed is left to the fat and mesentery between structures.

    Args:
        deformed: the patient; `structures` and `depth_mm` are changed.
        body: the patient's body, for the id.
        step_mm: spacing of the arrays.
        rng: source of all randomness.
    """
    rest_mm = float(rng.uniform(8, 14))
    own = body.ids.get("stomach")
    if own is None:
        return False
    found = ndimage.find_objects((deformed.structures == own).astype(np.uint8))
    if not found:
        return False
    box = found[0]
    structures, depth = deformed.structures[box], deformed.depth_mm[box]
    stomach = structures == own
    inside = np.where(stomach, depth, 0)
    deepest_mm = ndimage.maximum_filter(inside, size=2 * round(_REACH_MM / 2 / step_mm) + 1)
    lost_mm = np.clip(deepest_mm - rest_mm, 0, _MOST_LOST * deepest_mm)
    structures[stomach & (depth < lost_mm)] = 0
    depth[stomach] = np.maximum(depth - lost_mm, 0)[stomach]
    return True
