"""Which files an image or a folder consists of, in an order that does not depend on the file system."""

from collections.abc import Iterator
from pathlib import Path

from training.training_errors import DataError


def files_of(path: Path) -> list[Path]:
    """The files that an image consists of: itself, or all that lie in its folder (a DICOM series).

    Raises:
        DataError: the folder holds no file.
    """
    if not path.is_dir():
        return [path]
    found = files_in(path)
    if not found:
        raise DataError(f"{path}: holds no file; give an image file, or a folder with a DICOM series")
    return found


def files_in(folder: Path) -> list[Path]:
    """All files of a folder, at any depth, in the order of their paths; hidden ones left out.

    Links to folders are followed, but for those to a folder that they themselves lie in, which have no end.
    """
    return sorted(_walked(folder, ()), key=lambda path: path.relative_to(folder))


def _walked(folder: Path, around: tuple[Path, ...]) -> Iterator[Path]:
    """Files of a folder; `around` are the real places of the folders that led here."""
    here = folder.resolve()
    if any(one.is_relative_to(here) for one in around):
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walked(path, (*around, here))
        elif path.is_file():
            yield path
