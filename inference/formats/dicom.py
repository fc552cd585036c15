"""DICOM: a folder that holds one series, or a multi-frame file.

The slices are put in order by their positions; a series whose slices do not make one stack is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from inference.errors import InputError, one_line
from inference.formats.image_file import mended_geometry
from inference.formats.voxels import compact
from inference.geometry import Geometry, Voxels

POSITION, ORIENTATION = "0020|0032", "0020|0037"
SAME_PLACE_MM = 1e-3
UNEVEN = 0.05
"""Share of the usual distance by which neighbouring slices may be nearer or farther before the user is told."""
TILT_DEGREES = 0.5


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: `DICM` stands at byte 128, or it is named `.dcm`."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM" or path.suffix.lower() == ".dcm"
    except OSError:
        return path.suffix.lower() == ".dcm"


def holds_dicom(folder: Path) -> bool:
    """Whether a folder, or a folder directly in it, holds DICOM files. Hidden files do not count."""
    return bool(_slice_folders(folder))


def read_series_header(path: Path) -> Geometry:
    """The grid of a series from its first and last slice; see `read_series`."""
    files, _ = _choose(path)
    with _readable(path):
        first, last = _information(files[0]), _information(files[-1])
        x, y, z = first.GetSize() if len(files) == 1 else (*first.GetSize()[:2], len(files))
        spacing = list(first.GetSpacing())
        if len(files) > 1:
            spacing[2] = float(np.linalg.norm(np.subtract(last.GetOrigin(), first.GetOrigin()))) / (len(files) - 1)
        origin, direction = np.array(first.GetOrigin()), np.array(first.GetDirection()).reshape(3, 3)
    spacing_zyx = (float(spacing[2]), float(spacing[1]), float(spacing[0]))
    return mended_geometry(path, (z, y, x), spacing_zyx, origin, direction, [])[0]


def read_series(path: Path) -> tuple[Voxels, Geometry, tuple[str, ...]]:
    """Read the series in a folder (or one level below it), or one multi-frame file; rescaled to HU as the files say.

    Of several series, the one with the most slices is taken, with a warning.

    Returns:
        The array (z, y, x), its grid and warnings.

    Raises:
        InputError: no DICOM files, several series of the same length, colour, slices that do not make one stack, damage.
    """
    files, warnings = _choose(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK would write to the terminal; what matters is said below
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    reader.MetaDataDictionaryArrayUpdateOn()
    with _readable(path):
        image = reader.Execute()
        stack = _stack(reader, len(files))
    if image.GetNumberOfComponentsPerPixel() != 1 or image.GetDimension() != 3:
        raise InputError(f"{path}: is a colour image; give the CT itself, not a picture of it")
    warnings += _check(path, stack)
    x, y, z = image.GetSize()
    direction, origin = np.array(image.GetDirection()).reshape(3, 3), np.array(image.GetOrigin())
    spacing_zyx = (image.GetSpacing()[2], image.GetSpacing()[1], image.GetSpacing()[0])
    geometry, notes = mended_geometry(path, (z, y, x), spacing_zyx, origin, direction, warnings)
    return compact(sitk.GetArrayFromImage(image)), geometry, notes


@dataclass(frozen=True, kw_only=True)
class _Stack:
    """Where each slice's first voxel lies, shape (n, 3), and its row and column directions, shape (n, 6)."""

    positions_mm: NDArray[np.float64]
    orientations: NDArray[np.float64]


def _stack(reader: sitk.ImageSeriesReader, slices: int) -> _Stack | None:
    """Positions and orientations of the slices; None for one file, which has its geometry inside."""
    if slices == 1:
        return None
    if not all(reader.HasMetaDataKey(i, key) for i in range(slices) for key in (POSITION, ORIENTATION)):
        return _Stack(positions_mm=np.empty((0, 3)), orientations=np.empty((0, 6)))
    values = [[[float(v) for v in reader.GetMetaData(i, key).split("\\")] for i in range(slices)] for key in (POSITION, ORIENTATION)]
    return _Stack(positions_mm=np.array(values[0]).reshape(slices, 3), orientations=np.array(values[1]).reshape(slices, 6))


