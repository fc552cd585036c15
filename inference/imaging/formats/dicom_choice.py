"""Which of the images in a DICOM folder are read: those of one series, which make one stack."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from inference.errors import InputError
from inference.imaging.formats.dicom_discord import left_out
from inference.imaging.formats.dicom_file import DicomImage, read_dicom_file
from inference.imaging.formats.dicom_folder import dicom_files

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
    stacks: dict[tuple[object, ...], list[list[DicomImage]]] = defaultdict(list)
    without = 0
    for file in dicom_files(path):
        images = read_dicom_file(file)
        without += not images
        for image in images:
            of_kind = stacks[image.is_colour, image.series_uid, image.rows, image.columns]
            stack = next((stack for stack in of_kind if _are_parallel(stack[0], image)), None)
            if stack is None:
                of_kind.append([image])
            else:
                stack.append(image)
    groups = [stack for of_kind in stacks.values() for stack in of_kind]
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
    warnings += [f"{without} DICOM files without an image were left out"] if without else []
    return series, warnings


def _are_parallel(one: DicomImage, other: DicomImage) -> bool:
    """Whether rows and columns of two images point the same way, or neither image says where they point."""
    if one.orientation is None or other.orientation is None:
        return one.orientation == other.orientation
    # Between the ends of two unit vectors, a cheap measure: each image may be held against many.
    apart = max(math.dist(one.orientation[part], other.orientation[part]) for part in ROW_AND_COLUMN)
    return apart <= math.radians(PARALLEL_DEGREES)


def _counts(groups: Iterable[Sequence[DicomImage]]) -> str:
    return ", ".join(map(str, sorted(map(len, groups), reverse=True)))
