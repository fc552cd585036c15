"""The series that a DICOM result refers to: the headers of its files, in the order of the slices.

`inference.imaging.formats.dicom` found and ordered the slices; here pydicom reads what a result repeats of
them (patient, study, frame of reference), without pixels.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from inference.errors import InputError, one_line, reason
from inference.geometry import Geometry
from inference.imaging.dicom_results.repeated_elements import OFTEN_LACKING
from inference.imaging.dicom_results.source_values import Mended, mend_values
from inference.imaging.formats.dicom import Series
from inference.imaging.formats.dicom_file import DicomImage
from model.arrays import F64

FRAME = "FrameOfReferenceUID"
SHARED_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", FRAME)
"""What all slices are known by together, and results repeat."""
OF_THE_FILE = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}
"""What a slice is known by, and where its file says it once more."""
UIDS = (*OF_THE_FILE, *SHARED_UIDS)


@dataclass(frozen=True, kw_only=True)
class SourceSeries:
    """A series with its headers."""

    images: tuple[DicomImage, ...]
    """Slices in order; array index z of the case."""
    headers: tuple[Dataset, ...]
    """One for each file, in the order in which slices first come from it."""
    warnings: tuple[str, ...] = ()
    """What they lacked, and how it was made up for, for the user."""

    @property
    def first(self) -> Dataset:
        """The header of the first slice's file."""
        return self.headers[0]

    @property
    def is_one_file(self) -> bool:
        """Whether the slices are frames of one file."""
        return len(self.headers) == 1 and "NumberOfFrames" in self.first

    @cached_property
    def header_of(self) -> tuple[Dataset, ...]:
        """The header of each slice's file."""
        by_path = dict(zip(dict.fromkeys(image.path for image in self.images), self.headers, strict=True))
        return tuple(by_path[image.path] for image in self.images)

    def pixel_to_world(self, z: int) -> tuple[F64, F64, F64]:
        """Where a slice lies: LPS mm of the first pixel's centre, steps from column to column and row to row.

        Args:
            z: index of the slice.
        """
        image = self.images[z]
        position, orientation, spacing = image.position_mm, image.orientation, image.spacing_yx_mm
        if position is None or orientation is None or spacing is None:
            raise ValueError(f"{image.path}: does not say where it lies, though its series makes a grid")
        between_rows, between_columns = spacing
        along_row, along_column = np.array(orientation[:3]), np.array(orientation[3:])
        return np.array(position), along_row * between_columns, along_column * between_rows


def read_source(series: Series, own_texts: str = "") -> SourceSeries:
    """Read the headers of a series, fill in what anonymizing took from them, and mend what is odd.

    Identifiers that are missing are made up of the files' contents: the same ones each time, so that results
    of one series stay together, and others for any other files. An archive will not find the series by them.

    Args:
        series: that a result refers to.
        own_texts: what stands in the result beside; where it is not ASCII, the character set becomes UTF-8.

    Raises:
        InputError: a file cannot be read, or the series is in several files of many frames.
    """
    paths = dict.fromkeys(image.path for image in series.images)
    if len(paths) > 1 and len(paths) != len(series.images):
        raise InputError(
            f"{series.images[0].path}: the series is split over several files of many frames, to which DICOM "
            "results cannot refer; convert it to single slices first"
        )
    headers: list[Dataset] = []
    mended = Mended()
    unsaid: dict[str, None] = {}
    for path in paths:
        try:
            header: Dataset = dcmread(path, stop_before_pixels=True, force=True)
        except (OSError, InvalidDicomError, ValueError, NotImplementedError) as error:
            raise InputError(f"{path}: its header cannot be read ({one_line(error)})") from error
        _fill_in(header)
        mend_values(header, mended, in_utf8=not own_texts.isascii())
        unsaid |= dict.fromkeys(_fill_in_sizes(header, series.geometry))
        headers.append(header)
    made_up = _make_up_uids(headers, [*paths])
    warnings = [*mended.told, *_told_of_made_up(made_up)]
    if unsaid:
        warnings.append(
            f"its slices have no usable {', '.join(unsaid)}: the label map's stands in the objects"
        )
    return SourceSeries(images=tuple(series.images), headers=tuple(headers), warnings=tuple(warnings))


def _make_up_uids(headers: Sequence[Dataset], paths: Sequence[Path]) -> list[str]:
    """Give headers the identifiers that they lack; the names of those that had to be made up.

    Raises:
        InputError: a file, of whose content they are made, cannot be read.
    """
    lacking = [name for name in UIDS if not all(header.get(name) for header in headers)]
    if "SOPClassUID" in lacking:
        for header in headers:
            many = "NumberOfFrames" in header
            header.SOPClassUID = header.get("SOPClassUID") or (
                EnhancedCTImageStorage if many else CTImageStorage
            )
    if not set(lacking) - {"SOPClassUID"}:
        return lacking
    # Neither names nor places of slices tell two patients apart, or two phases of one.
    contents = [_sha256(path) for path in paths]
    if "SOPInstanceUID" in lacking:
        for header, content in zip(headers, contents, strict=True):
            header.SOPInstanceUID = header.get("SOPInstanceUID") or generate_uid(
                entropy_srcs=["SOPInstanceUID", content]
            )
    for name in (name for name in SHARED_UIDS if name in lacking):
        uid = generate_uid(entropy_srcs=[name, *contents])
        for header in headers:
            setattr(header, name, uid)
    return lacking


def _sha256(path: Path) -> str:
    """Of a file's content.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error


def _told_of_made_up(names: Sequence[str]) -> list[str]:
    """What the user is told of identifiers that were made up."""
    told = []
    if finding := [name for name in names if name != FRAME]:
        told.append(
            f"its slices have no {', '.join(finding)}: made up, so that an archive will not find them"
        )
    if FRAME in names:
        told.append(
            f"its slices have no {FRAME}: made up for the objects, which a viewer may then not lay over them"
        )
    return told


def _fill_in_sizes(header: Dataset, geometry: Geometry) -> list[str]:
    """Give the header of a slice the sizes of its voxels; the names of those that it lacks.

    Frames of one file have theirs in functional groups.
    """
    between_mm, rows_mm, columns_mm = map(_decimal, geometry.spacing_zyx_mm)
    sizes = {"SliceThickness": between_mm, "PixelSpacing": [rows_mm, columns_mm]}
    lacking = [name for name in sizes if "NumberOfFrames" not in header and not _is_number(header.get(name))]
    for name in lacking:
        setattr(header, name, sizes[name])
    return lacking


def _is_number(value: object) -> bool:
    """Whether an element says a number, or several; pydicom leaves text (`2,0`) that is none."""
    return isinstance(value, (float, Decimal)) or (
        isinstance(value, MultiValue) and all(map(_is_number, value))
    )


def _decimal(length_mm: float) -> str:
    return str(format_number_as_ds(length_mm))


def _fill_in(header: Dataset) -> None:
    """Give a file's header what results repeat of it, empty where it does not say so anywhere."""
    for element in OFTEN_LACKING:
        if element not in header:
            setattr(header, element, "")
    for element, again in OF_THE_FILE.items():
        if not header.get(element) and header.file_meta.get(again):
            setattr(header, element, header.file_meta[again].value)
