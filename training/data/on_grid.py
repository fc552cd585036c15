"""From files to a recipe's grid, by the very functions that inference uses.

Arrays are (z, y, x) towards superior, posterior, left.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError
from inference.imaging.reading import read_volume
from inference.imaging.volume import Volume, to_canonical
from inference.preprocessing.intensity import (
    channel_statistics,
    needs_statistics,
    nonzero_filled,
    normalize,
    statistics_over,
)
from inference.preprocessing.resampling import model_size, resample_image, resample_labels
from model.arrays import F32, U8
from model.labels import LabelSet
from model.manifest.intensity import needs_mask
from model.manifest.resampling import along_axes
from training.recipes.recipe import Recipe
from training.training_errors import DataError

CORNER_TOLERANCE_MM = 1.0
"""How far image and labels may differ in where a corner of the volume lies."""


def read_on_grid(image_path: Path, labels_path: Path, recipe: Recipe) -> tuple[F32, U8]:
    """A network's input and label ids on the recipe's grid; both (z, y, x).

    Raises:
        DataError: a file cannot be read, image and labels lie on different grids, or the labels hold
            something else than ids of the recipe's label set.
    """
    image, labels = _read(image_path), _read(labels_path)
    _check_same_grid(image, labels, labels_path)
    ids = _as_ids(labels.array, labels_path)
    _check_known(ids, recipe.labels, labels_path)
    made = network_input(image, recipe)
    return made, resample_labels(ids, (made.shape[0], made.shape[1], made.shape[2]))


def network_input(image: Volume, recipe: Recipe) -> F32:
    """What a recipe's network sees of an image in canonical orientation, (z, y, x)."""
    array, spacing, intensity = image.array, image.geometry.spacing_zyx_mm, recipe.intensity
    size = model_size(image.geometry.size_zyx, spacing, recipe.spacing_zyx_mm)
    along = along_axes(recipe.resampling, spacing, recipe.spacing_zyx_mm)
    filled = nonzero_filled((array,)) if needs_mask(intensity) else None
    statistics = None
    if needs_statistics(intensity):
        statistics = channel_statistics(array, statistics_over(intensity), filled)
    if recipe.normalize == "before_resampling":
        return resample_image(normalize(array, intensity, statistics, filled), size, along)
    return normalize(resample_image(array, size, along), intensity, statistics)


def _read(path: Path) -> Volume:
    try:
        return to_canonical(read_volume(path))[0]
    except InputError as error:
        raise DataError(str(error)) from error


def _check_same_grid(image: Volume, labels: Volume, path: Path) -> None:
    if image.array.shape != labels.array.shape:
        raise DataError(
            f"{path}: size (z, y, x) {labels.array.shape} differs from its image's {image.array.shape}"
        )
    for corner in ((0, 0, 0), image.array.shape):
        apart = np.abs(image.geometry.to_world(corner) - labels.geometry.to_world(corner)).max()
        if apart > CORNER_TOLERANCE_MM:
            raise DataError(f"{path}: lies elsewhere than its image (origin, spacing or direction differ)")


def _as_ids(array: NDArray[np.generic], path: Path) -> U8:
    with np.errstate(invalid="ignore"):
        ids = array.astype(np.uint8)
    if not np.array_equal(ids, array):
        raise DataError(f"{path}: holds values that are not whole numbers from 0 to 255")
    return ids


def _check_known(ids: U8, labels: LabelSet, path: Path) -> None:
    foreign = labels.foreign(np.flatnonzero(np.bincount(ids.ravel(), minlength=256)).tolist())
    if foreign:
        shown = f"id{'s' * (len(foreign) > 1)} {', '.join(map(str, foreign))}"
        raise DataError(
            f"{path}: holds {shown}, unknown to label set {labels.name}; correct the labels, or choose "
            "another label_set"
        )
