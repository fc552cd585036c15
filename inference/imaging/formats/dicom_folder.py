"""DICOM files in a folder, told by their first bytes or their names."""

from pathlib import Path

from inference.imaging.formats.dicom_walk import DATA_AT, PREFIX_AT


def is_dicom(path: Path) -> bool:
    """Whether a file is DICOM: `DICM` stands at byte 128, or it is named `.dcm`."""
    try:
        with path.open("rb") as file:
            return file.read(DATA_AT)[PREFIX_AT:] == b"DICM" or path.suffix.lower() == ".dcm"
    except OSError:
        return path.suffix.lower() == ".dcm"


def holds_dicom(folder: Path) -> bool:
    """Whether a folder, or a folder directly in it, holds DICOM files. Hidden files do not count."""
    return any(is_dicom(file) for sub in _with_folders_in(folder) for file in _files_in(sub))


def dicom_files(path: Path) -> list[Path]:
    """The file itself, or the DICOM files of a folder, or of the folders in it."""
    if path.is_file():
        return [path]
    return [file for sub in _with_folders_in(path) for file in _files_in(sub) if is_dicom(file)]


def _with_folders_in(folder: Path) -> list[Path]:
    """The folder itself if it holds DICOM files, else the folders in it."""
    if any(is_dicom(file) for file in _files_in(folder)):
        return [folder]
    return [entry for entry in _entries(folder) if entry.is_dir()]


def _files_in(folder: Path) -> list[Path]:
    return [entry for entry in _entries(folder) if entry.is_file()]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return []
