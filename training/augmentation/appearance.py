"""Noise, blur, brightness, contrast, low resolution, gamma and histogram shift of patches on their device.

Shapes: images (z, y, x) float32, one channel of one patch.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.augmentation.draws import Key, Purpose, around_one, generator
from training.augmentation.separable import apply_along, blur_matrix, low_resolution_matrix
from training.recipes.augmentation_options import (
    Augmentation,
    Blur,
    Brightness,
    Contrast,
    Gamma,
    HistogramShift,
    LowResolution,
    Noise,
)

SMALLEST = 1e-7
"""What a range or a deviation is at least, so that an image of one value stays finite."""
Limits = tuple[float, float]
"""Lowest and highest value that an image can have."""


def vary_values(
    image: Tensor, options: Augmentation, key: Key, channel: int, limits: Limits | None
) -> Tensor:
    """The image after all changes that its key draws; the very image where there is none.

    Args:
        image: one channel of a patch.
        options: what may be done to it.
        key: of the patch.
        channel: its number; every channel looks different on its own.
        limits: to which the result is clipped; None where values have no ends, as after a z-score.
    """
    changed = image
    for purpose, change in CHANGES.items():
        chosen = getattr(options, purpose)
        if chosen is not None:
            rng = generator(key, purpose, channel)
            if rng.random() < chosen.chance:
                changed = change(changed, chosen, rng)
    if limits is not None and changed is not image:
        changed = changed.clamp(*limits)
    return changed


def add_noise(image: Tensor, options: Noise, rng: np.random.Generator) -> Tensor:
    """Gaussian noise, drawn on the image's device: CPU and GPU draw different numbers of the same kind."""
    deviation = rng.uniform(*options.deviation)
    source = torch.Generator(image.device).manual_seed(int(rng.integers(2**63)))
    drawn = torch.randn(image.shape, generator=source, device=image.device, dtype=image.dtype)
    return image.add(drawn, alpha=deviation)


def blur(image: Tensor, options: Blur, rng: np.random.Generator) -> Tensor:
    """Gaussian blur with a sigma of its own along each axis: thick slices blur along z only."""
    sigmas = rng.uniform(*options.sigma_voxels, 3)
    matrices = [blur_matrix(sigma, side) for sigma, side in zip(sigmas.tolist(), image.shape, strict=True)]
    return apply_along(image, [matrix.to(image.device) for matrix in matrices])


def change_brightness(image: Tensor, options: Brightness, rng: np.random.Generator) -> Tensor:
    """Values times a factor plus a shift."""
    factor, shift = rng.uniform(*options.factor), rng.uniform(-options.shift, options.shift)
    return image * factor + shift


def change_contrast(image: Tensor, options: Contrast, rng: np.random.Generator) -> Tensor:
    """Values farther from their mean, or nearer."""
    factor, mean = around_one(rng, options.factor), image.mean()
    changed = (image - mean) * factor + mean
    return torch.clamp(changed, image.min(), image.max()) if options.keep_range else changed


def lower_resolution(image: Tensor, options: LowResolution, rng: np.random.Generator) -> Tensor:
    """The image as a coarser grid would show it."""
    share = rng.uniform(*options.size)
    matrices = [low_resolution_matrix(share, side).to(image.device) for side in image.shape]
    return apply_along(image, [None if options.axes == "axial" else matrices[0], *matrices[1:]])


def change_gamma(image: Tensor, options: Gamma, rng: np.random.Generator) -> Tensor:
    """Values to a power, between the lowest and the highest of them."""
    exponent, low = around_one(rng, options.exponent), image.min()
    width = (image.max() - low).clamp(min=SMALLEST)
    changed = ((image - low) / width).pow(exponent) * width + low
    if not options.keep_statistics:
        return changed
    deviation, mean = torch.std_mean(image)
    new_deviation, new_mean = torch.std_mean(changed)
    return (changed - new_mean) * (deviation / new_deviation.clamp(min=SMALLEST)) + mean


def change_inverted_gamma(image: Tensor, options: Gamma, rng: np.random.Generator) -> Tensor:
    """Gamma of the negative image: bright values are bent as dark ones else are."""
    return -change_gamma(-image, options, rng)


def shift_histogram(image: Tensor, options: HistogramShift, rng: np.random.Generator) -> Tensor:
    """Values through a curve of straight pieces that rises from the lowest to the highest of them."""
    curve = np.linspace(0, 1, options.points)
    for point in range(1, options.points - 1):
        curve[point] = rng.uniform(curve[point - 1], curve[point + 1])
    heights = torch.tensor(curve, dtype=image.dtype, device=image.device)
    low = image.min()
    width = (image.max() - low).clamp(min=SMALLEST)
    place = (image - low) * ((options.points - 1) / width)
    piece = place.floor().clamp(0, options.points - 2)
    index = piece.long()
    below, rise = heights[index], heights.diff()[index]
    return (below + (place - piece) * rise) * width + low


CHANGES: Mapping[Purpose, Callable[[Tensor, Any, np.random.Generator], Tensor]] = MappingProxyType(
    {
        "noise": add_noise,
        "blur": blur,
        "brightness": change_brightness,
        "contrast": change_contrast,
        "low_resolution": lower_resolution,
        "inverted_gamma": change_inverted_gamma,
        "gamma": change_gamma,
        "histogram_shift": shift_histogram,
    }
)
"""What does each change of values, in their order."""
