"""From paths to a volume: headers are read once, voxels only when they are asked for."""

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from inference.errors import InputError, reason
from inference.geometry import Geometry, same_grid
from inference.imaging.channels import check_channels, expected_modalities
from inference.imaging.formats.dicom import Series, open_series
from inference.imaging.formats.dicom_choice import CT
from inference.imaging.formats.dicom_folder import is_dicom
from inference.imaging.formats.image_file import ImageFile
from inference.imaging.formats.metaimage import read_metaimage
from inference.imaging.formats.nifti import read_nifti
from inference.imaging.formats.nrrd import read_nrrd
from inference.imaging.formats.voxels import check_claim, expected_bytes, read_voxels, reading_mb
from inference.imaging.volume import Volume
from model.bundle import ModelBundle

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
DETACHED = (".mhd", ".nhdr")
"""Headers whose voxels may lie in a file beside them, whose name begins as theirs."""
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


def open_image(path: Path, modality: str = CT, series: str | None = None) -> OpenedImage:
    """Read the header of an image file, or of a folder that holds a DICOM series.

    The format is known by the file's name: `.nii`, `.nii.gz`, `.mha`, `.mhd`, `.nrrd` or `.nhdr`.

    Args:
        path: the file or the folder.
        modality: that is expected, as DICOM writes it, empty where any may be; it decides between several
            series in one folder.
        series: the one of several to take, by its SeriesInstanceUID or a SeriesNumber that no other has;
            None: `modality` and lengths decide.

    Raises:
        InputError: the file is missing, damaged, not 3D, in colour or may not be read, or is not the series
            that is asked for; one line that names file and remedy.
    """
    read = _reader(path)
    if read is None:
        opened = open_series(path, modality, series)

        def slices() -> Volume:
            return Volume(
                array=opened.read(),
                geometry=opened.geometry,
                warnings=opened.warnings,
                doubts=opened.doubts,
                modalities=(opened.modality,),
            )

        return OpenedImage(
            geometry=opened.geometry,
            voxel_bytes=opened.voxel_bytes,
            reading_mb=opened.reading_mb,
            read=slices,
            series=opened,
        )
    if series is not None:
        raise InputError(f"{path}: is no DICOM series; leave out the series that is named for it")
    image = _header(read, path)
    stored = image.stored
    check_claim(stored)

    def voxels() -> Volume:
        array, doubts = read_voxels(stored)
        warnings = (*image.warnings, *doubts)
        return Volume(array=array, geometry=image.geometry, warnings=warnings, doubts=doubts)

    bytes_each = expected_bytes(stored.dtype, stored.slope, stored.intercept)
    return OpenedImage(
        geometry=image.geometry, voxel_bytes=bytes_each, reading_mb=reading_mb(stored), read=voxels
    )


def open_channels(
    paths: Sequence[Path], modalities: Sequence[str], series: str | None = None
) -> tuple[OpenedImage, ...]:
    """Read the headers of a case's channels.

    Args:
        paths: a file or a folder for each channel, in the order of the bundle's inputs.
        modalities: that is expected of each, see `open_image`.
        series: the one to take in the folder of the first channel, see `open_image`.

    Raises:
        InputError: one cannot be read, or they lie on different grids.
    """
    first = open_image(paths[0], modalities[0], series)
    images = (first, *map(open_image, paths[1:], modalities[1:]))
    for path, image in zip(paths[1:], images[1:], strict=True):
        if not same_grid(images[0].geometry, image.geometry):
            raise InputError(f"{path}: lies on another grid than {paths[0].name}; resample it to that one")
    return images


def read_channels(images: Sequence[OpenedImage]) -> Volume:
    """Read the voxels of a case's channels, which lie on one grid, in turn.

    Raises:
        InputError: a file is damaged or may not be read.
    """
    first, *others = (image.read() for image in images)
    channels = (first, *others)
    return Volume(
        array=first.array,
        geometry=first.geometry,
        warnings=tuple(dict.fromkeys(note for volume in channels for note in volume.warnings)),
        doubts=tuple(dict.fromkeys(doubt for volume in channels for doubt in volume.doubts)),
        further=tuple(volume.array for volume in others),
        modalities=tuple("".join(volume.modalities) for volume in channels),
    )


def read_volume(
    path: str | PathLike[str],
    *further: str | PathLike[str],
    bundle: ModelBundle | None = None,
    series: str | None = None,
) -> Volume:
    """Read an image with its voxels: a file or a folder with a DICOM series, one for each channel.

    The format is known by the file's name: `.nii`, `.nii.gz`, `.mha`, `.mhd`, `.nrrd` or `.nhdr`. Of several
    DICOM series in a folder the longest original CT is taken, with a warning; with a bundle, the longest of
    the modality that it takes the channel to be.

    Args:
        path: the file or the folder of the first channel.
        further: those of the other channels, on the same grid, in the order of the bundle's inputs.
        bundle: that is to segment it; None: not known yet.
        series: the one to take in the folder of the first channel, by its SeriesInstanceUID or a SeriesNumber
            that no other there has; None: as above.

    Raises:
        InputError: a file is missing, damaged, not 3D, in colour or may not be read, it is not the series
            that is asked for, channels lie on different grids, or the bundle takes another number of
            channels; one line that names file and remedy.
    """
    paths = [Path(path), *map(Path, further)]
    if bundle is None:
        return read_channels(open_channels(paths, [CT] * len(paths), series))
    try:
        check_channels(len(paths), bundle)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return read_channels(open_channels(paths, expected_modalities(bundle), series))


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