def _check(path: Path, stack: _Stack | None) -> list[str]:
    """Warnings about a stack of slices.

    Raises:
        InputError: it is not one.
    """
    if stack is None:
        return []
    if not len(stack.positions_mm):
        raise InputError(f"{path}: some of its slices say nothing about their position; export the series again as original images")
    if np.abs(stack.orientations - stack.orientations[0]).max() > 1e-2:
        raise InputError(f"{path}: its slices do not lie parallel; leave only the slices of one stack in the folder")
    normal = np.cross(stack.orientations[0, :3], stack.orientations[0, 3:])
    steps = np.diff(stack.positions_mm, axis=0)
    apart = np.abs(steps @ normal)
    if apart.min() < SAME_PLACE_MM:
        raise InputError(f"{path}: several of its images lie at the same place (several phases?); give one phase a folder")
    warnings = []
    if np.abs(apart / np.median(apart) - 1).max() > UNEVEN:
        nearest, farthest = apart.min(), apart.max()
        warnings.append(f"slices are {nearest:.2f} to {farthest:.2f} mm apart (is one missing?); they were taken as evenly spaced")
    drift = float(np.linalg.norm(steps - (steps @ normal)[:, None] * normal, axis=1).max())
    tilt = float(np.degrees(np.arctan2(drift, np.median(apart))))
    if tilt > TILT_DEGREES:
        warnings.append(f"slices are shifted against one another (gantry tilted by {tilt:.1f}°); they were taken as a straight stack")
    return warnings


def _choose(path: Path) -> tuple[list[Path], list[str]]:
    """Files of the series to read, in order, and warnings."""
    if path.is_file():
        return [path], []
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    listing = sitk.ImageSeriesReader
    folders = _slice_folders(path)
    with _readable(path):
        found = [(str(folder), uid) for folder in folders for uid in listing.GetGDCMSeriesIDs(str(folder))]
        series = sorted((listing.GetGDCMSeriesFileNames(folder, uid) for folder, uid in found), key=len, reverse=True)
    listed = {Path(name) for names in series for name in names}
    # GDCM leaves out what it cannot read, and with it slices of the patient.
    left_out = [
        file for folder in folders for file in _files_of(folder) if is_dicom(file) and file not in listed and file.name != "DICOMDIR"
    ]
    if left_out:
        more = f" and {len(left_out) - 1} more" if len(left_out) > 1 else ""
        raise InputError(f"{left_out[0]}{more}: is damaged or no DICOM image; copy the series again, or remove what does not belong to it")
    if not series:
        raise InputError(f"{path}: holds no DICOM series; give an image file or a folder with the slices of one CT")
    files = [Path(name) for name in series[0]]
    if len(series) == 1:
        return files, []
    counts = ", ".join(str(len(names)) for names in series)
    if len(series[0]) == len(series[1]):
        raise InputError(f"{path}: holds {len(series)} DICOM series ({counts} images), none the longest; give each a folder of its own")
    return files, [f"{len(series)} DICOM series in one folder ({counts} images); the longest was taken"]


def _slice_folders(folder: Path) -> list[Path]:
    """The folder itself where it holds DICOM files, else those directly in it that do."""
    try:
        inside = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []
    if any(is_dicom(file) for file in _files_of(folder)):
        return [folder]
    return [sub for sub in inside if sub.is_dir() and any(is_dicom(file) for file in _files_of(sub))]


def _files_of(folder: Path) -> list[Path]:
    try:
        return [entry for entry in sorted(folder.iterdir()) if entry.is_file() and not entry.name.startswith(".")]
    except OSError:
        return []


def _information(file: Path) -> sitk.ImageFileReader:
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return reader


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turns what ITK and GDCM raise into an `InputError`."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        reason = one_line(error).rpartition("ERROR:")[2].rpartition("():")[2].strip()[:150]
        raise InputError(f"{path}: its DICOM images cannot be read ({reason}); export the series again") from error
