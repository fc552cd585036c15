"""What a label map holds, and where: one pass over the voxels instead of one for each label.

Arrays are (z, y, x) uint8.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from inference.geometry import Box, box_of
from model.arrays import F64, U8

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Found:
    """One label of a label map."""

    box: Box
    """The smallest box that holds all its voxels."""
    voxels: int
    centre_zyx: tuple[float, float, float]
    """Mean index of its voxels."""


def find_labels(labels: U8) -> dict[int, Found]:
    """Every label above 0 with its box, number of voxels and centre, in the order of the ids.

    Slices, rows and columns without any label are left out before counting starts, so that air costs next to
    nothing.
    """
    foreground = _foreground(labels)
    if foreground is None:
        return {}
    crop, start = np.ascontiguousarray(labels[foreground.slices]), foreground.start_zyx
    counts, boxes, centres = _statistics(crop)
    found = {}
    for label in np.flatnonzero(counts[1:]) + 1:
        (z0, z1, y0, y1, x0, x1), (z, y, x) = (int(edge) for edge in boxes[label]), start
        cz, cy, cx = (float(index) for index in centres[label])
        found[int(label)] = Found(
            box=Box(start_zyx=(z + z0, y + y0, x + x0), stop_zyx=(z + z1 + 1, y + y1 + 1, x + x1 + 1)),
            voxels=int(counts[label]),
            centre_zyx=(z + cz, y + cy, x + cx),
        )
    return found


def box_around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of the given ones, at least one."""
    starts, stops = np.array([box.start_zyx for box in boxes]), np.array([box.stop_zyx for box in boxes])
    (a, b, c), (d, e, f) = (
        (int(index) for index in starts.min(axis=0)),
        (int(index) for index in stops.max(axis=0)),
    )
    return Box(start_zyx=(a, b, c), stop_zyx=(d, e, f))


def look_up(table: U8, labels: U8) -> U8:
    """`table[labels]` for a table of 256, slice by slice.

    numpy would make an index array of eight bytes a voxel.
    """
    answer = np.empty(labels.shape, np.uint8)
    answers = table.tobytes()
    for plane, source in zip(answer, labels, strict=True):
        plane[...] = np.frombuffer(source.tobytes().translate(answers), np.uint8).reshape(source.shape)
    return answer


def count_values(numbers: NDArray[np.unsignedinteger], highest: int) -> Ints:
    """How often each of 1 to `highest` occurs in an array (z, y, x); 0 is not counted. Shape (highest + 1,).

    Slice by slice, which saves memory, and only over the range of numbers in a slice, which saves time:
    connected parts are numbered in the order in which they begin, so that a slice of a map in a million
    crumbs holds few of all numbers.
    """
    counts = np.zeros(highest + 1, np.int64)
    for plane in numbers:
        held = plane[plane > 0]
        if held.size:
            lowest, top = int(held.min()), int(held.max())
            counts[lowest : top + 1] += np.bincount(held - held.dtype.type(lowest))
    return counts


def _foreground(labels: U8) -> Box | None:
    """The box around everything that is labelled; None where nothing is."""
    shadow = np.bitwise_or.reduce(labels, axis=0)
    along_z = np.array([plane.any() for plane in labels], bool)
    return box_of([along_z, shadow.any(axis=1), shadow.any(axis=0)])


def _statistics(crop: U8) -> tuple[Ints, Ints, F64]:
    """Voxel count, box and centre of each label from 0 to the highest one, n labels in all.

    Returns:
        Voxels (n,); inclusive bounds (n, 6) in the order z, z, y, y, x, x; mean index (n, 3) in the order z,
        y, x.
    """
    if crop.size > 256:
        statistics = cc3d.statistics(crop, no_slice_conversion=True)
        return (
            statistics["voxel_counts"].astype(np.int64),
            statistics["bounding_boxes"].astype(np.int64),
            statistics["centroids"],
        )
    # cc3d takes no label that is not below the number of voxels.
    counts = np.bincount(crop.ravel())
    boxes, centres = np.zeros((counts.size, 6), np.int64), np.zeros((counts.size, 3))
    for label in np.flatnonzero(counts):
        places = np.nonzero(crop == label)
        boxes[label] = [edge for place in places for edge in (place.min(), place.max())]
        centres[label] = [place.mean() for place in places]
    return counts, boxes, centres
