"""How long it takes to cut and vary a patch on the training device."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch

from inference.preprocessing.intensity import NOTHING
from model.arrays import Zyx
from training.augmentation.patches import augment_batch, needed_crop
from training.data.sampling import GridCase, class_points, draw_patch
from training.data.stored_arrays import StoredImage
from training.recipes.augmentation_options import (
    Augmentation,
    Blur,
    Brightness,
    Contrast,
    Elastic,
    Flips,
    Gamma,
    LowResolution,
    Noise,
    Rotation,
    Scaling,
    usual_augmentation,
)
from training.recipes.loading import load_recipe
from training.recipes.recipe import Recipe

AXIAL_AFFINE = Augmentation(rotation=Rotation(axial_deg=15), scaling=Scaling(size=(0.85, 1.15)))
LIKE_NNUNET = Augmentation(
    rotation=Rotation(chance=0.2, axial_deg=30, other_deg=30),
    scaling=Scaling(chance=0.2, size=(0.7, 1.4), axes="all"),
    flips=Flips(axes=("z", "y", "x")),
    noise=Noise(chance=0.1),
    blur=Blur(chance=0.1),
    brightness=Brightness(chance=0.15, factor=(0.75, 1.25)),
    contrast=Contrast(chance=0.15),
    low_resolution=LowResolution(chance=0.125),
    inverted_gamma=Gamma(chance=0.1),
    gamma=Gamma(chance=0.3),
)
WAYS: Mapping[str, Augmentation] = MappingProxyType(
    {
        "the demo's": usual_augmentation(),
        "a turn in the axial plane alone": AXIAL_AFFINE,
        "deformation in the axial plane alone": Augmentation(elastic=Elastic()),
        "nnU-Net's": LIKE_NNUNET,
    }
)
"""What is measured, by name."""


@dataclass(frozen=True, kw_only=True)
class PatchTime:
    """Time of one patch."""

    mean_s: float
    """Mean over all patches: what a run takes."""
    median_s: float
    """Half of the patches take less."""
    cpu_s: float
    """Mean time that processors worked on it, all threads together."""


def measure(augmentation: Augmentation, patch_zyx: Zyx, patches: int, device: torch.device) -> PatchTime:
    """Cut and vary patches of a made-up case, the first two unmeasured."""
    recipe = replace(load_recipe("demo"), augmentation=augmentation, patch_zyx=patch_zyx)
    case = noise_case(patch_zyx, recipe)
    seconds, worked = [], 0.0
    for number in range(-2, patches):
        started, worked_before = time.perf_counter(), time.process_time()
        _on_device(case, recipe, number + 2, device)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if number >= 0:
            seconds.append(time.perf_counter() - started)
            worked += time.process_time() - worked_before
    return PatchTime(
        mean_s=statistics.mean(seconds), median_s=statistics.median(seconds), cpu_s=worked / patches
    )


def _on_device(case: GridCase, recipe: Recipe, number: int, device: torch.device) -> None:
    options, key = recipe.augmentation, (0, number)
    crop_zyx = needed_crop(options, key, recipe.patch_zyx)
    image, channels = draw_patch(case, recipe, np.random.default_rng(number), crop_zyx=crop_zyx)
    crops, labels = torch.from_numpy(image)[None], torch.from_numpy(channels)[None]
    intensities = [channel.intensity for channel in recipe.case_inputs]
    augment_batch(crops, labels, [key], options, recipe.patch_zyx, intensities, device)


def noise_case(patch_zyx: Zyx, recipe: Recipe) -> GridCase:
    """A case twice as large as a patch along each axis, int16 as prepared cases are."""
    rng = np.random.default_rng(0)
    size = [2 * n for n in patch_zyx]
    hu = rng.integers(-300, 300, (1, *size)).astype(np.int16)
    blocks = rng.integers(0, 13, [-(-n // 8) for n in size]).astype(np.uint8)
    channels = np.kron(blocks, np.ones((8, 8, 8), np.uint8))[: size[0], : size[1], : size[2]]
    intensities = tuple(channel.intensity for channel in recipe.case_inputs)
    image = StoredImage(values=hu, intensities=intensities, statistics=(NOTHING,), dtype=np.float16)
    points = class_points(channels, rng)
    return GridCase(name="noise", image=image, channels=channels, points=points)
