"""What lies beside a DICOM file that was given alone: the rest of its series, which was meant, perhaps."""

from contextlib import suppress
from itertools import islice
from pathlib import Path

from inference.errors import InputError
from inference.imaging.formats.dicom_file import DicomImage, read_dicom_file
from inference.imaging.formats.dicom_folder import is_dicom

MOST_LOOKED_AT = 32
"""Files beside it that are opened: where one of them is of its series, most are."""


def rest_beside(path: Path, image: DicomImage) -> tuple[str, ...]:
    """A warning that a file is one slice of a series; none where no other slice of it is found beside it.

    It is a hint: a folder that may not be listed costs nothing else.

    Args:
        path: the file.
        image: the one that it holds.
    """
    with suppress(OSError):
        others = (each for each in sorted(path.parent.iterdir()) if each.name != path.name)
        files = (each for each in others if not each.name.startswith(".") and each.is_file())
        for other in filter(is_dicom, islice(files, MOST_LOOKED_AT)):
            with suppress(InputError):
                if any(_is_other_slice(each, image) for each in read_dicom_file(other)):
                    return (f"is one file of a series, which lies beside it; give its folder: {path.parent}",)
    return ()


def _is_other_slice(other: DicomImage, image: DicomImage) -> bool:
    """Whether an image is another slice of a series; a copy of the slice is none."""
    return _series(other) == _series(image) and other.position_mm != image.position_mm


def _series(image: DicomImage) -> tuple[object, ...]:
    """What slices of one series have in common: its UID; without one what else they say, and their size."""
    if image.series_uid:
        return (image.series_uid,)
    pixels = image.rows, image.columns, image.spacing_yx_mm
    return image.patient, image.study_uid, image.frame_of_reference, image.orientation, *pixels
