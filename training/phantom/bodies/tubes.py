"""Vessels that a map does not hold, laid as tubes through what gives way to them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.phantom.bodies.body_filling import Deformed


def lay_tube(
    deformed: Deformed,
    vessel: int,
    middles_zyx: npt.NDArray[np.float64],
    radii_mm: npt.NDArray[np.float64],
    step_mm: float,
    yields: npt.NDArray[np.bool_],
) -> bool:
    """Lay a tube of spheres, in place; whether any of it is in view.

    Args:
        deformed: the patient; `structures` and `depth_mm` are changed.
        vessel: id that the tube gets.
        middles_zyx: middle of each sphere in voxels, (n, 3); those out of view are left out.
        radii_mm: their radii, (n).
        step_mm: spacing of the arrays.
        yields: which of the 256 ids give way; the vessel's own is crossed as well.
    """
    structures, shape = deformed.structures, np.array(deformed.structures.shape)
    laid = False
    for middle, radius in zip(middles_zyx, radii_mm, strict=True):
        low = np.maximum(np.floor(middle - radius / step_mm).astype(int), 0)
        high = np.minimum(np.ceil(middle + radius / step_mm).astype(int) + 1, shape)
        if (low >= high).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        away = np.ogrid[box]
        distance_mm = step_mm * np.sqrt(sum((a - m) ** 2 for a, m in zip(away, middle, strict=True)))
        tube = (distance_mm <= radius) & (yields[structures[box]] | (structures[box] == vessel))
        structures[box][tube] = vessel
        deformed.depth_mm[box][tube] = np.maximum(deformed.depth_mm[box][tube], radius - distance_mm[tube])
        laid |= bool(tube.any())
    return laid
