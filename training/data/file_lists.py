"""Which files an image or a folder consists of, in an order that does not depend on the file system."""

from collections.abc import Iterator
from pathlib import Path

from inference.errors import InputError
from inference.imaging.reading import image_suffix, voxel_file
from training.training_errors import DataError

MAY_NAME_ANOTHER = (".mha", ".mhd", ".nrrd", ".nhdr")
"""Formats whose header may say that the voxels lie in another file."""


def files_of(path: Path) -> list[Path]:
    """The files that an image consists of: itself, and the one that its header names, if it does.

    A folder (a DICOM series) is all that lies in it.

    Raises:
        DataError: the folder holds no file.
    """
    if not path.is_dir():
        return with_data_beside(path)
    found = files_in(path)
    if not found:
        raise DataError(f"{path}: holds no file; give an image file, or a folder with a DICOM series")
    return found


def with_data_beside(path: Path) -> list[Path]:
    """An image's path, and the file with its voxels, where its header names another one.

    A header that cannot be read, or whose file is not there, stands alone: whoever reads the image says so.
    """
    if path.is_dir() or image_suffix(path.name).lower() not in MAY_NAME_ANOTHER:
        return [path]
    try:
        voxels = voxel_file(path)
    except InputError:
        return [path]
    return [path] if voxels == path else [path, voxels]


def files_in(folder: Path, *, follow: bool = True) -> list[Path]:
    """All files of a folder, at any depth, in the order of their paths; hidden ones left out.

    Args:
        folder: may be a link.
        follow: go into links to folders, too, but for those to a folder that they themselves lie in, which
            have no end. Links to files count as the files in any case.
    """
    return sorted(_walked(folder, (), follow), key=lambda path: path.relative_to(folder))


def _walked(folder: Path, around: tuple[Path, ...], follow: bool) -> Iterator[Path]:
    """Files of a folder; `around` are the real places of the folders that led here."""
    here = folder.resolve()
    if any(one.is_relative_to(here) for one in around):
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if follow or not path.is_symlink():
                yield from _walked(path, (*around, here), follow)
        elif path.is_file():
            yield path
