"""Files to disk: whole or not at all."""

import errno
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import prod
from os import PathLike
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Literal

import numpy as np

from inference.errors import OutputError, ResultNameError, reason
from inference.geometry import Geometry
from inference.imaging.formats.nifti_header import HEADER_BYTES, VOXELS_AT, header_layout, label_header
from inference.imaging.formats.packed_streams import GzipSink
from leanseg.atomic_files import TEMPORARY, atomic_path
from model.arrays import U8

SLICES_AT_ONCE = 16
LABELS_SUFFIX = ".nii.gz"
"""How the name of a label map ends."""
BAD_NAMES = {errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTEMPTY, errno.EILSEQ, errno.EINVAL}
"""What the system says of a name that this file cannot have, though others may be written beside it."""


def write_labels(path: str | PathLike[str], labels: U8, geometry: Geometry) -> None:
    """Write a label map as `.nii.gz`, uint8, on the grid given.

    Its header is that of the NIfTI file the grid came from, if any.

    The file appears under its name when it is complete, and an older one stays until then.

    Args:
        path: ends in `.nii.gz`; its folder exists.
        labels: shape (z, y, x) as `geometry` says; a view will do.
        geometry: the grid of the input image.

    Raises:
        OutputError: the folder cannot be written, or the disk is full. Nothing is left behind.
        ValueError: the labels are not uint8 or not on this grid, or the name ends otherwise.
    """
    path = Path(path)
    if labels.shape != geometry.size_zyx or labels.dtype != np.uint8:
        raise ValueError(
            f"labels are {labels.dtype} {labels.shape}, the grid needs uint8 {geometry.size_zyx}"
        )
    if not path.name.endswith(LABELS_SUFFIX):
        raise ValueError(f"{path}: labels are written as {LABELS_SUFFIX}")
    with whole_file(path) as file:
        sink = GzipSink(file)
        sink.write(label_header(geometry))
        for start in range(0, len(labels), SLICES_AT_ONCE):
            sink.write(np.ascontiguousarray(labels[start : start + SLICES_AT_ONCE]).data)
        sink.finish()


def holds_whole_labels(path: Path) -> bool:
    """Whether a file is a label map that was written to its end, told by its first and last bytes."""
    try:
        with path.open("rb") as file:
            start = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(file.read(1024), HEADER_BYTES)
            file.seek(-4, os.SEEK_END)
            unpacked_bytes = int.from_bytes(file.read(4), "little")
    except (OSError, zlib.error):
        return False
    if len(start) < HEADER_BYTES:
        return False
    order: Literal["<", ">"] = "<" if int.from_bytes(start[:4], "little") == HEADER_BYTES else ">"
    dim = np.frombuffer(start, header_layout(order), 1)[0]["dim"]
    return unpacked_bytes == (VOXELS_AT + prod(int(n) for n in dim[1:4])) % 2**32


def try_folder(folder: Path) -> None:
    """Find out whether files can be written into a folder, leaving nothing there.

    Raises:
        OSError: they cannot.
    """
    with TemporaryFile(dir=folder, prefix=TEMPORARY) as file:
        file.write(b"x")


def is_there(result: Path) -> bool:
    """Whether there is a file of this name; for one that is too long for any file, `Path.is_file` raises."""
    try:
        return result.is_file()
    except OSError:
        return False


def remove_results(paths: Iterable[Path]) -> list[str]:
    """Remove files that an earlier run may have left; the names of those that were there.

    A folder stays, and no file can have a name that is too long.

    Raises:
        OutputError: one cannot be removed.
    """
    removed = []
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in BAD_NAMES:
                continue
            raise OutputError(f"{path}: of an earlier run, cannot be removed ({reason(error)})") from error
        removed.append(path.name)
    return removed


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name when the block ends well, and else never.

    It is on the disk before it has its name: after a power failure there is the old file or the new one.

    Raises:
        ResultNameError: it cannot have this name.
        OutputError: it cannot be written.
    """
    try:
        with atomic_path(path) as scratch, scratch.open("wb") as file:
            yield file
    except OSError as error:
        refusal = _of_the_system(error)
        kind = ResultNameError if refusal.errno in BAD_NAMES else OutputError
        raise kind(f"{path}: cannot be written ({reason(refusal)}); nothing was left behind") from error


def _of_the_system(error: OSError) -> OSError:
    """What the system said first, where a library has raised it anew as a text (pydicom adds a traceback)."""
    under: BaseException | None = error
    while under is not None:
        if isinstance(under, OSError) and under.errno is not None:
            return under
        under = under.__cause__ or under.__context__
    return error
