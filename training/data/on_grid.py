"""From files to a recipe's grid, by the very functions that inference uses: (z, y, x) towards superior, posterior, left."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError
from inference.imaging.volume import Volume, to_canonical
from inference.imaging.reading import read_volume
from inference.preprocessing.intensity import normalize
from inference.preprocessing.resampling import model_size, resample_image, resample_labels
from training.recipes.recipe import INTERPOLATION, Recipe
from training.training_errors import DataError

CORNER_TOLERANCE_MM = 1.0
"""How far image and labels may differ in where a corner of the volume lies."""


def read_on_grid(
    image_path: Path, labels_path: Path, recipe: Recipe
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Image, normalised to [0, 1], and label ids on the recipe's grid; both (z, y, x).

    Raises:
        DataError: a file cannot be read, image and labels lie on different grids, or a label is not a whole
            number from 0 to 255.
    """
    image, labels = _read(image_path), _read(labels_path)
    _check_same_grid(image, labels, labels_path)
    size_zyx = model_size(image.array.shape, image.geometry.spacing_zyx_mm, recipe.spacing_zyx_mm)
    network_input = normalize(resample_image(image.array, size_zyx, INTERPOLATION), recipe.intensity)
    return network_input, resample_labels(_as_ids(labels.array, labels_path), size_zyx)


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
        if (
            np.abs(image.geometry.to_world(corner) - labels.geometry.to_world(corner)).max()
            > CORNER_TOLERANCE_MM
        ):
            raise DataError(f"{path}: lies elsewhere than its image (origin, spacing or direction differ)")


def _as_ids(array: NDArray[np.generic], path: Path) -> NDArray[np.uint8]:
    ids = array.astype(np.uint8)
    if not np.array_equal(ids, array):
        raise DataError(f"{path}: holds values that are not whole numbers from 0 to 255")
    return ids
