"""The header of one DICOM file, read with distrust: whatever claims to reach beyond the file is refused.

Only what a CT slice needs is kept.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from inference.errors import InputError, reason
from inference.imaging.formats.dicom_walk import (
    BIG_ENDIAN,
    DEFLATED,
    FRAME_GROUPS,
    IMPLICIT,
    SHARED_GROUPS,
    UNDEFINED,
    WANTED,
    DamagedError,
    DicomWalk,
)
from inference.imaging.formats.file_bytes import FileBytes
from model.arrays import F64

LARGEST_SIDE = 8192
_PLAIN = {IMPLICIT, BIG_ENDIAN, DEFLATED, "1.2.840.10008.1.2.1"}
_JPEG = "1.2.840.10008.1.2.4."
_GDCM_UNPACKS = {
    *(_JPEG + kind for kind in ("50", "51", "57", "70", "80", "81", "90", "91")),
    "1.2.840.10008.1.2.5",
}
"""Transfer syntaxes: JPEG, JPEG-LS, JPEG 2000 and run lengths (DICOM PS3.6)."""
_NUMBERS = {
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
}


class Unread(NamedTuple):
    """Why the pixels of a sound file are not read."""

    why: str
    """`holds 40 frames of compressed pixels`."""
    remedy: str


@dataclass(frozen=True, kw_only=True)
class DicomImage:
    """One image: a file, or a frame of one."""

    path: Path
    series_uid: str
    modality: str
    """What made it, such as `CT` or `MR`; empty where the file does not say."""
    rows: int
    columns: int
    samples: int
    """Values a pixel: 1 for a CT, 3 for colour."""
    position_mm: tuple[float, ...] | None
    """LPS position of the first pixel's centre."""
    orientation: tuple[float, ...] | None
    """Directions of a row and of a column."""
    spacing_yx_mm: tuple[float, ...] | None
    thickness_mm: float | None
    slope: float
    intercept: float
    stored: np.dtype[np.generic]
    """Type of a stored pixel, with byte order."""
    bits_stored: int
    high_bit: int
    pixels_at: int
    """Byte of the file at which the pixels begin."""
    is_packed: bool
    """Whether the pixels are compressed by themselves, JPEG for example."""
    deflated_at: int | None = None
    """Byte from which on all of the file is deflated, `pixels_at` counts in what comes out; None: plain."""
    frame: int = 0
    """Which of the file's frames, from 0."""
    is_slope_zero: bool = False
    """Whether the file says that `slope` is 0, which no image has; 1 stands there then."""
    is_bits_missing: bool = False
    """Whether the file lacks the bits that a pixel takes, which are 16 then."""
    odd_thickness: str = ""
    """The element of the thickness that holds no number, if one does not."""
    is_palette: bool = False
    """Whether its values are numbers of colours in a table, of which a CT has none."""
    is_inverted: bool = False
    """Whether the least value is to be shown white (`MONOCHROME1`)."""
    number: int | None = None
    """The file's number in its series; None where it does not say."""
    image_type: tuple[str, ...] = ()
    """How it came about (`ORIGINAL`, `PRIMARY`, `AXIAL`); empty where the file does not say."""
    series_number: str = ""
    series_description: str = ""
    """What people call its series, as far as it is UTF-8."""
    frame_of_reference: str = ""
    """Names what positions are measured from; empty where the file does not say."""
    patient: str = field(default="", repr=False)
    """Who it is of, byte by byte as the file says (`PatientID`), to be compared and never shown."""
    study_uid: str = ""
    sop_uid: str = ""
    """What the file is known by everywhere; empty where it does not say."""
    sop_class: str = ""
    """Which kind of object it is; empty where the file does not say."""
    unread: Unread | None = None
    """Why its pixels cannot be read; None where they can."""

    @property
    def is_colour(self) -> bool:
        """Whether it is a picture, in colour."""
        return self.samples > 1 or self.is_palette

    @property
    def normal(self) -> F64:
        """Unit vector (3,) across the slice, LPS; towards the head for an axial one that says nothing."""
        orientation = self.orientation or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
        normal = np.cross(orientation[:3], orientation[3:])
        return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-9), np.float64)


