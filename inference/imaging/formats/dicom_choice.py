"""Which of the images in a DICOM folder are read: those of one series, which make one stack."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from inference.errors import InputError
from inference.imaging.formats.dicom_asked import UNKNOWN, asked_stacks, listed_series, name_of_series
from inference.imaging.formats.dicom_beside import rest_beside
from inference.imaging.formats.dicom_classes import is_secondary_capture
from inference.imaging.formats.dicom_copies import without_copies
from inference.imaging.formats.dicom_discord import commonest, left_out, named
from inference.imaging.formats.dicom_file import DicomImage, read_dicom_file
from inference.imaging.formats.dicom_folder import dicom_files, dicom_files_below
from model.case_names import printable

CT = "CT"
PARALLEL_DEGREES = 0.5
"""Angle up to which rows and columns of two images count as parallel: headers round, and images that are
turned farther are another stack."""
DERIVED = {"DERIVED", "REFORMATTED", "LOCALIZER", "MPR", "MIP"}
"""Values of `ImageType` by which images are no scan that a scanner made, or one that planned it."""
FEW = 8
"""Images below which an original is not preferred: what watches for contrast agent is one, too."""
ROW_AND_COLUMN = (slice(0, 3), slice(3, 6))
"""Where the two directions stand in an image's orientation."""


def choose_series(
    path: Path, modality: str = CT, asked: str | None = None
) -> tuple[list[DicomImage], list[str]]:
    """Images of the series to read, and warnings.

    Of several series, those of the modality that is expected come first, then those that do not say theirs,
    then all others; among these originals before what was derived from a scan or planned it, unless they are
    few; among these the one with the most images is taken, with a warning. Images of another size
    or orientation are another series. What cannot be read is left out, with a warning, where it is not the
    series that would be taken and says that it is no part of it.

    Args:
        path: a folder or a file.
        modality: that is expected, as DICOM writes it; empty where any may be.
        asked: the one series to look at, by its SeriesInstanceUID or a SeriesNumber that no other has; None:
            all are looked at.

    Raises:
        InputError: no DICOM images, several series that could be meant, none or several called as asked, one
            of several patients, colour, pixels that are not read, damage.
    """
    scan = modality or "scan"
    every, without = _images_of(path)
    images, of_copies = without_copies(every)
    groups = _stacks(images)
    if not groups:
        raise InputError(
            f"{path}: holds no DICOM images; give an image file or a folder with the slices of one {scan}"
        )
    nameless: list[list[DicomImage]] = []
    if asked is not None:
        groups, nameless = asked_stacks(path, groups, asked)

    def rank(group: Sequence[DicomImage]) -> tuple[bool, int, bool, int, bool]:
        # Pictures last: what a workstation saves beside a scan is no scan.
        is_derived = _is_derived(group)
        kind = _is_picture(group[0]), _strangeness(group, modality)
        return *kind, is_derived or len(group) < FEW, -len(group), is_derived

    series = min(groups, key=rank)
    if series[0].is_colour:
        raise InputError(f"{path}: holds colour images; give the {scan} itself, not a picture of it")
    unread = [group for group in [*groups, *nameless] if group[0].unread]
    _refuse_unread(series, unread)
    others = [group for group in groups if group is not series]
    if any(rank(group) == rank(series) for group in others):
        raise InputError(
            f"{path}: holds {len(groups)} DICOM series ({_counts(groups)} images), none the longest"
            f"{_of_kind(series, groups)}; give each a folder of its own, or "
            "name one (predict.py: with --series; a cohort: in the column series of its table): "
            f"{listed_series(groups)}"
        )
    _refuse_several(path, series, "patients", "PatientID", lambda image: image.patient)
    _refuse_several(path, series, "studies", "StudyInstanceUID", lambda image: image.study_uid)
    alone = rest_beside(path, series[0]) if len(series) == 1 and path.is_file() else ()
    read = [group for group in others if not group[0].unread]
    return series, [*_told(series, read, without), *_told_unread(unread), *of_copies, *alone]


def _refuse_unread(series: Sequence[DicomImage], unread: Iterable[Sequence[DicomImage]]) -> None:
    """Make sure that what cannot be read is no part of a series.

    Raises:
        InputError: it is, or may be: it names neither another series nor another class of objects.
    """
    first = series[0]
    for group in unread:
        image = group[0]
        if image.unread and not (
            _say_otherwise(first.series_uid, image.series_uid)
            or _say_otherwise(first.sop_class, image.sop_class)
        ):
            raise InputError(f"{image.path}: {image.unread.why}; {image.unread.remedy}")


