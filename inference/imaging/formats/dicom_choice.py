"""Which of the images in a DICOM folder are read: those of one series, which make one stack."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference.errors import InputError
from inference.imaging.formats.dicom_discord import left_out
from inference.imaging.formats.dicom_file import DicomImage, read_dicom_file
from inference.imaging.formats.dicom_folder import dicom_files, dicom_files_below

PARALLEL_DEGREES = 0.5
"""Angle up to which rows and columns of two images count as parallel: headers round, and images that are
turned farther are another stack."""
ROW_AND_COLUMN = (slice(0, 3), slice(3, 6))
"""Where the two directions stand in an image's orientation."""


def choose_series(path: Path) -> tuple[list[DicomImage], list[str]]:
    """Images of the series to read, and warnings.

    Of several series, the one with the most images is taken, with a warning. Images of another size or
    orientation are another series.

    Raises:
        InputError: no DICOM images, several series of the same length, colour, damage.
    """
    images, without = _images_of(path)
    groups = _stacks(images)
    if not groups:
        raise InputError(
            f"{path}: holds no DICOM images; give an image file or a folder with the slices of one CT"
        )
    # Colour last: what a workstation saves beside a CT is no CT.
    series = min(groups, key=lambda group: (group[0].is_colour, -len(group)))
    if series[0].is_colour:
        raise InputError(f"{path}: holds colour images; give the CT itself, not a picture of it")
    others = [group for group in groups if group is not series]
    if any(len(group) == len(series) for group in others if not group[0].is_colour):
        raise InputError(
            f"{path}: holds {len(groups)} DICOM series ({_counts(groups)} images), none the longest; give "
            "each a folder of its own"
        )
    uid = series[0].series_uid
    same: list[DicomImage] = []
    strange = []
    for group in others:
        if uid and group[0].series_uid == uid and not group[0].is_colour:
            same += group
        else:
            strange.append(group)
    warnings = []
    if strange:
        counts = _counts([series, *strange])
        warnings = [f"{len(strange) + 1} DICOM series in one folder ({counts} images); the longest was taken"]
    warnings += left_out(series, same) if same else []
    if without:
        files = "file without an image was" if without == 1 else "files without an image were"
        warnings.append(f"{without} DICOM {files} left out")
    return series, warnings


def _images_of(path: Path) -> tuple[list[DicomImage], int]:
    """Images of a file or a folder, or, where that holds none, of the folders in it.

    The second value is how many files hold none.
    """
    images, without = _read_all([path] if path.is_file() else dicom_files(path))
    if images or path.is_file():
        return images, without
    images, more = _read_all(dicom_files_below(path))
    return images, without + more


def _read_all(files: Iterable[Path]) -> tuple[list[DicomImage], int]:
    """Images of files, and how many of the files hold none."""
    held = [read_dicom_file(file) for file in files]
    return [image for images in held for image in images], sum(not images for images in held)


def _stacks(images: Iterable[DicomImage]) -> list[list[DicomImage]]:
    """Images by series, size and direction."""
    stacks: dict[tuple[object, ...], list[list[DicomImage]]] = defaultdict(list)
    for image in images:
        of_kind = stacks[image.is_colour, image.series_uid, image.rows, image.columns]
        stack = next((stack for stack in of_kind if _are_parallel(stack[0], image)), None)
        if stack is None:
            of_kind.append([image])
        else:
            stack.append(image)
    return [stack for of_kind in stacks.values() for stack in of_kind]


def _are_parallel(one: DicomImage, other: DicomImage) -> bool:
    """Whether rows and columns of two images point the same way, or neither image says where they point."""
    if one.orientation is None or other.orientation is None:
        return one.orientation == other.orientation
    # Between the ends of two unit vectors, a cheap measure: each image may be held against many.
    apart = max(math.dist(one.orientation[part], other.orientation[part]) for part in ROW_AND_COLUMN)
    return apart <= math.radians(PARALLEL_DEGREES)


def _counts(groups: Iterable[Sequence[DicomImage]]) -> str:
    return ", ".join(map(str, sorted(map(len, groups), reverse=True)))
