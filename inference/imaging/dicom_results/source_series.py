"""The series that a DICOM result refers to: the headers of its files, in the order of the slices.

`inference.imaging.formats.dicom` found and ordered the slices; here pydicom reads what a result repeats of
them (patient, study, frame of reference), without pixels.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, generate_uid
from pydicom.valuerep import format_number_as_ds

from inference.errors import InputError, one_line
from inference.geometry import Geometry
from inference.imaging.dicom_results.source_values import Mended, mend_values
from inference.imaging.formats.dicom import Series
from inference.imaging.formats.dicom_file import DicomImage
from model.arrays import F64

SHARED_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
"""What all slices are known by together, and results repeat."""
OF_THE_FILE = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}
"""What a slice is known by, and where its file says it once more."""
OFTEN_LACKING = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)
"""Elements that the standard asks for, if only empty, and that anonymized series often lack altogether."""


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


def read_source(series: Series) -> SourceSeries:
    """Read the headers of a series, fill in what anonymizing took from them, and mend what is odd.

    Identifiers that are missing are made up, the same ones each time, so that results of one series stay
    together; an archive will not find the series by them.

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
    made_up: dict[str, None] = {}
    mended = Mended()
    unsaid: dict[str, None] = {}
    for path in paths:
        try:
            header: Dataset = dcmread(path, stop_before_pixels=True, force=True)
        except (OSError, InvalidDicomError, ValueError, NotImplementedError) as error:
            raise InputError(f"{path}: its header cannot be read ({one_line(error)})") from error
        made_up |= dict.fromkeys(_fill_in(header, path.name))
        mend_values(header, mended)
        unsaid |= dict.fromkeys(_fill_in_sizes(header, series.geometry))
        headers.append(header)
    for name in SHARED_UIDS:
        if not all(header.get(name) for header in headers):
            made_up[name] = None
            uid = generate_uid(entropy_srcs=[name, *(str(header.SOPInstanceUID) for header in headers)])
            for header in headers:
                setattr(header, name, uid)
    warnings = [*mended.told]
    if made_up:
        warnings.append(
            f"its slices have no {', '.join(made_up)}: made up, so that an archive will not find them"
        )
    if unsaid:
        warnings.append(f"its slices have no {', '.join(unsaid)}: the label map's stands in the objects")
    return SourceSeries(images=tuple(series.images), headers=tuple(headers), warnings=tuple(warnings))


def _fill_in_sizes(header: Dataset, geometry: Geometry) -> list[str]:
    """Give the header of a slice the sizes of its voxels; the names of those that it lacks.

    Frames of one file have theirs in functional groups.
    """
    between_mm, rows_mm, columns_mm = map(_decimal, geometry.spacing_zyx_mm)
    sizes = {"SliceThickness": between_mm, "PixelSpacing": [rows_mm, columns_mm]}
    lacking = [name for name in sizes if "NumberOfFrames" not in header and header.get(name) in (None, "")]
    for name in lacking:
        setattr(header, name, sizes[name])
    return lacking


def _decimal(length_mm: float) -> str:
    return str(format_number_as_ds(length_mm))


def _fill_in(header: Dataset, name: str) -> list[str]:
    """Give a file's header what results repeat of it; the names of what had to be made up."""
    for element in OFTEN_LACKING:
        if element not in header:
            setattr(header, element, "")
    for element, again in OF_THE_FILE.items():
        if not header.get(element) and header.file_meta.get(again):
            setattr(header, element, header.file_meta[again].value)
    made_up = []
    if not header.get("SOPClassUID"):
        many = "NumberOfFrames" in header
        header.SOPClassUID = EnhancedCTImageStorage if many else CTImageStorage
        made_up.append("SOPClassUID")
    if not header.get("SOPInstanceUID"):
        header.SOPInstanceUID = generate_uid(entropy_srcs=[name, str(header.get("ImagePositionPatient"))])
        made_up.append("SOPInstanceUID")
    return made_up
