"""One image: its voxels and where they lie; reading, cropping, canonical orientation.

| name | what it is |
|---|---|
| `Volume.array` | (z, y, x), int16 where that holds every value of the file, float32 else |
| `Geometry` | size, spacing, origin and direction of a grid (`inference.geometry`) |
| `Orientation` | permutation and flips between a stored and the canonical array (`inference.orientation`) |
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError, one_line
from inference.formats.nifti import read_nifti
from inference.formats.voxels import StoredVoxels, read_voxels
from inference.geometry import Box, Geometry, Voxels, Zyx
from inference.orientation import Orientation, orient, orientation_of
from inference.writing import write_labels

__all__ = [
    "Box", "Geometry", "Orientation", "Volume", "crop", "paste", "read_header", "read_volume", "to_canonical", "write_labels",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """Voxels on a grid."""

    array: Voxels
    geometry: Geometry
    warnings: tuple[str, ...] = ()
    """What was odd about the file and how it was taken, for the user."""

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.size_zyx:
            raise ValueError(f"array is {self.array.shape}, the grid is {self.geometry.size_zyx}")


def read_header(path: Path) -> Geometry:
    """The grid of an image, without reading its voxels.

    Raises:
        InputError: see `read_volume`.
    """
    geometry, _, _ = _open(path)
    return geometry


def read_volume(path: Path) -> Volume:
    """Read a `.nii` or `.nii.gz` file.

    Raises:
        InputError: the file is missing, damaged, not 3D, in colour or may not be read; one line that names file and remedy.
    """
    geometry, stored, warnings = _open(path)
    array, more = read_voxels(stored)
    return Volume(array=array, geometry=geometry, warnings=(*warnings, *more))


def _open(path: Path) -> tuple[Geometry, StoredVoxels, tuple[str, ...]]:
    try:
        image = read_nifti(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or one_line(error)})") from error
    return image.geometry, image.stored, image.warnings


def to_canonical(volume: Volume) -> tuple[Volume, Orientation]:
    """The volume with array axes closest to superior, posterior, left (LPS); a view.

    `orientation.undo(array)` turns an array on the canonical grid back into the stored order.
    """
    orientation = orientation_of(volume.geometry)
    turned = orientation.apply(volume.array)
    return replace(volume, array=turned, geometry=orient(volume.geometry, orientation)), orientation


def crop(volume: Volume, box: Box) -> Volume:
    """The part of a volume inside a box, at its place in the world; a view.

    Raises:
        ValueError: the box reaches beyond the volume.
    """
    if any(stop > size for stop, size in zip(box.stop_zyx, volume.geometry.size_zyx, strict=True)):
        raise ValueError(f"box ends at {box.stop_zyx}, the volume at {volume.geometry.size_zyx}")
    x, y, z = (float(value) for value in volume.geometry.to_world(box.start_zyx))
    geometry = replace(volume.geometry, size_zyx=box.size_zyx, origin_xyz_mm=(x, y, z), nifti_header=None)
    return replace(volume, array=volume.array[box.slices], geometry=geometry)


def paste(part: NDArray[np.uint8], box: Box, size_zyx: Zyx) -> NDArray[np.uint8]:
    """The labels of a box within a volume of zeros of the given size: the way back from `crop`."""
    whole = np.zeros(size_zyx, np.uint8)
    whole[box.slices] = part
    return whole
