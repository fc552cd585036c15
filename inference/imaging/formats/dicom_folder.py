"""DICOM files in a folder, told by their first bytes or their names."""

import struct
from collections.abc import Callable, Iterable, Iterator
from os.path import realpath
from pathlib import Path, PurePath

from inference.imaging.formats.dicom_classes import is_without_image
from inference.imaging.formats.dicom_walk import DATA_AT, PREFIX_AT

START_BYTES = 512
"""Of a file that are looked at: what it is stands near the beginning of its data."""
MOST_OTHERS = 100
"""Files of a folder that are opened in vain to tell whether it holds DICOM: behind URLs each takes a round
trip. The likely ones come first."""
NOTES = frozenset(
    f".{kind}"
    for kind in ("json", "csv", "tsv", "txt", "md", "xml", "yaml", "yml", "htm", "html", "pdf", "log", "ini")
)
"""Endings of files that lie beside images, and are none: they are not opened."""
StartOf = Callable[[str], bytes]
"""Reads the first `START_BYTES` of a folder's file by its name, wherever that lies; none where it cannot be
read."""
_CLASS = struct.pack("<HH2s", 0x0002, 0x0002, b"UI")
"""What the class of the object begins with in the start of a file, which is always written in this way."""


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: `DICM` stands at byte 128, or it is named `.dcm`."""
    return _is_marked(_start(path)) or _is_named(path.name)


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


def holds_series(names: Iterable[str], start_of: StartOf, *, images_only: bool) -> bool:
    """Whether files of a folder make it a DICOM series.

    Args:
        names: of the folder's files, but for hidden ones and images of other formats.
        start_of: reads how one begins.
        images_only: files that say that they hold no image, such as the directory of a disc, do not count.
    """
    return any(
        not images_only or may_start_image(name, start) for name, start in dicom_among(names, start_of)
    )


def dicom_among(names: Iterable[str], start_of: StartOf) -> Iterator[tuple[str, bytes]]:
    """Those of a folder's files that are DICOM, with how they begin, the likely ones first.

    No more are looked for after `MOST_OTHERS` that are none, nor among notes.
    """
    others = 0
    for name in sorted((name for name in names if not is_note(name)), key=_rank):
        start = start_of(name)
        if _is_marked(start) or _is_named(name):
            yield name, start
        elif (others := others + 1) == MOST_OTHERS:
            return


def is_note(name: str) -> bool:
    """Whether a file's name says that it holds text or figures, as they lie beside images."""
    return PurePath(name).suffix.lower() in NOTES


def _rank(name: str) -> tuple[int, str]:
    """By name, but those first that are called as DICOM files are: `.dcm`, without an ending, by a UID."""
    ending = PurePath(name).suffix[1:]
    return (0 if _is_named(name) else 1 if not ending or ending.isdecimal() else 2), name


def starts_in(folder: Path) -> StartOf:
    """Reads how the files of a local folder begin."""
    return lambda name: _start(folder / name)


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
    inside = [sub for sub in _folders_in(folder) if leave_out is None or Path(realpath(sub)) != leave_out]
    return any(
        holds_series((file.name for file in _files_in(each)), starts_in(each), images_only=False)
        for each in (folder, *inside)
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
