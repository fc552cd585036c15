"""Blur, noise, contrast, brightness and gamma of patches.

Shapes: images (z, y, x) float32. All randomness comes from the generator that is handed in.
"""

import numpy as np
from scipy import ndimage

from model.arrays import F32
from training.recipes.augmentation_options import PatchAugmentation

Limits = tuple[float, float]
"""Lowest and highest value that an image can have."""


def vary_appearance(
    image: F32, augmentation: PatchAugmentation, rng: np.random.Generator, limits: Limits | None
) -> F32:
    """Blur, noise, contrast, brightness and gamma, each with its own chance.

    Args:
        image: a patch of network input.
        augmentation: chances and strengths, in the image's units.
        rng: source of randomness.
        limits: to which the result is clipped; None where values have no ends, as after a z-score.
    """
    if rng.random() < augmentation.blur_chance:
        # Another sigma along each axis: thick slices blur along z only.
        image = ndimage.gaussian_filter(image, rng.uniform(0, augmentation.blur_voxels, size=3), truncate=3)
    if rng.random() < augmentation.noise_chance:
        sigma = np.float32(rng.uniform(0, augmentation.noise))
        image = image + sigma * rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < augmentation.intensity_chance:
        mean = image.mean()
        factor = np.float32(1 + rng.uniform(-augmentation.contrast, augmentation.contrast))
        image = (image - mean) * factor + mean
    if rng.random() < augmentation.intensity_chance:
        image = image + np.float32(rng.uniform(-augmentation.shift, augmentation.shift))
    if limits is not None:
        image = np.clip(image, *limits)
    if rng.random() < augmentation.intensity_chance:
        exponent = np.float32(1 + rng.uniform(-augmentation.gamma, augmentation.gamma))
        image = _power(image, exponent, limits)
    return np.ascontiguousarray(image, np.float32)


def _power(image: F32, exponent: np.float32, limits: Limits | None) -> F32:
    """The image to a power, between its ends, which stay where they are."""
    if limits == (0.0, 1.0):
        return np.asarray(image**exponent, np.float32)
    low, high = (float(image.min()), float(image.max())) if limits is None else limits
    width = max(high - low, 1e-6)
    return np.asarray(((image - low) / width) ** exponent * width + low, np.float32)
