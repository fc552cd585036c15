"""From a path to a volume: the header is read once, voxels only when they are asked for."""

import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from inference.errors import InputError, reason
from inference.geometry import Geometry
from inference.imaging.formats.dicom import Series, open_series
from inference.imaging.formats.dicom_choice import CT
from inference.imaging.formats.dicom_folder import is_dicom
from inference.imaging.formats.image_file import ImageFile
from inference.imaging.formats.metaimage import read_metaimage
from inference.imaging.formats.nifti import read_nifti
from inference.imaging.formats.nrrd import read_nrrd
from inference.imaging.formats.voxels import check_claim, expected_bytes, read_voxels, reading_mb
from inference.imaging.volume import Volume

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
FORMATS = f"{', '.join(READERS)} or a folder with a DICOM series"
"""What can be read, for messages."""


@dataclass(frozen=True, kw_only=True)
class OpenedImage:
    """An image whose header was read and found sound; its voxels are still on disk."""

    geometry: Geometry
    voxel_bytes: int
    """What a voxel is expected to take in memory: 2 for int16, 4 for float32."""
    reading_mb: float
    """MiB that reading takes at most beside the voxels."""
    read: Callable[[], Volume]
    """Reads the voxels.

    Raises `InputError` where the file is damaged or may not be read.
    """
    series: Series | None = None
    """The DICOM series that it is; None for other formats."""


def open_image(path: Path, modality: str = CT) -> OpenedImage:
    """Read the header of an image file, or of a folder that holds a DICOM series.

    The format is known by the file's name: `.nii`, `.nii.gz`, `.mha`, `.mhd`, `.nrrd` or `.nhdr`.

    Args:
        path: the file or the folder.
        modality: that is expected, as DICOM writes it, empty where any may be; it decides between several
            series in one folder.

    Raises:
        InputError: the file is missing, damaged, not 3D, in colour or may not be read; one line that names
            file and remedy.
    """
    read = _reader(path)
    if read is None:
        series = open_series(path, modality)

        def slices() -> Volume:
            return Volume(
                array=series.read(),
                geometry=series.geometry,
                warnings=series.warnings,
                doubts=series.doubts,
                modalities=(series.modality,),
            )

        return OpenedImage(
            geometry=series.geometry,
            voxel_bytes=series.voxel_bytes,
            reading_mb=series.reading_mb,
            read=slices,
            series=series,
        )
    image = _header(read, path)
    stored = image.stored
    check_claim(stored)

    def voxels() -> Volume:
        array, more = read_voxels(stored)
        return Volume(array=array, geometry=image.geometry, warnings=(*image.warnings, *more))

    bytes_each = expected_bytes(stored.dtype, stored.slope, stored.intercept)
    return OpenedImage(
        geometry=image.geometry, voxel_bytes=bytes_each, reading_mb=reading_mb(stored), read=voxels
    )


def read_volume(path: str | PathLike[str]) -> Volume:
    """Read an image file, or a folder that holds a DICOM series, with its voxels.

    The format is known by the file's name: `.nii`, `.nii.gz`, `.mha`, `.mhd`, `.nrrd` or `.nhdr`. Of several
    DICOM series the longest CT is taken, with a warning.

    Args:
        path: the file or the folder.

    Raises:
        InputError: it is missing, damaged, not 3D, in colour or may not be read; one line that names file and
            remedy.
    """
    return open_image(Path(path)).read()


def voxel_file(path: Path) -> Path:
    """The file that holds an image's voxels: the image itself, or the one that its header names.

    Raises:
        InputError: the header cannot be read, or the file that it names is not beside it.
    """
    read = _reader(path)
    return path if read is None else _header(read, path).stored.path


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
        raise InputError(f"{path}: is of no known format; give {FORMATS}")
    return READERS[suffix.lower()]


def _header(read: Callable[[Path], ImageFile], path: Path) -> ImageFile:
    try:
        return read(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
