"""From files to a recipe's grid, by the very functions that inference uses.

Arrays are (z, y, x) towards superior, posterior, left; images have their channels before.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError
from inference.geometry import Geometry
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
from model.arrays import F32, U8, Counts, counts_of_ids
from model.label_files import FILES, IGNORE, ignored_id
from model.labels import LabelSet
from model.manifest.intensity import needs_mask
from model.manifest.resampling import along_axes
from training.data.read_warnings import ReadWarnings
from training.data_place import DATASET
from training.recipes.recipe import Recipe
from training.training_errors import DataError

CORNER_TOLERANCE_MM = 1.0
"""How far image and labels may differ in where a corner of the volume lies."""


def read_on_grid(
    image_paths: Sequence[Path], labels_path: Path, recipe: Recipe, notes: ReadWarnings | None = None
) -> tuple[F32, U8]:
    """A network's input (channels, z, y, x) and label ids (z, y, x) on the recipe's grid.

    Args:
        image_paths: a file for each channel.
        labels_path: of its label map.
        recipe: says grid, intensity and label set.
        notes: takes what the readers find odd.

    Raises:
        DataError: a file cannot be read, a channel is missing, channels or labels lie on another grid, or the
            labels hold something else than ids of the recipe's label set.
    """
    image, ids = read_checked(image_paths, labels_path, recipe, notes)
    made = network_input(image, recipe)
    z, y, x = made.shape[1:]
    return made, resample_labels(ids, (z, y, x))


def read_checked(
    image_paths: Sequence[Path], labels_path: Path, recipe: Recipe, notes: ReadWarnings | None = None
) -> tuple[Volume, U8]:
    """An image with all its channels and its label ids (z, y, x), in canonical orientation.

    Args:
        image_paths: a file for each channel.
        labels_path: of its label map.
        recipe: says how many channels there must be, and the label set.
        notes: takes what the readers find odd.

    Raises:
        DataError: as for `read_on_grid`.
    """
    wanted = len(recipe.stated_inputs)
    if len(image_paths) != wanted:
        raise DataError(
            f"{image_paths[0]}: its case has {len(image_paths)} channel(s), "
            f"recipe {recipe.name} wants {wanted}"
        )
    first, *further = (read_canonical(path, notes) for path in image_paths)
    for volume, path in zip(further, image_paths[1:], strict=True):
        refuse_other_grid(first.geometry, volume.geometry, path, "its first channel")
    labels = read_canonical(labels_path, notes)
    refuse_other_grid(first.geometry, labels.geometry, labels_path, "its image")
    ids = as_ids(labels.array, labels_path)
    refuse_foreign(counts_of_ids(ids), recipe.labels, labels_path)
    return replace(first, further=tuple(volume.array for volume in further)), ids


def network_input(image: Volume, recipe: Recipe) -> F32:
    """What a recipe's network sees of an image in canonical orientation, (channels, z, y, x)."""
    spacing, intensities = image.geometry.spacing_zyx_mm, [one.intensity for one in recipe.case_inputs]
    size = model_size(image.geometry.size_zyx, spacing, recipe.voxel_zyx_mm)
    along = along_axes(recipe.resampling, spacing, recipe.voxel_zyx_mm)
    filled = nonzero_filled(image.channels) if any(map(needs_mask, intensities)) else None
    made = np.empty((len(intensities), *size), np.float32)
    for index, (array, intensity) in enumerate(zip(image.channels, intensities, strict=True)):
        statistics = None
        if needs_statistics(intensity):
            statistics = channel_statistics(array, statistics_over(intensity), filled)
        if recipe.normalize == "before_resampling":
            made[index] = resample_image(normalize(array, intensity, statistics, filled), size, along)
        else:
            made[index] = normalize(resample_image(array, size, along), intensity, statistics)
    return made


def read_canonical(path: Path, notes: ReadWarnings | None = None) -> Volume:
    """An image file in canonical orientation.

    Args:
        path: the file.
        notes: takes what its reader finds odd.

    Raises:
        DataError: it cannot be read.
    """
    volume = read_stored(path)
    if notes is not None:
        notes.add(path, volume.warnings)
    return to_canonical(volume)[0]


def read_stored(path: Path) -> Volume:
    """An image file as it is stored.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return read_volume(path)
    except InputError as error:
        raise DataError(str(error)) from error


def refuse_other_grid(image: Geometry, other: Geometry, path: Path, image_name: str) -> None:
    """Compare two grids in canonical orientation.

    Args:
        image: the grid that counts.
        other: the grid that must be the same.
        path: file of the other one.
        image_name: what the grid that counts belongs to, for the message.

    Raises:
        DataError: they differ.
    """
    if image.size_zyx != other.size_zyx:
        raise DataError(
            f"{path}: size (z, y, x) {other.size_zyx} differs from that of {image_name}, {image.size_zyx}"
        )
    for corner in ((0, 0, 0), image.size_zyx):
        apart = np.abs(image.to_world(corner) - other.to_world(corner)).max()
        if apart > CORNER_TOLERANCE_MM:
            raise DataError(f"{path}: lies elsewhere than {image_name} (origin, spacing or direction differ)")


def as_ids(array: NDArray[np.generic], path: Path) -> U8:
    """A label map's voxels as ids.

    Raises:
        DataError: they are not whole numbers from 0 to 255.
    """
    with np.errstate(invalid="ignore"):
        ids = array.astype(np.uint8)
    if not np.array_equal(ids, array):
        raise DataError(f"{path}: holds values that are not whole numbers from 0 to 255")
    return ids


def _ignored_beside(path: Path) -> int | None:
    """The id of voxels to be ignored, as the data set around a label map states it, if it does."""
    found = (ignored_id(folder / DATASET) for folder in path.absolute().parents[:2])
    return next((label_id for label_id in found if label_id is not None), None)


def refuse_foreign(counts: Counts, labels: LabelSet, path: Path) -> None:
    """Look for ids that a label set does not have.

    Args:
        counts: of each id's voxels.
        labels: the label set.
        path: of the label map, for the message.

    Raises:
        DataError: naming them, or the one of voxels to be ignored.
    """
    foreign = labels.foreign(np.flatnonzero(counts).tolist())
    if (ignored := _ignored_beside(path)) in foreign:
        raise DataError(
            f"{path}: holds id {ignored}, which {DATASET} calls {IGNORE}: voxels to be ignored cannot be "
            "trained on; label them, leave the case out, or set them to 0, where they may count as background"
        )
    if foreign:
        shown = f"id{'s' * (len(foreign) > 1)} {', '.join(map(str, foreign))}"
        raise DataError(
            f"{path}: holds {shown}, unknown to label set {labels.name}; correct the labels, or take "
            f"the label set that {' or '.join(FILES)} beside the data states with --set label_set=data"
        )
