"""Random patches, balanced over the channels and varied in pose and intensity.

Shapes: images (z, y, x) float in [0, 1]; channels (z, y, x) uint8; points and centres (z, y, x) in voxels.
All randomness comes from the generator that is handed in: same generator, same patch.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.manifest import Zyx
from training.recipes.recipe import Augmentation

POINTS_PER_CHANNEL = 4096
"""Voxels remembered of each channel as possible patch centres."""


@dataclass(frozen=True, kw_only=True)
class GridCase:
    """A case on the network's grid."""

    name: str
    image: NDArray[np.float16]
    """Network input, (z, y, x), 0 to 1."""
    channels: NDArray[np.uint8]
    """Channel of each voxel, (z, y, x)."""
    points: tuple[NDArray[np.int16], ...]
    """For each channel that is present, in order, some of its voxels, (n, 3)."""

    @property
    def nbytes(self) -> int:
        """Memory that the arrays take, bytes."""
        return self.image.nbytes + self.channels.nbytes + sum(points.nbytes for points in self.points)


def channel_points(channels: NDArray[np.uint8], rng: np.random.Generator) -> tuple[NDArray[np.int16], ...]:
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


def draw_patch(
    case: GridCase,
    patch_zyx: Zyx,
    augmentation: Augmentation,
    rng: np.random.Generator,
    background_share: float | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """One varied patch and the channel of each of its voxels, both of shape `patch_zyx`."""
    if rng.random() < augmentation.slab_chance:
        case = draw_slab(case, augmentation, rng)
    centre = draw_centre(case, patch_zyx, rng, background_share)
    matrix = draw_pose(augmentation, rng)
    image, channels = cut(case, centre, patch_zyx, matrix)
    for axis, name in enumerate("zyx"):
        if name in augmentation.flip_axes and rng.random() < 0.5:
            image, channels = np.flip(image, axis), np.flip(channels, axis)
    return vary_intensity(image, augmentation, rng), np.ascontiguousarray(channels)


def draw_slab(case: GridCase, augmentation: Augmentation, rng: np.random.Generator) -> GridCase:
    """The case as a shorter scan would show it: some of its slices, among them one of a structure drawn evenly from those present."""
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
) -> NDArray[np.float64]:
    """A voxel of a channel drawn evenly from those present, moved inwards so that the patch stays in the image where it fits.

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
    # Along an axis shorter than the patch the image lies in its middle.
    return np.where(size <= 2 * half, size / 2, np.clip(point, half, np.maximum(half, size - half)))


def draw_pose(augmentation: Augmentation, rng: np.random.Generator) -> NDArray[np.float64] | None:
    """Matrix from offsets in the patch to offsets in the image, (3, 3): axial rotation and scaling.

    None for neither.
    """
    if rng.random() >= augmentation.affine_chance:
        return None
    angle = math.radians(rng.uniform(-augmentation.rotation_deg, augmentation.rotation_deg))
    in_plane = 1 + rng.uniform(-augmentation.scale, augmentation.scale)
    along_z = 1 + rng.uniform(-augmentation.scale, augmentation.scale) / 4
    cos, sin = math.cos(angle) * in_plane, math.sin(angle) * in_plane
    return np.array([[along_z, 0, 0], [0, cos, -sin], [0, sin, cos]])


def cut(
    case: GridCase, centre: NDArray[np.float64], patch_zyx: Zyx, matrix: NDArray[np.float64] | None
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """The patch around `centre`, seen through `matrix`; beyond the image it is 0 (air) and background."""
    half = np.array(patch_zyx) / 2
    # Voxel i of a patch lies at i - half + 0.5 from its middle; the centre is a corner between voxels, hence
    # whole numbers.
    centre = np.round(centre - half) + half if matrix is None else centre
    reach = half if matrix is None else np.abs(matrix) @ half + 2
    low = np.floor(centre - reach).astype(int)
    high = np.ceil(centre + reach).astype(int)
    inside = tuple(
        slice(max(0, a), max(0, min(b, n))) for a, b, n in zip(low, high, case.image.shape, strict=True)
    )
    image, channels = case.image[inside].astype(np.float32), case.channels[inside]
    if matrix is None:
        margin = [(s.start - a, b - s.stop) for a, b, s in zip(low, high, inside, strict=True)]
        return np.pad(image, margin), np.pad(channels, margin)
    start = np.array([s.start for s in inside])
    offset = centre - 0.5 - start - matrix @ (half - 0.5)
    return (
        ndimage.affine_transform(image, matrix, offset, patch_zyx, order=1, prefilter=False),
        ndimage.affine_transform(channels, matrix, offset, patch_zyx, order=0, prefilter=False),
    )


def vary_intensity(
    image: NDArray[np.float32], augmentation: Augmentation, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Blur, noise, contrast, brightness and gamma, each with its own chance.

    The result is clipped to [0, 1] again.
    """
    if rng.random() < augmentation.blur_chance:
        # Another sigma along each axis: thick slices blur along z only.
        image = ndimage.gaussian_filter(image, rng.uniform(0, augmentation.blur_voxels, size=3), truncate=3)
    if rng.random() < augmentation.noise_chance:
        sigma = np.float32(rng.uniform(0, augmentation.noise))
        image = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < augmentation.intensity_chance:
        mean = image.mean()
        image = (image - mean) * np.float32(
            1 + rng.uniform(-augmentation.contrast, augmentation.contrast)
        ) + mean
    if rng.random() < augmentation.intensity_chance:
        image = image + np.float32(rng.uniform(-augmentation.shift, augmentation.shift))
    image = np.clip(image, 0, 1)
    if rng.random() < augmentation.intensity_chance:
        exponent = np.float32(1 + rng.uniform(-augmentation.gamma, augmentation.gamma))
        image = image**exponent
    return np.ascontiguousarray(image, np.float32)
