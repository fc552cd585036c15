"""Files to disk: whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np

from inference.errors import OutputError, reason
from inference.geometry import Geometry
from inference.imaging.formats.nifti_header import label_header
from inference.imaging.formats.packed_streams import GzipSink
from model.arrays import U8

SLICES_AT_ONCE = 16
TEMPORARY = ".leanseg-"
"""What names of unfinished files begin with; they are hidden and do not end like an image."""


def write_labels(path: Path, labels: U8, geometry: Geometry) -> None:
    """Write a label map as `.nii.gz`, uint8, on the grid given.

    Its header is that of the NIfTI file the grid came from, if any.

    The file appears under its name when it is complete, and an older one stays until then.

    Args:
        path: ends in `.nii.gz`; its folder exists.
        labels: shape (z, y, x) as `geometry` says; a view will do.
        geometry: the grid of the input image.

    Raises:
        OutputError: the folder cannot be written, or the disk is full. Nothing is left behind.
    """
    if labels.shape != geometry.size_zyx or labels.dtype != np.uint8:
        raise ValueError(
            f"labels are {labels.dtype} {labels.shape}, the grid needs uint8 {geometry.size_zyx}"
        )
    if not path.name.endswith(".nii.gz"):
        raise ValueError(f"{path}: labels are written as .nii.gz")
    with whole_file(path) as file:
        sink = GzipSink(file)
        sink.write(label_header(geometry))
        for start in range(0, len(labels), SLICES_AT_ONCE):
            sink.write(np.ascontiguousarray(labels[start : start + SLICES_AT_ONCE]).data)
        sink.finish()


def try_folder(folder: Path) -> None:
    """Find out whether files can be written into a folder, leaving nothing there.

    Raises:
        OSError: they cannot.
    """
    with TemporaryFile(dir=folder, prefix=TEMPORARY) as file:
        file.write(b"x")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that appears under its name when the block ends well, and else never.

    Raises:
        OutputError: it cannot be written.
    """
    scratch = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        # Not by `tempfile`, whose files only their owner may read.
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            yield file
        scratch.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({reason(error)}); nothing was left behind") from error
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)