def _is_picture(image: DicomImage) -> bool:
    """Whether it is in colour, or is not read and says that it is a picture.

    Grey slices that are read count as a scan: some programs save one anew as such pictures.
    """
    return image.is_colour or (image.unread is not None and is_secondary_capture(image.sop_class))


def _say_otherwise(one: str, other: str) -> bool:
    return bool(one and other) and one != other


def _told_unread(unread: Iterable[Sequence[DicomImage]]) -> list[str]:
    """What the user is told of files that cannot be read and are no part of the series, for each why."""
    whys: dict[str, dict[Path, DicomImage]] = defaultdict(dict)
    for image in (image for group in unread for image in group):
        if image.unread:
            whys[image.unread.why].setdefault(image.path, image)
    return [
        f"{named([*files.values()])}, of another series or class, {why}{' each' * (len(files) > 1)}; left out"
        for why, files in whys.items()
    ]


def _refuse_several(
    path: Path, series: Sequence[DicomImage], whose: str, element: str, say: Callable[[DicomImage], str]
) -> None:
    """Make sure that a series is of one patient, or of one study; what does not say may be of any.

    Raises:
        InputError: it is of several. Files are named, patients never.
    """
    one_of_each = {say(image): image for image in reversed(series) if say(image)}
    if len(one_of_each) > 1:
        images = sorted(one_of_each.values(), key=lambda image: image.path)
        raise InputError(
            f"{path}: holds slices of {len(one_of_each)} {whose} as one series ({named(images)}, for "
            f"example); give each a folder of its own, or, if they are one scan, the same {element}"
        )


def _told(series: Sequence[DicomImage], others: Iterable[Sequence[DicomImage]], without: int) -> list[str]:
    """What the user is told of what was not taken.

    Args:
        series: that was taken.
        others: images of other series, or that make another stack.
        without: how many files hold no image.
    """
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
        seen = [series, *strange]
        warnings = [
            f"{len(seen)} DICOM series in one folder ({_counts(seen)} images); the longest"
            f"{_of_kind(series, seen)}{name_of_series(series)} was taken"
        ]
    warnings += left_out(series, same) if same else []
    if without:
        files = "file without an image was" if without == 1 else "files without an image were"
        warnings.append(f"{without} DICOM {files} left out")
    return warnings


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
        kind = image.is_colour, image.unread, image.series_uid, image.sop_class if image.unread else ""
        of_kind = stacks[*kind, image.rows, image.columns]
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


def _modality(group: Sequence[DicomImage]) -> str:
    return commonest(group, lambda image: image.modality)


def _strangeness(group: Sequence[DicomImage], modality: str) -> int:
    """0 for images of the modality that is expected, 1 where they do not say theirs, 2 for others."""
    said = _modality(group)
    return 0 if not modality or said == modality else 1 if not said else 2


def _differ(groups: Iterable[Sequence[DicomImage]]) -> bool:
    return len(set(map(_modality, groups))) > 1


def _is_derived(group: Sequence[DicomImage]) -> bool:
    """Whether images were made of others, as MPRs are, or to plan them; what does not say is original."""
    return not DERIVED.isdisjoint(commonest(group, lambda image: image.image_type))


def _of_kind(series: Sequence[DicomImage], groups: Sequence[Sequence[DicomImage]]) -> str:
    """` original CT` after `the longest`, where not all series are original, or have that modality."""
    is_original = not _is_derived(series) and any(map(_is_derived, groups))
    kind = " original" if is_original else ""
    return f"{kind} {printable(_modality(series) or UNKNOWN)}" if _differ(groups) else kind


def _counts(groups: Sequence[Sequence[DicomImage]]) -> str:
    """How many images each series has: `9 PT, 6 CT [2 AX]`, or `9, 6 [2 AX]` of one modality."""
    ordered, differ = sorted(groups, key=len, reverse=True), _differ(groups)
    kinds = [f" {printable(_modality(group) or UNKNOWN)}" if differ else "" for group in ordered]
    return ", ".join(
        f"{len(group)}{kind}{name_of_series(group)}" for group, kind in zip(ordered, kinds, strict=True)
    )
