"""What the arrays of a prepared store depend on, by a recipe."""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from model.arrays import ZyxMm
from model.manifest.intensity import (
    ClipZscoreIntensity,
    Intensity,
    RangeIntensity,
    WindowIntensity,
    ZscoreIntensity,
)
from model.manifest.resampling import Resampling
from model.schema import dump
from training.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class StoredGrid:
    """Everything of a recipe that the arrays of a store depend on."""

    spacing_zyx_mm: ZyxMm
    resampling: Resampling
    values: Literal["hu", "input"]
    """`hu`: int16, to be normalized when read; `input`: float32 network input."""
    clipped: tuple[tuple[float, float] | None, ...]
    """Range to which each channel was clipped before it was resampled; None: it was not."""
    intensities: tuple[Intensity, ...] | None = None
    """Of each channel, where values are network input."""
    normalize: Literal["before_resampling", "after_resampling"] | None = None
    """Order of both, where values are network input."""


def stored_grid(recipe: Recipe) -> StoredGrid:
    """What a recipe wants of a store.

    HU are kept where normalization can be done after resampling with the same result: always if the recipe
    does it in this order, and else if clipping is all that is not linear about it, since the image can be
    clipped before it is resampled. A z-score over some voxels only can not.
    """
    inputs, first = recipe.case_inputs, recipe.normalize == "before_resampling"
    intensities = tuple(channel.intensity for channel in inputs)
    linear = all(_can_follow(one, resampled_normalized=first) for one in intensities)
    as_hu = linear and all(channel.modality == "CT" for channel in inputs)
    return StoredGrid(
        spacing_zyx_mm=recipe.voxel_zyx_mm,
        resampling=recipe.resampling,
        values="hu" if as_hu else "input",
        clipped=tuple(_range(one) if as_hu and first else None for one in intensities),
        intensities=None if as_hu else intensities,
        normalize=None if as_hu else recipe.normalize,
    )


def _can_follow(intensity: Intensity, *, resampled_normalized: bool) -> bool:
    if isinstance(intensity, ZscoreIntensity):
        return intensity.over == "image"
    return intensity.kind != "window_sigmoid" or not resampled_normalized


def _range(intensity: Intensity) -> tuple[float, float] | None:
    if isinstance(intensity, WindowIntensity | ClipZscoreIntensity):
        return intensity.lower, intensity.upper
    if isinstance(intensity, RangeIntensity) and intensity.clip:
        return intensity.lower, intensity.upper
    return None


def grid_hash(grid: StoredGrid) -> str:
    """SHA-256 of a grid's description."""
    return hashlib.sha256(json.dumps(dump(grid), sort_keys=True).encode()).hexdigest()
