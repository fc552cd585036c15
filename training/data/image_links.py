"""Folders of links to the images of cases, under the names that nnU-Net and the engine expect."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference.imaging.reading import image_suffix
from model.case_names import channel_stem
from training.training_errors import DataError

DETACHED = (".mhd", ".nhdr")
"""Headers whose voxels are in another file, which they name relative to their own place."""


def link_images(name: str, images: Sequence[Path], folder: Path) -> None:
    """Put the images of a case into a folder, named as nnU-Net names them, as links.

    Raises:
        DataError: an image keeps its voxels in another file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for channel, path in enumerate(images):
        link_image(path, folder, channel_stem(name, channel))


def link_image(target: Path, folder: Path, stem: str) -> None:
    """Put a link to an image or a label map into a folder, under a name without its ending.

    It is relative, so that a tree with both can be moved, and leads to the file itself, not to another link.

    Raises:
        DataError: the file keeps its voxels in another one.
    """
    refuse_detached(target)
    place = folder / f"{stem}{image_suffix(target.name)}"
    place.unlink(missing_ok=True)
    place.symlink_to(os.path.relpath(target.resolve(), folder.resolve()))


def refuse_series(images: Iterable[Path]) -> None:
    """Nothing if all images are files, whose links make a data-set folder: such folders are read by endings.

    Raises:
        DataError: one is a folder with a DICOM series.
    """
    folder = next((path for path in images if path.is_dir()), None)
    if folder is not None:
        raise DataError(f"{folder}: is a folder with a DICOM series; convert it to .nii.gz or .mha")


def refuse_detached(path: Path) -> None:
    """Nothing for a file that a link can stand for.

    Raises:
        DataError: it keeps its voxels in another one.
    """
    if image_suffix(path.name).lower() in DETACHED:
        raise DataError(f"{path}: keeps its voxels in another file; convert it to .nii.gz or .mha")
