"""Types that the whole project shares: sizes along named axes, and arrays by what they hold.

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