def read_dicom_file(path: Path) -> list[DicomImage]:
    """Read the header of a DICOM file.

    Returns:
        Its image, or its frames in the order of the file; nothing if it holds none, as a directory, a report
        or a segmentation does.

    Raises:
        InputError: the file is damaged.
    """
    try:
        if not path.stat().st_size:
            raise DamagedError("0 bytes")
        with path.open("rb") as file:
            walk = DicomWalk(FileBytes(file))
            walk.run()
            return _images(path, walk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    except (DamagedError, ValueError, struct.error, IndexError) as error:
        raise InputError(
            f"{path}: is damaged or no DICOM image ({error}); copy the series again, or remove the file"
        ) from error


def _images(path: Path, walk: DicomWalk) -> list[DicomImage]:
    values = _named(walk.raw)
    number = {
        name: int(struct.unpack(f"{walk.order}H", values[name][:2])[0]) for name in _NUMBERS & set(values)
    }
    if walk.pixels is None or walk.is_without_image:
        return []
    if not {"Rows", "Columns"} <= set(number):
        raise DamagedError("pixels without rows and columns")
    bits = number.get("BitsAllocated", 16)
    rows, columns, frames = number["Rows"], number["Columns"], int(_float(values, "NumberOfFrames", 1.0))
    if not (
        0 < rows <= LARGEST_SIDE
        and 0 < columns <= LARGEST_SIDE
        and 0 < frames <= LARGEST_SIDE
        and bits in (8, 16, 32)
    ):
        raise DamagedError(f"an image of {columns} × {rows} × {frames} pixels of {bits} bits")
    samples, (start, length) = number.get("SamplesPerPixel", 1), walk.pixels
    is_packed = walk.syntax not in _PLAIN
    unread = _unread(walk.syntax, values, frames) if is_packed or walk.syntax == DEFLATED else None
    if is_packed and length != UNDEFINED and unread is None:
        raise DamagedError("compressed pixels that are not in fragments")
    frame_bytes = rows * columns * samples * bits // 8
    if not is_packed and length < frames * frame_bytes:
        raise DamagedError("fewer pixels than its header says")
    stored, high = number.get("BitsStored", bits), number.get("HighBit", number.get("BitsStored", bits) - 1)
    if not 0 < stored <= high + 1 <= bits:
        raise DamagedError(f"{stored} bits up to bit {high} of {bits}")
    common: dict[str, Any] = {
        "path": path,
        "series_uid": _text(values, "SeriesInstanceUID"),
        "modality": _text(values, "Modality"),
        "is_bits_missing": "BitsAllocated" not in number,
        "is_palette": _text(values, "PhotometricInterpretation") == "PALETTE COLOR",
        "is_inverted": _text(values, "PhotometricInterpretation") == "MONOCHROME1",
        "number": _whole(values, "InstanceNumber") if frames == 1 else None,
        "image_type": tuple(filter(None, map(str.strip, _text(values, "ImageType").split("\\")))),
        "series_number": _text(values, "SeriesNumber"),
        "series_description": values.get("SeriesDescription", b"").decode("utf-8", "replace").strip(" \0"),
        "frame_of_reference": _text(values, "FrameOfReferenceUID"),
        "patient": values.get("PatientID", b"").decode("latin-1").strip(" \0"),
        "study_uid": _text(values, "StudyInstanceUID"),
        "sop_uid": _text(values, "SOPInstanceUID"),
        "sop_class": _text(values, "SOPClassUID") or _text(values, "MediaStorageSOPClassUID"),
        "unread": unread,
        "rows": rows,
        "columns": columns, "samples": samples, "bits_stored": stored, "high_bit": high,
        "is_packed": is_packed, "deflated_at": walk.deflated_at,
        "stored": np.dtype(f"{walk.order}{'i' if number.get('PixelRepresentation', 0) else 'u'}{bits // 8}"),
    }  # fmt: skip
    return [
        DicomImage(**common, **_place(of_frame), pixels_at=start + i * frame_bytes, frame=i)
        for i, of_frame in enumerate(_of_frames(walk, values, frames))
    ]


def _unread(syntax: str, values: Mapping[str, bytes], frames: int) -> Unread | None:
    """Why compressed pixels cannot be unpacked, if they cannot."""
    if frames == 1 and syntax == DEFLATED:
        return None
    if frames > 1 or syntax not in _GDCM_UNPACKS:
        unknown = f"pixels compressed in a way that is not read ({syntax[:40]})"
        what = f"{frames} frames of compressed pixels" if frames > 1 else unknown
        return Unread(f"holds {what}", "convert the series to one .nii.gz file")
    if _text(values, "PhotometricInterpretation") == "MONOCHROME1":
        return Unread(
            "holds compressed pixels that are shown inverted (MONOCHROME1), which unpacking would invert",
            "export the series again without compression",
        )
    return None


def _of_frames(walk: DicomWalk, values: Mapping[str, bytes], frames: int) -> list[dict[str, bytes]]:
    """What the file says of each frame.

    That is what the functional groups of an enhanced image say, and what is said of the whole image.
    """
    shared, each = walk.groups[SHARED_GROUPS][:1], walk.groups[FRAME_GROUPS]
    if not each and frames == 1:
        each = [{}]
    if not each:
        # Nothing tells the frames apart; what stands at the top is the first one's place.
        return [{name: value for name, value in values.items() if name != "ImagePositionPatient"}] * frames
    if len(each) != frames:
        raise DamagedError(f"{frames} frames, of which {len(each)} are described")
    of_all = {**values, **(_named(shared[0]) if shared else {})}
    return [{**of_all, **_named(of_frame)} for of_frame in each]


def _place(values: Mapping[str, bytes]) -> dict[str, Any]:
    """Fields of a `DicomImage` that frames of one file may differ in."""
    thickness, odd = _thickness_mm(values)
    slope = _float(values, "RescaleSlope", 1.0)
    return {
        "position_mm": _floats(values, "ImagePositionPatient", 3),
        "orientation": _floats(values, "ImageOrientationPatient", 6),
        "spacing_yx_mm": _floats(values, "PixelSpacing", 2),
        "thickness_mm": thickness,
        "odd_thickness": odd,
        "slope": slope or 1.0,
        "is_slope_zero": slope == 0,
        "intercept": _float(values, "RescaleIntercept", 0.0),
    }


def _thickness_mm(values: Mapping[str, bytes]) -> tuple[float | None, str]:
    """How thick a slice is, and the element that should say so but holds no number, if one does not."""
    odd = ""
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        try:
            if thickness := abs(_float(values, name, 0.0)):
                return thickness, odd
        except DamagedError:  # A stack of slices has their places, and needs no thickness.
            odd = name
    return None, odd


def _named(raw: Mapping[int, bytes]) -> dict[str, bytes]:
    return {WANTED[tag]: value for tag, value in raw.items()}


def _text(values: Mapping[str, bytes], name: str) -> str:
    return values.get(name, b"").decode("ascii", "replace").strip(" \0")


def _whole(values: Mapping[str, bytes], name: str) -> int | None:
    """A whole number written as text; None where there is none, or something else."""
    text = _text(values, name)
    return int(text) if re.fullmatch(r"[+-]?\d{1,10}", text) else None


def _float(values: Mapping[str, bytes], name: str, default: float) -> float:
    found = _floats(values, name, 1)
    return default if found is None else found[0]


def _floats(values: Mapping[str, bytes], name: str, count: int) -> tuple[float, ...] | None:
    """Numbers written as text and parted by backslashes; None where there are none."""
    text = _text(values, name)
    if not text:
        return None
    try:
        found = tuple(float(part) for part in text.split("\\"))
    except ValueError:
        found = ()
    if len(found) < count or not np.isfinite(found).all():
        raise DamagedError(f"{name} is {text[:40]!r}")
    return found[:count]
