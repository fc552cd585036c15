"""The header of one DICOM file, read with distrust: whatever claims to reach beyond the file is refused.

Only what a CT slice needs is kept. Sequences are walked for their structure, so that the decoder for packed
pixels (GDCM) never sees a length that is not so; of their contents, what describes the frames of an enhanced
image (DICOM PS3.3, functional groups) is kept.
"""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from inference.errors import InputError, reason
from inference.imaging.formats.file_bytes import FileBytes

PREFIX_AT, DATA_AT = 128, 132
UNDEFINED = 0xFFFFFFFF
DEEPEST = 32
LARGEST_SIDE = 8192
_LONG_FORM = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV"}
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_SYNTAX, _PIXELS = 0x00020010, 0x7FE00010
_IMPLICIT, _BIG_ENDIAN, _DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
_SHARED_GROUPS, _FRAME_GROUPS = 0x52009229, 0x52009230
_MACROS = {0x00209113, 0x00209116, 0x00289110, 0x00289145}
"""Functional groups that are read: where a frame lies, how it is turned, its pixels' size, its rescaling."""
_PLAIN = {_IMPLICIT, _BIG_ENDIAN, "1.2.840.10008.1.2.1"}
_JPEG = "1.2.840.10008.1.2.4."
_GDCM_UNPACKS = {
    *(_JPEG + kind for kind in ("50", "51", "57", "70", "80", "81", "90", "91")),
    "1.2.840.10008.1.2.5",
}
"""Transfer syntaxes: JPEG, JPEG-LS, JPEG 2000 and run lengths (DICOM PS3.6)."""
_WANTED = {
    0x00080060: "Modality",
    0x00180050: "SliceThickness", 0x00180088: "SpacingBetweenSlices", 0x0020000E: "SeriesInstanceUID",
    0x00200013: "InstanceNumber", 0x00200032: "ImagePositionPatient",
    0x00200037: "ImageOrientationPatient", 0x00200052: "FrameOfReferenceUID",
    0x00280002: "SamplesPerPixel", 0x00280008: "NumberOfFrames",
    0x00280004: "PhotometricInterpretation", 0x00280010: "Rows",
    0x00280011: "Columns", 0x00280030: "PixelSpacing", 0x00280100: "BitsAllocated", 0x00280101: "BitsStored",
    0x00280102: "HighBit",
    0x00280103: "PixelRepresentation", 0x00281052: "RescaleIntercept", 0x00281053: "RescaleSlope",
    _SYNTAX: "TransferSyntaxUID",
}  # fmt: skip
_NUMBERS = {
    "SamplesPerPixel",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
}


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
    """Whether the pixels are compressed, JPEG for example."""
    frame: int = 0
    """Which of the file's frames, from 0."""
    is_slope_zero: bool = False
    """Whether the file says that `slope` is 0, which no image has; 1 stands there then."""
    is_bits_missing: bool = False
    """Whether the file lacks the bits that a pixel takes, which are 16 then."""
    is_palette: bool = False
    """Whether its values are numbers of colours in a table, of which a CT has none."""
    is_inverted: bool = False
    """Whether the least value is to be shown white (`MONOCHROME1`)."""
    number: int | None = None
    """The file's number in its series; None where it does not say."""
    frame_of_reference: str = ""
    """Names what positions are measured from; empty where the file does not say."""

    @property
    def is_colour(self) -> bool:
        """Whether it is a picture, in colour."""
        return self.samples > 1 or self.is_palette


def read_dicom_file(path: Path) -> list[DicomImage]:
    """Read the header of a DICOM file.

    Returns:
        Its image, or its frames in the order of the file; nothing if it holds none, as a directory or a
        report does.

    Raises:
        InputError: the file is damaged, or of a kind that is not read.
    """
    try:
        if not path.stat().st_size:
            raise _DamagedError("0 bytes")
        with path.open("rb") as file:
            walk = _Walk(FileBytes(file))
            walk.run()
            return _images(path, walk)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from error
    except (_DamagedError, ValueError, struct.error, IndexError) as error:
        raise InputError(
            f"{path}: is damaged or no DICOM image ({error}); copy the series again, or remove the file"
        ) from error


class _DamagedError(Exception):
    """The structure is not that of a DICOM file."""


_Kept = dict[int, bytes] | None


