"""DICOM files in a folder, told by their first bytes or their names."""

import struct
from os.path import realpath
from pathlib import Path

from inference.imaging.formats.dicom_classes import is_without_image
from inference.imaging.formats.dicom_walk import DATA_AT, PREFIX_AT

START_BYTES = 512
"""Of a file that are looked at: what it is stands near the beginning of its data."""
_CLASS = struct.pack("<HH2s", 0x0002, 0x0002, b"UI")
"""What the class of the object begins with in the start of a file, which is always written in this way."""


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: `DICM` stands at byte 128, or it is named `.dcm`."""
    return _is_marked(_start(path)) or _is_named(path.name)


def may_hold_image(path: Path) -> bool:
    """Whether a file is DICOM and does not say at its start that it holds no image."""
    return may_start_image(path.name, _start(path))


def may_start_image(name: str, start: bytes) -> bool:
    """Whether a file is DICOM and does not say that it holds no image.

    Args:
        name: of the file.
        start: its first `START_BYTES`.
    """
    at = start.find(_CLASS, DATA_AT)
    if not _is_marked(start) or at < 0:
        return _is_marked(start) or _is_named(name)
    at += len(_CLASS)
    length = int.from_bytes(start[at : at + 2], "little")
    return not is_without_image(start[at + 2 : at + 2 + length].decode("ascii", "replace").strip(" \0"))


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(START_BYTES)
    except OSError:
        return b""


def _is_marked(start: bytes) -> bool:
    return start[PREFIX_AT:DATA_AT] == b"DICM"


def _is_named(name: str) -> bool:
    return name.lower().endswith(".dcm")


def holds_dicom(folder: Path, leave_out: Path | None = None) -> bool:
    """Whether a folder, or a folder directly in it, holds DICOM files. Hidden files do not count.

    Args:
        folder: that is looked into.
        leave_out: a folder whose files do not count, without links in its path.
    """
    return any(map(is_dicom, _files_in(folder))) or any(
        is_dicom(file)
        for sub in _folders_in(folder)
        if leave_out is None or Path(realpath(sub)) != leave_out
        for file in _files_in(sub)
    )


def dicom_files(folder: Path) -> list[Path]:
    """The DICOM files that lie directly in a folder, by name."""
    return [file for file in _files_in(folder) if is_dicom(file)]


def dicom_files_below(folder: Path) -> list[Path]:
    """The DICOM files in the folders of a folder, by name."""
    return [file for sub in _folders_in(folder) for file in dicom_files(sub)]


def _folders_in(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _files_in(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_file()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []
