"""Connected parts of a merged pair, and where each lies across the patient's middle.

A part's rank is 1 for the largest, 2 for the next and so on. Voxels are visited some at a time, so that
their coordinates never take more than a few tens of MiB.
"""

import numpy as np

from inference.geometry import Geometry
from inference.postprocessing.midline import STRAIGHT, Midline
from inference.postprocessing.runs import Axis, Runs, count_along, number_parts, voxels_of
from inference.postprocessing.sides import BIN_MM, CENTRES_MM, REACH_MM, Part
from model.arrays import F64, U8

LARGEST = 32
"""Parts that are looked at one by one."""
ELONGATED = 3.0
"""Ratio of variances from which on the long axis of all voxels in the transverse plane is that of two organs,
not of one."""


def rank_parts(pair: Runs) -> tuple[U8, int]:
    """The rank of each run's part (n,), and how many parts are ranked, at most `LARGEST`.

    All smaller parts share the rank after the last. Parts touch with their faces: kidneys that meet at an
    edge stay two.
    """
    parts, sizes = number_parts(pair, touching=6)
    by_size = np.argsort(-sizes, kind="stable")
    ranked = min(sizes.size, LARGEST)
    rank_of = np.full(sizes.size, ranked + 1, np.uint8)
    rank_of[by_size[:ranked]] = np.arange(1, ranked + 1)
    return rank_of[parts], ranked


def measure_parts(pair: Runs, ranks: U8, count: int, geometry: Geometry, line: Midline) -> list[Part]:
    """What `inference.postprocessing.sides` needs to know of the parts 1 to `count`."""
    bins = CENTRES_MM.size
    profiles = np.zeros((count + 2) * bins)
    for index, number in voxels_of(pair):
        place = np.clip((line.lateral_mm(index, geometry) + REACH_MM) / BIN_MM, 0, bins - 1).astype(np.intp)
        profiles += np.bincount(ranks[number] * np.intp(bins) + place, minlength=profiles.size)
    foot, head = np.full(count + 2, pair.size_zyx[0]), np.full(count + 2, -1)
    np.minimum.at(foot, ranks, pair.z)
    np.maximum.at(head, ranks, pair.z + 1)
    mm3, mm = geometry.voxel_ml * 1000, geometry.spacing_zyx_mm[0]
    return [
        Part(profile_mm3=profile * mm3, foot_mm=float(a * mm), head_mm=float(b * mm))
        for profile, a, b in zip(profiles.reshape(count + 2, bins)[1:-1], foot[1:-1], head[1:-1], strict=True)
    ]


def left_direction(pair: Runs, geometry: Geometry) -> tuple[float, float]:
    """The patient's left (x, y) in the transverse plane: the long axis of both organs together.

    One organ alone has no clear long axis there; then, and where the axis is more than 45° off, the world's
    is taken.
    """
    to_world = geometry.matrix * geometry.spacing_zyx_mm[::-1]
    variances, axes = np.linalg.eigh((to_world @ _covariance(pair)[::-1, ::-1] @ to_world.T)[:2, :2])
    x, y = axes[:, 1] * np.sign(axes[0, 1])
    return (float(x), float(y)) if variances[1] > ELONGATED * variances[0] and x > abs(y) else STRAIGHT


def _covariance(pair: Runs) -> F64:
    """Covariance (3, 3) of the indices z, y, x of the voxels, from their three projections."""
    spread = np.empty((3, 3))
    grids = [np.arange(size, dtype=np.float64) for size in pair.size_zyx]
    planes: tuple[tuple[Axis, Axis, Axis], ...] = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
    for a, b, along in planes:
        counts = count_along(pair, along)
        weight = counts / counts.sum()
        of_a, of_b = weight.sum(axis=1), weight.sum(axis=0)
        from_a, from_b = grids[a] - of_a @ grids[a], grids[b] - of_b @ grids[b]
        spread[a, b] = spread[b, a] = from_a @ weight @ from_b
        spread[a, a], spread[b, b] = of_a @ from_a**2, of_b @ from_b**2
    return spread
