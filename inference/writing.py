"""Label maps to disk: whole or not at all."""

import os
import secrets
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from inference.errors import OutputError, one_line
from inference.geometry import Geometry
from inference.nifti import label_header
from inference.voxels import WINDOW_BITS, deflate

SLICES_AT_ONCE = 16
TEMPORARY = ".leanseg-"
"""What names of unfinished files begin with; they are hidden and do not end like an image."""


def write_labels(path: Path, labels: NDArray[np.uint8], geometry: Geometry) -> None:
    """Write a label map as `.nii.gz`, uint8, on the grid given; its header is that of the NIfTI file the grid came from, if any.

    The file appears under its name when it is complete, and an older one stays until then.

    Args:
        path: ends in `.nii.gz`; its folder exists.
        labels: shape (z, y, x) as `geometry` says; a view will do.
        geometry: the grid of the input image.

    Raises:
        OutputError: the folder cannot be written, or the disk is full. Nothing is left behind.
    """
    if labels.shape != geometry.size_zyx or labels.dtype != np.uint8:
        raise ValueError(f"labels are {labels.dtype} {labels.shape}, the grid needs uint8 {geometry.size_zyx}")
    if not path.name.endswith(".nii.gz"):
        raise ValueError(f"{path}: labels are written as .nii.gz")
    scratch = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            _write_packed(file, label_header(geometry), labels)
        scratch.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or one_line(error)}); nothing was left behind") from error
    finally:
        scratch.unlink(missing_ok=True)


def _write_packed(file: BinaryIO, header: bytes, labels: NDArray[np.uint8]) -> None:
    bits = WINDOW_BITS["gzip"]
    # Label maps are long runs: run-length matching is as small as level 1 and faster; isal has it built in.
    pack = zlib.compressobj(1, 8, bits, 9, zlib.Z_RLE) if deflate is zlib else deflate.compressobj(1, 8, bits)
    file.write(pack.compress(header))
    for start in range(0, len(labels), SLICES_AT_ONCE):
        file.write(pack.compress(np.ascontiguousarray(labels[start : start + SLICES_AT_ONCE])))
    file.write(pack.flush())
