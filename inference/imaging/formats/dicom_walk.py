"""The elements of one DICOM file, walked over with distrust: what reaches beyond the file is refused.

Sequences are walked for their structure, so that the decoder for packed pixels (GDCM) never sees a length
that is not so; of their contents, what describes the frames of an enhanced image (DICOM PS3.3, functional
groups) is kept.
"""

from typing import Literal

from inference.imaging.formats.dicom_classes import is_without_image
from inference.imaging.formats.file_bytes import FileBytes

PREFIX_AT, DATA_AT = 128, 132
UNDEFINED = 0xFFFFFFFF
DEEPEST = 32
_LONG_FORM = {b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV"}
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_META_CLASS, _SYNTAX, _CLASS, _PIXELS = 0x00020002, 0x00020010, 0x00080016, 0x7FE00010
IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
SHARED_GROUPS, FRAME_GROUPS = 0x52009229, 0x52009230
_MACROS = {0x00209113, 0x00209116, 0x00289110, 0x00289145}
"""Functional groups that are read: where a frame lies, how it is turned, its pixels' size, its rescaling."""
WANTED = {
    _META_CLASS: "MediaStorageSOPClassUID", _CLASS: "SOPClassUID", 0x00080060: "Modality",
    0x00080008: "ImageType", 0x0008103E: "SeriesDescription", 0x00200011: "SeriesNumber",
    0x00080018: "SOPInstanceUID", 0x00100020: "PatientID", 0x0020000D: "StudyInstanceUID",
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
"""Elements that are kept, and what the standard calls them."""


class DamagedError(Exception):
    """The structure is not that of a DICOM file."""


_Kept = dict[int, bytes] | None


class DicomWalk:
    """Walks over the elements of a file, keeping those that are wanted at the top level."""

    def __init__(self, data: FileBytes) -> None:
        self._data = data
        self.raw: dict[int, bytes] = {}
        self.groups: dict[int, list[dict[int, bytes]]] = {SHARED_GROUPS: [], FRAME_GROUPS: []}
        """What an enhanced image says of all its frames, and of each of them."""
        self.pixels: tuple[int, int] | None = None
        """Where pixels begin and how many bytes they are; UNDEFINED: in fragments."""
        self.deflated_at: int | None = None
        """Byte from which on all is deflated; other bytes are then counted in what comes out."""
        self.syntax = IMPLICIT
        self.order: Literal["<", ">"] = "<"

    @property
    def is_without_image(self) -> bool:
        """Whether its class, as far as it was read at the start or in the data, holds no image."""
        return any(is_without_image(_text(self.raw.get(tag, b""))) for tag in (_META_CLASS, _CLASS))

    def run(self) -> None:
        """Walk over the whole file, or over its start where that says that it is no image."""
        at, end = 0, len(self._data)
        if self._data[PREFIX_AT:DATA_AT] == b"DICM":
            at = self._walk(DATA_AT, end, explicit=True, into=self.raw, only_group=2)
            self.syntax = _text(self.raw.get(_SYNTAX, b"")) or IMPLICIT
            if self.is_without_image:
                return
        elif self._data[4:6].isalpha() and self._data[4:6].isupper():
            self.syntax = "1.2.840.10008.1.2.1"
        if self.syntax == DEFLATED:
            self.deflated_at, self._data = at, self._data.inflated(at)
            at, end = 0, len(self._data)
        self.order = ">" if self.syntax == BIG_ENDIAN else "<"
        self._walk(at, end, explicit=self.syntax != IMPLICIT, into=self.raw)

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
                raise DamagedError("an element reaches beyond the file")
            else:
                if kind == b"SQ" or (not explicit and (tag in self.groups or tag in _MACROS)):
                    self._items(start, start + length, explicit=explicit, depth=depth + 1, of=tag, into=into)
                elif depth == 0 and tag == _PIXELS:
                    self.pixels = start, length
                elif into is not None and tag in WANTED:
                    into[tag] = self._data[start : start + length]
                at = start + length
        return at

    def _length(self, at: int, explicit: bool) -> tuple[bytes, int, int]:
        """An element's type, length and first byte."""
        if not explicit:
            return b"", self._data.numbers(f"{self.order}I", at + 4)[0], at + 8
        kind = self._data[at + 4 : at + 6]
        if not (kind.isalpha() and kind.isupper()):
            raise DamagedError("an element has no type")
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
            raise DamagedError("sequences are nested too deep")
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
                raise DamagedError("a sequence is broken")
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


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").strip(" \0")
