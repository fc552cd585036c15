"""What a label map holds, and where: one pass over the voxels instead of one for each label.

Arrays are (z, y, x) uint8.
"""

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from inference.geometry import Box

U8 = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One label of a label map."""

    box: Box
    """The smallest box that holds all its voxels."""
    voxels: int


def find_labels(labels: U8) -> dict[int, Found]:
    """Every label above 0 with its bounding box and its number of voxels, in the order of the ids.

    Slices and rows without any label are left out before counting starts, so that air costs next to nothing.
    """
    start, stop = _foreground(labels)
    if start == stop:
        return {}
    crop = np.ascontiguousarray(labels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))])
    counts, boxes = _statistics(crop)
    found = {}
    for label in np.flatnonzero(counts[1:]) + 1:
        (z0, z1, y0, y1, x0, x1), (z, y, x) = (int(edge) for edge in boxes[label]), start
        box = Box(start_zyx=(z + z0, y + y0, x + x0), stop_zyx=(z + z1 + 1, y + y1 + 1, x + x1 + 1))
        found[int(label)] = Found(box=box, voxels=int(counts[label]))
    return found


def _foreground(labels: U8) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and one past the last index along each axis that holds a label; equal where there is none."""
    shadow = np.bitwise_or.reduce(labels, axis=0)
    along_z = np.array([plane.any() for plane in labels], bool)
    held = [np.flatnonzero(line) for line in (along_z, shadow.any(axis=1), shadow.any(axis=0))]
    if not held[0].size:
        return (0, 0, 0), (0, 0, 0)
    return tuple(int(index[0]) for index in held), tuple(int(index[-1]) + 1 for index in held)


def _statistics(crop: U8) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels (n,) and inclusive bounds (n, 6) as z, z, y, y, x, x of the labels 0 to n - 1."""
    if crop.size > 256:
        statistics = cc3d.statistics(crop, no_slice_conversion=True)
        return statistics["voxel_counts"].astype(np.int64), statistics["bounding_boxes"].astype(np.int64)
    # cc3d takes no label that is not below the number of voxels.
    counts = np.bincount(crop.ravel())
    boxes = np.zeros((counts.size, 6), np.int64)
    for label in np.flatnonzero(counts):
        places = np.nonzero(crop == label)
        boxes[label] = [edge for place in places for edge in (place.min(), place.max())]
    return counts, boxes
