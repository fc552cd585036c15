"""Rotation, scaling and mirroring of patches: a patch is cut from an image as seen through a matrix.

Shapes: images (z, y, x) float; channels (z, y, x) uint8; centres (z, y, x) in voxels; matrices (3, 3) from
offsets in the patch to offsets in the image. All randomness comes from the generator that is handed in.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.arrays import F32, F64, U8, Zyx
from training.recipes.augmentation_options import PatchAugmentation


def draw_pose(augmentation: PatchAugmentation, rng: np.random.Generator) -> F64 | None:
    """A rotation and scaling in the axial plane, with a little scaling along z; None for neither."""
    if rng.random() >= augmentation.affine_chance:
        return None
    angle = math.radians(rng.uniform(-augmentation.rotation_deg, augmentation.rotation_deg))
    in_plane = 1 + rng.uniform(-augmentation.scale, augmentation.scale)
    along_z = 1 + rng.uniform(-augmentation.scale, augmentation.scale) / 4
    cos, sin = math.cos(angle) * in_plane, math.sin(angle) * in_plane
    return np.array([[along_z, 0, 0], [0, cos, -sin], [0, sin, cos]])


def cut(
    image: NDArray[np.floating], channels: U8, centre: F64, patch_zyx: Zyx, matrix: F64 | None
) -> tuple[F32, U8]:
    """The patch around `centre`, seen through `matrix`; beyond the image it is 0 and background."""
    half = np.array(patch_zyx) / 2
    # Voxel i of a patch lies at i - half + 0.5 from its middle; the centre is a corner between voxels, hence
    # whole numbers.
    centre = np.round(centre - half) + half if matrix is None else centre
    reach = half if matrix is None else np.abs(matrix) @ half + 2
    low = np.floor(centre - reach).astype(int)
    high = np.ceil(centre + reach).astype(int)
    inside = tuple(
        slice(max(0, a), max(0, min(b, n))) for a, b, n in zip(low, high, image.shape, strict=True)
    )
    part, ids = image[inside].astype(np.float32), channels[inside]
    if matrix is None:
        margin = [(s.start - a, b - s.stop) for a, b, s in zip(low, high, inside, strict=True)]
        return np.pad(part, margin), np.pad(ids, margin)
    start = np.array([s.start for s in inside])
    offset = centre - 0.5 - start - matrix @ (half - 0.5)
    return (
        ndimage.affine_transform(part, matrix, offset, patch_zyx, order=1, prefilter=False),
        ndimage.affine_transform(ids, matrix, offset, patch_zyx, order=0, prefilter=False),
    )


def flip(
    image: F32, channels: U8, augmentation: PatchAugmentation, rng: np.random.Generator
) -> tuple[F32, U8]:
    """Image (…, z, y, x) and channels mirrored along each axis named, with chance 0.5 each; views."""
    for axis, name in enumerate("zyx"):
        if name in augmentation.flip_axes and rng.random() < 0.5:
            image, channels = np.flip(image, axis - 3), np.flip(channels, axis)
    return image, channels