class _Walk:
    """Walks over the elements of a file, keeping those that are wanted at the top level."""

    def __init__(self, data: FileBytes) -> None:
        self._data = data
        self.raw: dict[int, bytes] = {}
        self.groups: dict[int, list[dict[int, bytes]]] = {_SHARED_GROUPS: [], _FRAME_GROUPS: []}
        """What an enhanced image says of all its frames, and of each of them."""
        self.pixels: tuple[int, int] | None = None
        """Where pixels begin and how many bytes they are; UNDEFINED: in fragments."""
        self.syntax = _IMPLICIT
        self.order: Literal["<", ">"] = "<"

    def run(self) -> None:
        """Walk over the whole file."""
        at, end = 0, len(self._data)
        if self._data[PREFIX_AT:DATA_AT] == b"DICM":
            at = self._walk(DATA_AT, end, explicit=True, into=self.raw, only_group=2)
            self.syntax = self.raw.get(_SYNTAX, b"").decode("ascii", "replace").strip(" \0") or _IMPLICIT
        elif self._data[4:6].isalpha() and self._data[4:6].isupper():
            self.syntax = "1.2.840.10008.1.2.1"
        if self.syntax == _DEFLATED:
            raise _DamagedError("its header is deflated, which is not read")
        self.order = ">" if self.syntax == _BIG_ENDIAN else "<"
        self._walk(at, end, explicit=self.syntax != _IMPLICIT, into=self.raw)

    def _walk(
        self, at: int, end: int, *, explicit: bool, into: _Kept, only_group: int | None = None, depth: int = 0
    ) -> int:
        """Elements from `at` to `end` or to the end of their item, wanted ones kept in `into`.

        The value is the byte after them.
        """
        while at < end:
            group, element = self._data.numbers(f"{self.order}HH", at)
            if only_group is not None and group != only_group:
                return at
            tag = group << 16 | element
            if tag in (_ITEM_END, _SEQUENCE_END):
                return at + 8
            kind, length, start = self._length(at, explicit)
            if length == UNDEFINED and tag == _PIXELS and depth == 0:
                self.pixels = start, UNDEFINED
                at = self._items(start, end, fragments=True)
            elif length == UNDEFINED:
                at = self._items(
                    start, end, explicit=explicit and kind != b"UN", depth=depth + 1, of=tag, into=into
                )
            elif start + length > end:
                raise _DamagedError("an element reaches beyond the file")
            else:
                if kind == b"SQ" or (not explicit and (tag in self.groups or tag in _MACROS)):
                    self._items(start, start + length, explicit=explicit, depth=depth + 1, of=tag, into=into)
                elif depth == 0 and tag == _PIXELS:
                    self.pixels = start, length
                elif into is not None and tag in _WANTED:
                    into[tag] = self._data[start : start + length]
                at = start + length
        return at

    def _length(self, at: int, explicit: bool) -> tuple[bytes, int, int]:
        """An element's type, length and first byte."""
        if not explicit:
            return b"", self._data.numbers(f"{self.order}I", at + 4)[0], at + 8
        kind = self._data[at + 4 : at + 6]
        if not (kind.isalpha() and kind.isupper()):
            raise _DamagedError("an element has no type")
        if kind in _LONG_FORM:
            return kind, self._data.numbers(f"{self.order}I", at + 8)[0], at + 12
        return kind, self._data.numbers(f"{self.order}H", at + 6)[0], at + 8

    def _items(
        self,
        at: int,
        end: int,
        *,
        explicit: bool = True,
        fragments: bool = False,
        depth: int = 0,
        of: int = 0,
        into: _Kept = None,
    ) -> int:
        """Items of the sequence `of`, or fragments of packed pixels.

        The value is the byte after the sequence.
        """
        if depth > DEEPEST:
            raise _DamagedError("sequences are nested too deep")
        while at < end:
            group, element, length = self._data.numbers(f"{self.order}HHI", at)
            tag, at = group << 16 | element, at + 8
            if tag == _SEQUENCE_END:
                return at
            if (
                tag != _ITEM
                or (length == UNDEFINED and fragments)
                or (length != UNDEFINED and at + length > end)
            ):
                raise _DamagedError("a sequence is broken")
            if fragments:
                at += length
            else:
                stop = end if length == UNDEFINED else at + length
                at = self._walk(at, stop, explicit=explicit, into=self._kept_of(of, into, depth), depth=depth)
        return at

    def _kept_of(self, sequence: int, into: _Kept, depth: int) -> _Kept:
        """Where an item's wanted elements are kept.

        Those of each functional group are kept apart, those of other sequences nowhere.
        """
        if depth == 1 and sequence in self.groups:
            self.groups[sequence].append({})
            return self.groups[sequence][-1]
        return into if depth == 2 and sequence in _MACROS else None


