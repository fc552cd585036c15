"""Image files, read as ITK reads them: what it would pass over in silence is refused in one line."""

import gzip
import math
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import SimpleITK as sitk

from eval.eval_errors import JudgingError

PERMISSIVE = "ITK_NIFTI_SFORM_PERMISSIVE"
"""The variable by which ITK reads a NIfTI file whose axes are not at right angles."""


def without_itk_warnings() -> None:
    """Keep ITK from writing warnings to the terminal: what matters is checked and said in one line."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read_image(path: Path) -> sitk.Image:
    """Read a three-dimensional image from a file, or from a folder that holds one DICOM series.

    Raises:
        JudgingError: there is no such file or folder, it cannot be read, or it is not three-dimensional.
    """
    if path.is_dir():
        image = _tried(path, lambda: sitk.ReadImage(_series(path)))
        _check_volume(path, image)
        return image
    _check_complete(path, _header(path))
    return _tried(path, lambda: sitk.ReadImage(str(path)))


def stored_size(path: Path) -> tuple[int, ...]:
    """Numbers of voxels along x, y and z that a file's header states.

    No voxel is read: a file of a hundred bytes may state as many as fill the memory.

    Raises:
        JudgingError: there is no such file, it cannot be read, or it is not three-dimensional.
    """
    return tuple(_header(path).GetSize())


def _header(path: Path) -> sitk.ImageFileReader:
    """The reader of a three-dimensional image, which has read its header."""
    if not path.exists():
        raise JudgingError(f"{path}: no such file")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    _tried(path, reader.ReadImageInformation)
    _check_volume(path, reader)
    return reader


def _check_volume(path: Path, image: sitk.Image | sitk.ImageFileReader) -> None:
    components = image.GetNumberOfComponents() if path.is_file() else image.GetNumberOfComponentsPerPixel()
    if image.GetDimension() != 3 or components != 1:
        raise JudgingError(f"{path}: has size {image.GetSize()}, must be one three-dimensional image")


def _tried(path: Path, read: Callable[[], sitk.Image]) -> sitk.Image:
    """What ITK reads from a path, its faults in one line."""
    without_itk_warnings()
    try:
        return _read(read)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip().removeprefix("sitk::ERROR: ")
        if "ImageIO" in reason:
            raise JudgingError(
                f"{path}: cannot be read, it is no image; give NIfTI (.nii.gz, .nii), MetaImage or NRRD"
            ) from error
        raise JudgingError(
            f"{path}: cannot be read as an image ({reason}); write it again as NIfTI"
        ) from error


def _read(read: Callable[[], sitk.Image]) -> sitk.Image:
    """The image as ITK reads it, and where ITK refuses axes at other than right angles, the nearest grid.

    Headers of real scans are often off by a little, and `predict.py` takes the nearest grid too. Two files
    with one header get one grid, so that labels stay comparable.
    """
    try:
        return read()
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise
    before = os.environ.get(PERMISSIVE)
    os.environ[PERMISSIVE] = "1"
    try:
        return read()
    finally:
        if before is None:
            del os.environ[PERMISSIVE]
        else:
            os.environ[PERMISSIVE] = before


def _series(folder: Path) -> list[str]:
    """The files of the only DICOM series in a folder, or in its only one, in the order of its slices."""
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        below = [path for path in folder.iterdir() if path.is_dir()]
        if len(below) == 1:
            return _series(below[0])
        raise JudgingError(
            f"{folder}: holds no DICOM series; give a file, or the folder that the slices lie in"
        )
    if len(series) > 1:
        raise JudgingError(f"{folder}: holds {len(series)} DICOM series; give a folder with one of them")
    return list(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), series[0]))


def _check_complete(path: Path, header: sitk.ImageFileReader) -> None:
    """Refuse a truncated or damaged NIfTI file, whose missing voxels ITK would fill in without a warning."""
    if not header.HasMetaDataKey("vox_offset"):
        return
    bits = math.prod(header.GetSize()) * int(header.GetMetaData("bitpix"))
    expected = int(float(header.GetMetaData("vox_offset"))) + bits // 8
    try:
        held = _bytes_in_gzip(path, expected) if path.suffix.lower() == ".gz" else path.stat().st_size
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise JudgingError(
            f"{path}: cannot be read, the compressed file is damaged or cut short; write or copy it again"
        ) from error
    if held < expected:
        raise JudgingError(
            f"{path}: cannot be read, it holds {held} of {expected} bytes; write or copy it again"
        )


def _bytes_in_gzip(path: Path, expected: int) -> int:
    """Unpacked bytes of a file, counted until there are more than `expected`.

    A file with as many is read to its end, where the checksum is that tells whether they are damaged.
    """
    buffer, total = bytearray(2**17), 0
    with gzip.open(path, "rb") as stream:
        while total <= expected and (count := stream.readinto(buffer)):
            total += count
    return total
