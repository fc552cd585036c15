"""Voxels out of a file, a few megabytes at a time, never trusting its header.

A header may claim what the file does not hold: the claim is compared with the file's size before memory is taken, and
a stream that ends early, fails its checksum or cannot be unpacked is an `InputError`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError, one_line
from inference.formats.streams import LARGEST_DEFLATE_RATIO, ByteStream, Compression
from inference.geometry import Voxels, Zyx

CHUNK_VOXELS = 1 << 20


@dataclass(frozen=True, kw_only=True)
class StoredVoxels:
    """How the voxels of an image lie in a file."""

    path: Path
    size_zyx: Zyx
    dtype: np.dtype[np.generic]
    """Element type with its byte order."""
    compression: Compression = "none"
    offset: int = 0
    """Bytes of the file before the (compressed) data."""
    skip: int = 0
    """Bytes of the unpacked data before the first voxel."""
    slope: float = 1.0
    intercept: float = 0.0
    """A voxel's value is `stored * slope + intercept`."""


def read_voxels(stored: StoredVoxels) -> tuple[Voxels, tuple[str, ...]]:
    """Read an image's voxels.

    Returns:
        The array (z, y, x), int16 if the values are whole numbers that fit, else float32; and warnings.

    Raises:
        InputError: the file holds fewer voxels than its header claims, or is damaged.
    """
    count = int(np.prod([int(n) for n in stored.size_zyx], dtype=object))
    _check_claim(stored, count * stored.dtype.itemsize)
    try:
        with stored.path.open("rb") as file:
            file.seek(stored.offset)
            stream = ByteStream(file, stored.path, stored.compression)
            stream.read(stored.skip)
            values = _decode(stream, stored, count)
            surplus = stream.rest(2 * stored.size_zyx[2] * stored.dtype.itemsize)
    except OSError as error:
        raise InputError(f"{stored.path}: cannot be read ({error.strerror or one_line(error)})") from error
    except MemoryError as error:
        raise InputError(f"{stored.path}: {count:,} voxels do not fit into this machine's memory; crop the image first") from error
    if surplus >= stored.size_zyx[2] * stored.dtype.itemsize:
        raise InputError(f"{stored.path}: holds more voxels than its header says: one of them is damaged; export it again")
    return _finite(values.reshape(stored.size_zyx))


def _check_claim(stored: StoredVoxels, claimed: int) -> None:
    try:
        held = stored.path.stat().st_size - stored.offset
    except OSError as error:
        raise InputError(f"{stored.path}: cannot be read ({error.strerror})") from error
    most = held if stored.compression == "none" else held * LARGEST_DEFLATE_RATIO
    if claimed + stored.skip > most:
        raise InputError(
            f"{stored.path}: its header claims {claimed:,} bytes of voxels, the file holds {held:,} bytes: "
            "it is truncated or its header is damaged; export it again"
        )


def _decode(stream: ByteStream, stored: StoredVoxels, count: int) -> Voxels:
    """All voxels, flat; int16 as long as every value fits."""
    whole = np.issubdtype(stored.dtype, np.integer) and float(stored.slope).is_integer() and float(stored.intercept).is_integer()
    scaled = (stored.slope, stored.intercept) != (1.0, 0.0)
    fits = np.can_cast(stored.dtype, np.int16) and not scaled
    values: Voxels = np.empty(count, np.int16 if whole else np.float32)
    for start in range(0, count, CHUNK_VOXELS):
        stop = min(start + CHUNK_VOXELS, count)
        chunk: NDArray[Any] = np.frombuffer(stream.read((stop - start) * stored.dtype.itemsize), stored.dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            if scaled:
                chunk = chunk.astype(np.float64) * stored.slope + stored.intercept
            if values.dtype == np.int16 and not fits and (chunk.min() < -32768 or chunk.max() > 32767):
                larger = np.empty(count, np.float32)
                larger[:start] = values[:start]
                values = larger
            values[start:stop] = chunk
    return values


def compact(array: NDArray[Any]) -> Voxels:
    """An array in memory as voxels: int16 where that holds every value of a whole-number type, float32 else."""
    if array.dtype == np.int16:
        return array
    if np.issubdtype(array.dtype, np.integer) and array.min() >= -32768 and array.max() <= 32767:
        return array.astype(np.int16)
    return array.astype(np.float32)


def _finite(values: Voxels) -> tuple[Voxels, tuple[str, ...]]:
    """Replace NaN and -inf by the smallest finite value, +inf by the largest, in place."""
    if values.dtype == np.int16:
        return values, ()
    odd = sum(int(np.count_nonzero(~np.isfinite(plane))) for plane in values)
    if not odd:
        return values, ()
    finite = [plane[np.isfinite(plane)] for plane in values]
    low = min((float(f.min()) for f in finite if f.size), default=0.0)
    high = max((float(f.max()) for f in finite if f.size), default=0.0)
    np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    return values, (f"{odd:,} voxels are NaN or infinite; they were taken as {low:g} (+inf as {high:g})",)
