"""How much larger than a patch its crop must be, so that turning and scaling never look beyond it."""

import numpy as np

from model.arrays import F64, Zyx
from training.recipes.batched_augmentation_options import BatchedAugmentation, Rotation


def crop_margin(options: BatchedAugmentation, patch_zyx: Zyx) -> Zyx:
    """Voxels that a crop has beyond its patch on each side, along each axis.

    A patch of 8 × 8 in the plane that is turned by up to 45° reaches 4·√2 = 5.7 from its middle: 2, and one
    more for interpolation. What only flips may do needs no margin.
    """
    half = np.array(patch_zyx) / 2
    reach = half - 0.5  # the middle of the outermost voxels
    if options.rotation is not None and options.rotation.chance:
        reach = _turned(reach, options.rotation)
    if options.scaling is not None and options.scaling.chance:
        largest_step = max(1.0, 1 / options.scaling.size[0])
        reach = reach * (
            (1.0 if options.scaling.axes == "axial" else largest_step),
            largest_step,
            largest_step,
        )
    if options.elastic is not None and options.elastic.chance:
        reach = reach + np.where(
            [options.elastic.axes == "all", True, True], options.elastic.displacement_voxels, 0
        )
    beyond = reach - (half - 0.5)
    z, y, x = (int(np.ceil(side - 1e-9)) + 1 if side > 1e-9 else 0 for side in beyond)
    return z, y, x


def crop_size(options: BatchedAugmentation, patch_zyx: Zyx) -> Zyx:
    """Voxels of the crop that a patch is made of, along each axis."""
    z, y, x = (n + 2 * beyond for n, beyond in zip(patch_zyx, crop_margin(options, patch_zyx), strict=True))
    return z, y, x


def _turned(reach: F64, rotation: Rotation) -> F64:
    """The farthest that any voxel gets along each axis: one plane after the other, never beyond a corner."""
    corner = float(np.linalg.norm(reach))
    for axis, largest in ((2, rotation.other_deg), (1, rotation.other_deg), (0, rotation.axial_deg)):
        first, second = (other for other in range(3) if other != axis)
        angles = np.radians(np.linspace(0, min(largest, 90.0), 91))
        along_first = (reach[first] * np.cos(angles) + reach[second] * np.sin(angles)).max()
        along_second = (reach[second] * np.cos(angles) + reach[first] * np.sin(angles)).max()
        reach = reach.copy()
        reach[first], reach[second] = min(along_first, corner), min(along_second, corner)
    return reach
