"""What the whole project shares of arrays: types by what they hold, and how often each id occurs.

Arrays are (z, y, x), as SimpleITK hands them; a tuple says in its name which axes it runs along.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Zyx = tuple[int, int, int]
"""Voxels along z, y, x."""
ZyxMm = tuple[float, float, float]
"""Millimetres along z, y, x."""

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Voxels = NDArray[Any]
"""Voxels of an image: int16 where that holds every value of its file, float32 else."""

Counts = NDArray[np.intp]
"""A number for each of the ids 0 to 255."""


def counts_of_ids(ids: U8) -> Counts:
    """How many voxels have each of the 256 ids.

    Args:
        ids: of voxels, (z, y, x).
    """
    counts = np.zeros(256, np.intp)
    for plane in ids:  # At once it would take 8 bytes a voxel.
        counts += np.bincount(plane.ravel(), minlength=256)
    return counts
