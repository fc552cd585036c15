"""Connected parts of a merged pair, and where each lies across the patient's middle.

`ranks` are (z, y, x) uint8 within a box of the image: 0 outside the organ, 1 the largest part, 2 the next and
so on. Voxels are visited some slices at a time, so that their coordinates never take more than a few tens of
MiB.
"""

from collections.abc import Iterator

import cc3d
import numpy as np

from inference.geometry import Box, Geometry
from inference.postprocessing.label_statistics import count_values
from inference.postprocessing.midline import STRAIGHT, Index, Midline
from inference.postprocessing.sides import BIN_MM, CENTRES_MM, REACH_MM, Part
from model.arrays import F64, U8, Mask

LARGEST = 32
"""Parts that are looked at one by one."""
VOXELS_AT_ONCE = 1 << 20
ELONGATED = 3.0
"""Ratio of variances from which on the long axis of all voxels in the transverse plane is that of two organs,
not of one."""


def rank_parts(mask: Mask) -> tuple[U8, int]:
    """The rank of each voxel's part (z, y, x), and how many parts are ranked, at most `LARGEST`.

    All smaller parts share the rank after the last. Parts touch with their faces: kidneys that meet at an
    edge stay two.
    """
    parts, count = cc3d.connected_components(mask, connectivity=6, return_N=True)
    sizes = count_values(parts, count)
    by_size = 1 + np.argsort(-sizes[1:], kind="stable")
    ranked = min(count, LARGEST)
    rank_of = np.full(count + 1, ranked + 1, np.uint8)
    rank_of[0] = 0
    rank_of[by_size[:ranked]] = np.arange(1, ranked + 1)
    ranks = np.empty(mask.shape, np.uint8)
    for plane, source in zip(ranks, parts, strict=True):
        plane[...] = rank_of[source]
    return ranks, ranked


def voxels(ranks: U8, box: Box) -> Iterator[tuple[Index, Index, U8]]:
    """The ranked voxels: their index in `ranks`, their index in the image, and their rank (n,)."""
    step = max(1, VOXELS_AT_ONCE // (ranks.shape[1] * ranks.shape[2]))
    z0, y0, x0 = box.start_zyx
    for first in range(0, ranks.shape[0], step):
        z, y, x = np.nonzero(ranks[first : first + step])
        z += first
        yield (z, y, x), (z + z0, y + y0, x + x0), ranks[z, y, x]


def measure_parts(ranks: U8, count: int, box: Box, geometry: Geometry, line: Midline) -> list[Part]:
    """What `inference.postprocessing.sides` needs to know of the parts 1 to `count`."""
    bins = CENTRES_MM.size
    profiles = np.zeros((count + 2) * bins)
    foot, head = np.full(count + 2, ranks.shape[0]), np.full(count + 2, -1)
    for (z, _, _), index, rank in voxels(ranks, box):
        place = np.clip((line.lateral_mm(index, geometry) + REACH_MM) / BIN_MM, 0, bins - 1).astype(np.intp)
        profiles += np.bincount(rank * np.intp(bins) + place, minlength=profiles.size)
        np.minimum.at(foot, rank, z)
        np.maximum.at(head, rank, z + 1)
    mm3, mm = geometry.voxel_ml * 1000, geometry.spacing_zyx_mm[0]
    return [
        Part(profile_mm3=profile * mm3, foot_mm=float(a * mm), head_mm=float(b * mm))
        for profile, a, b in zip(profiles.reshape(count + 2, bins)[1:-1], foot[1:-1], head[1:-1], strict=True)
    ]


def left_direction(mask: Mask, geometry: Geometry) -> tuple[float, float]:
    """The patient's left (x, y) in the transverse plane: the long axis of both organs together.

    One organ alone has no clear long axis there; then, and where the axis is more than 45° off, the world's
    is taken.
    """
    to_world = geometry.matrix * geometry.spacing_zyx_mm[::-1]
    variances, axes = np.linalg.eigh((to_world @ _covariance(mask)[::-1, ::-1] @ to_world.T)[:2, :2])
    x, y = axes[:, 1] * np.sign(axes[0, 1])
    return (float(x), float(y)) if variances[1] > ELONGATED * variances[0] and x > abs(y) else STRAIGHT


def _covariance(mask: Mask) -> F64:
    """Covariance (3, 3) of the indices z, y, x of a mask's voxels, from its three projections."""
    spread = np.empty((3, 3))
    grids = [np.arange(size, dtype=np.float64) for size in mask.shape]
    for a, b, along in ((0, 1, 2), (0, 2, 1), (1, 2, 0)):
        weight = np.count_nonzero(mask, axis=along) / np.count_nonzero(mask)
        of_a, of_b = weight.sum(axis=1), weight.sum(axis=0)
        from_a, from_b = grids[a] - of_a @ grids[a], grids[b] - of_b @ grids[b]
        spread[a, b] = spread[b, a] = from_a @ weight @ from_b
        spread[a, a], spread[b, b] = of_a @ from_a**2, of_b @ from_b**2
    return spread
