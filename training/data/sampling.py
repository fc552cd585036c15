"""Where patches are cut: around voxels drawn evenly over the channels, in the whole image or a slab of it.

Shapes: images (z, y, x) float; channels (z, y, x) uint8; points and centres (z, y, x) in voxels. All
randomness comes from the generator that is handed in: same generator, same patch.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.arrays import F32, F64, U8, Zyx
from training.augmentation.appearance import vary_appearance
from training.augmentation.pose import cut, draw_pose, flip
from training.recipes.augmentation_options import Augmentation
from training.recipes.recipe import Recipe

POINTS_PER_CHANNEL = 4096
"""Voxels remembered of each channel as possible patch centres."""


@dataclass(frozen=True, kw_only=True)
class GridCase:
    """A case on the network's grid."""

    name: str
    image: NDArray[np.floating]
    """Network input, (z, y, x); half floats where its values have ends."""
    channels: U8
    """Channel of each voxel, (z, y, x)."""
    points: tuple[NDArray[np.int16], ...]
    """For each channel that is present, in order, some of its voxels, (n, 3)."""

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take, bytes."""
        return self.image.nbytes + self.channels.nbytes + sum(points.nbytes for points in self.points)


def channel_points(channels: U8, rng: np.random.Generator) -> tuple[NDArray[np.int16], ...]:
    """For each channel that is present, in order, up to `POINTS_PER_CHANNEL` of its voxels, evenly drawn.

    (n, 3) each.
    """
    found = []
    flat = channels.reshape(-1)
    for channel in np.flatnonzero(np.bincount(flat, minlength=256)):
        where = np.flatnonzero(flat == channel)
        if where.size > POINTS_PER_CHANNEL:
            where = where[rng.integers(where.size, size=POINTS_PER_CHANNEL)]
        found.append(np.stack(np.unravel_index(where, channels.shape), axis=1).astype(np.int16))
    return tuple(found)


def draw_patch(case: GridCase, recipe: Recipe, rng: np.random.Generator) -> tuple[F32, U8]:
    """One varied patch and the channel of each of its voxels, both of the recipe's patch size."""
    augmentation, patch_zyx = recipe.augmentation, recipe.patch_zyx
    if rng.random() < augmentation.slab_chance:
        case = draw_slab(case, augmentation, rng)
    centre = draw_centre(case, patch_zyx, rng, recipe.sampling.background_share)
    matrix = draw_pose(augmentation, rng)
    image, channels = cut(case.image, case.channels, centre, patch_zyx, matrix)
    image, channels = flip(image, channels, augmentation, rng)
    image = vary_appearance(image, augmentation, rng, recipe.values_limits)
    return image, np.ascontiguousarray(channels)


def draw_slab(case: GridCase, augmentation: Augmentation, rng: np.random.Generator) -> GridCase:
    """The case as a shorter scan would show it: some slices, among them one of a channel drawn evenly."""
    depth = len(case.image)
    thickness = min(depth, int(rng.integers(augmentation.slab_voxels[0], augmentation.slab_voxels[1] + 1)))
    points = case.points[rng.integers(len(case.points))]
    start = int(points[rng.integers(len(points)), 0]) - int(rng.integers(thickness))
    start = min(max(start, 0), depth - thickness)
    inside = slice(start, start + thickness)
    left = (
        points[(points[:, 0] >= start) & (points[:, 0] < inside.stop)] - np.array([start, 0, 0], np.int16)
        for points in case.points
    )
    return replace(
        case,
        image=case.image[inside],
        channels=case.channels[inside],
        points=tuple(points for points in left if len(points)),
    )


def draw_centre(
    case: GridCase, patch_zyx: Zyx, rng: np.random.Generator, background_share: float | None = None
) -> F64:
    """A voxel of a channel drawn evenly, moved inwards so that the patch stays in the image.

    Along an axis on which the image is shorter than the patch it is the image's middle.

    Args:
        case: the case; its first channel is the background.
        patch_zyx: size of the patch.
        rng: source of randomness.
        background_share: chance of a background voxel, 0 to 1; None makes it one channel among the others.
    """
    if background_share is None or len(case.points) == 1:
        points = case.points[rng.integers(len(case.points))]
    elif rng.random() < background_share:
        points = case.points[0]
    else:
        points = case.points[rng.integers(1, len(case.points))]
    point = points[rng.integers(len(points))].astype(np.float64)
    half = np.array(patch_zyx) / 2
    size = np.array(case.image.shape, np.float64)
    return np.where(size <= 2 * half, size / 2, np.clip(point, half, np.maximum(half, size - half)))