def _images(path: Path, walk: _Walk) -> list[DicomImage]:
    values = _named(walk.raw)
    number = {
        name: int(struct.unpack(f"{walk.order}H", values[name][:2])[0]) for name in _NUMBERS & set(values)
    }
    if walk.pixels is None:
        return []
    if not {"Rows", "Columns"} <= set(number):
        raise _DamagedError("pixels without rows and columns")
    bits = number.get("BitsAllocated", 16)
    rows, columns, frames = number["Rows"], number["Columns"], int(_float(values, "NumberOfFrames", 1.0))
    if not (
        0 < rows <= LARGEST_SIDE
        and 0 < columns <= LARGEST_SIDE
        and 0 < frames <= LARGEST_SIDE
        and bits in (8, 16, 32)
    ):
        raise _DamagedError(f"an image of {columns} × {rows} × {frames} pixels of {bits} bits")
    samples, (start, length) = number.get("SamplesPerPixel", 1), walk.pixels
    is_packed = walk.syntax not in _PLAIN
    if is_packed and (frames > 1 or walk.syntax not in _GDCM_UNPACKS):
        unknown = f"pixels compressed in a way that is not read ({walk.syntax[:40]})"
        what = f"{frames} frames of compressed pixels" if frames > 1 else unknown
        raise InputError(f"{path}: holds {what}; convert the series to one .nii.gz file")
    if is_packed and _text(values, "PhotometricInterpretation") == "MONOCHROME1":
        raise InputError(
            f"{path}: holds compressed pixels that are shown inverted (MONOCHROME1), which unpacking would "
            "invert; export the series again without compression"
        )
    if is_packed and length != UNDEFINED:
        raise _DamagedError("compressed pixels that are not in fragments")
    frame_bytes = rows * columns * samples * bits // 8
    if not is_packed and length < frames * frame_bytes:
        raise _DamagedError("fewer pixels than its header says")
    stored, high = number.get("BitsStored", bits), number.get("HighBit", number.get("BitsStored", bits) - 1)
    if not 0 < stored <= high + 1 <= bits:
        raise _DamagedError(f"{stored} bits up to bit {high} of {bits}")
    common: dict[str, Any] = {
        "path": path,
        "series_uid": _text(values, "SeriesInstanceUID"),
        "modality": _text(values, "Modality"),
        "is_bits_missing": "BitsAllocated" not in number,
        "is_palette": _text(values, "PhotometricInterpretation") == "PALETTE COLOR",
        "is_inverted": _text(values, "PhotometricInterpretation") == "MONOCHROME1",
        "number": _whole(values, "InstanceNumber") if frames == 1 else None,
        "frame_of_reference": _text(values, "FrameOfReferenceUID"),
        "rows": rows,
        "columns": columns, "samples": samples, "bits_stored": stored, "high_bit": high,
        "is_packed": is_packed,
        "stored": np.dtype(f"{walk.order}{'i' if number.get('PixelRepresentation', 0) else 'u'}{bits // 8}"),
    }  # fmt: skip
    return [
        DicomImage(**common, **_place(of_frame), pixels_at=start + i * frame_bytes, frame=i)
        for i, of_frame in enumerate(_of_frames(walk, values, frames))
    ]


def _of_frames(walk: _Walk, values: Mapping[str, bytes], frames: int) -> list[dict[str, bytes]]:
    """What the file says of each frame.

    That is what the functional groups of an enhanced image say, and what is said of the whole image.
    """
    shared, each = walk.groups[_SHARED_GROUPS][:1], walk.groups[_FRAME_GROUPS]
    if not each and frames == 1:
        each = [{}]
    if not each:
        # Nothing tells the frames apart; what stands at the top is the first one's place.
        return [{name: value for name, value in values.items() if name != "ImagePositionPatient"}] * frames
    if len(each) != frames:
        raise _DamagedError(f"{frames} frames, of which {len(each)} are described")
    of_all = {**values, **(_named(shared[0]) if shared else {})}
    return [{**of_all, **_named(of_frame)} for of_frame in each]


def _place(values: Mapping[str, bytes]) -> dict[str, Any]:
    """Fields of a `DicomImage` that frames of one file may differ in."""
    thickness = abs(_float(values, "SpacingBetweenSlices", 0.0) or _float(values, "SliceThickness", 0.0))
    slope = _float(values, "RescaleSlope", 1.0)
    return {
        "position_mm": _floats(values, "ImagePositionPatient", 3),
        "orientation": _floats(values, "ImageOrientationPatient", 6),
        "spacing_yx_mm": _floats(values, "PixelSpacing", 2),
        "thickness_mm": thickness or None,
        "slope": slope or 1.0,
        "is_slope_zero": slope == 0,
        "intercept": _float(values, "RescaleIntercept", 0.0),
    }


def _named(raw: Mapping[int, bytes]) -> dict[str, bytes]:
    return {_WANTED[tag]: value for tag, value in raw.items()}


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
    found = tuple(float(part) for part in text.split("\\"))
    if len(found) < count or not np.isfinite(found).all():
        raise _DamagedError(f"{name} is {text[:40]!r}")
    return found[:count]
