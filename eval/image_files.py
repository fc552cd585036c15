"""Image files, read as ITK reads them: what it would pass over in silence is refused in one line."""

import gzip
import math
import os
import zlib
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
    if not path.exists():
        raise JudgingError(f"{path}: no such file")
    without_itk_warnings()
    try:
        image = _read(path)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip().removeprefix("sitk::ERROR: ")
        if "ImageIO" in reason:
            raise JudgingError(
                f"{path}: cannot be read, it is no image; give NIfTI (.nii.gz, .nii), MetaImage or NRRD"
            ) from error
        raise JudgingError(
            f"{path}: cannot be read as an image ({reason}); write it again as NIfTI"
        ) from error
    if path.is_file():
        _check_complete(path, image)
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise JudgingError(f"{path}: has size {image.GetSize()}, must be one three-dimensional image")
    return image


def _read(path: Path) -> sitk.Image:
    """The image as ITK reads it, and where ITK refuses axes at other than right angles, the nearest grid.

    Headers of real scans are often off by a little, and `predict.py` takes the nearest grid too. Two files
    with one header get one grid, so that labels stay comparable.
    """
    source = _series(path) if path.is_dir() else str(path)
    try:
        return sitk.ReadImage(source)
    except RuntimeError as error:
        if "orthonormal" not in str(error):
            raise
    before = os.environ.get(PERMISSIVE)
    os.environ[PERMISSIVE] = "1"
    try:
        return sitk.ReadImage(source)
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


def _check_complete(path: Path, image: sitk.Image) -> None:
    """Refuse a truncated or damaged NIfTI file, whose missing voxels ITK would fill in without a warning."""
    if not image.HasMetaDataKey("vox_offset"):
        return
    bits = (
        math.prod(image.GetSize()) * image.GetNumberOfComponentsPerPixel() * int(image.GetMetaData("bitpix"))
    )
    expected = int(float(image.GetMetaData("vox_offset"))) + bits // 8
    try:
        held = _bytes_in_gzip(path) if path.suffix == ".gz" else path.stat().st_size
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise JudgingError(
            f"{path}: cannot be read, the compressed file is damaged or cut short; write or copy it again"
        ) from error
    if held < expected:
        raise JudgingError(
            f"{path}: cannot be read, it holds {held} of {expected} bytes; write or copy it again"
        )


def _bytes_in_gzip(path: Path) -> int:
    buffer, total = bytearray(2**17), 0
    with gzip.open(path, "rb") as stream:
        while count := stream.readinto(buffer):
            total += count
    return total
