"""One image: its voxels and where they lie; reading, cropping, canonical orientation.

| name | what it is |
|---|---|
| `Volume.array` | (z, y, x), int16 where that holds every value of the file, float32 else |
| `Geometry` | size, spacing, origin and direction of a grid (`inference.geometry`) |
| `Orientation` | permutation and flips between a stored and the canonical array (`inference.imaging.orientation`) |
"""

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError, reason
from inference.geometry import Box, Geometry, Voxels, Zyx
from inference.imaging.formats.dicom import is_dicom, read_series, read_series_header
from inference.imaging.formats.image_file import ImageFile
from inference.imaging.formats.metaimage import read_metaimage
from inference.imaging.formats.nifti import read_nifti
from inference.imaging.formats.nrrd import read_nrrd
from inference.imaging.formats.voxels import expected_bytes, read_voxels
from inference.imaging.orientation import Orientation, orient, orientation_of
from inference.imaging.writing import write_labels

__all__ = [
    "Box", "Geometry", "Header", "Orientation", "Volume", "crop", "paste", "read_header", "read_volume",
    "to_canonical", "write_labels",
]  # fmt: skip


READERS: Mapping[str, Callable[[Path], ImageFile]] = MappingProxyType(
    {
        ".nii.gz": read_nifti,
        ".nii": read_nifti,
        ".mha": read_metaimage,
        ".mhd": read_metaimage,
        ".nrrd": read_nrrd,
        ".nhdr": read_nrrd,
    }
)


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


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is known of an image before its voxels are read."""

    geometry: Geometry
    voxel_bytes: int
    """That a voxel is expected to take in memory: 2 for int16, 4 for float32."""


def read_header(path: Path) -> Header:
    """The grid of an image and the type of its voxels, without reading them.

    Raises:
        InputError: see `read_volume`.
    """
    read = _reader(path)
    if read is None:
        geometry, voxel_bytes = read_series_header(path)
        return Header(geometry=geometry, voxel_bytes=voxel_bytes)
    image = _header(read, path)
    stored = image.stored
    return Header(
        geometry=image.geometry, voxel_bytes=expected_bytes(stored.dtype, stored.slope, stored.intercept)
    )


def read_volume(path: Path) -> Volume:
    """Read a `.nii`, `.nii.gz`, `.mha`, `.mhd` or `.nrrd` file, or a folder that holds a DICOM series.

    Raises:
        InputError: the file is missing, damaged, not 3D, in colour or may not be read; one line that names
            file and remedy.
    """
    read = _reader(path)
    if read is None:
        array, geometry, warnings = read_series(path)
        return Volume(array=array, geometry=geometry, warnings=warnings)
    image = _header(read, path)
    array, more = read_voxels(image.stored)
    return Volume(array=array, geometry=image.geometry, warnings=(*image.warnings, *more))


def image_suffix(name: str) -> str:
    """The ending by which a file's format is known, as it stands in the name; empty for other files."""
    return next((name[-len(suffix) :] for suffix in READERS if name.lower().endswith(suffix)), "")


def _reader(path: Path) -> Callable[[Path], ImageFile] | None:
    """The reader for a file by its name; None for DICOM."""
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    if not stat.S_ISDIR(kind) and not stat.S_ISREG(kind):
        raise InputError(
            f"{path}: is neither a file nor a folder; give an image file or a folder with a DICOM series"
        )
    suffix = image_suffix(path.name)
    if stat.S_ISDIR(kind) or (not suffix and is_dicom(path)):
        return None
    if not suffix:
        raise InputError(
            f"{path}: is of no known format; give .nii, .nii.gz, .mha, .mhd, .nrrd or a folder with a DICOM "
            "series"
        )
    return READERS[suffix.lower()]


def _header(read: Callable[[Path], ImageFile], path: Path) -> ImageFile:
    try:
        return read(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error


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
