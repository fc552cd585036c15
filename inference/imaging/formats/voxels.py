"""Voxels out of a file, a few megabytes at a time, never trusting its header.

A header may claim what the file does not hold: the claim is compared with the file's size before memory is
taken, and a stream that ends early, fails its checksum or cannot be unpacked is an `InputError`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError, reason
from inference.imaging.formats.packed_streams import LARGEST_DEFLATE_RATIO, ByteStream, Compression
from model.arrays import F32, Voxels, Zyx
from model.units import MIB

CHUNK_VOXELS = 1 << 20
LEAST_PERCENT = 0.1
"""Smaller shares of voxels are told as less than this."""
READING_BYTES = 8 << 20
"""What reading takes whatever the image: what is unpacked ahead, tables, the file's own buffer."""
SCALED_BYTES = 16
"""What a voxel takes in double precision while slope and intercept are applied."""


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


def expected_bytes(dtype: np.dtype[np.generic], slope: float, intercept: float) -> int:
    """Bytes that a voxel will take in memory, judged by the header alone: 2 for int16, 4 for float32.

    Whole numbers of up to 16 bits are expected to fit int16, as those of CTs do; wider ones may, and are not.
    """
    return 2 if _are_whole(dtype, slope, intercept) and dtype.itemsize <= 2 else 4


def reading_mb(stored: StoredVoxels) -> float:
    """MiB that reading takes at most beside the voxels themselves.

    A piece is there beside the one before it; an unpacked one in parts as well. Peaks of 100×512×512 voxels
    were 5 (int16) to 17 (float64), and 8 to 30 where they were compressed.
    """
    pieces = 2 if stored.compression == "none" else 3
    scaled = SCALED_BYTES if (stored.slope, stored.intercept) != (1.0, 0.0) else 0
    piece = min(_count(stored), CHUNK_VOXELS)
    return (piece * (pieces * stored.dtype.itemsize + scaled) + READING_BYTES) / MIB


def read_voxels(stored: StoredVoxels) -> tuple[Voxels, tuple[str, ...]]:
    """Read an image's voxels.

    Returns:
        The array (z, y, x), int16 if the values are whole numbers that fit, else float32; and what is
        doubtful about it, see `finite`.

    Raises:
        InputError: the file holds fewer voxels than its header claims, is damaged, or has no finite value.
    """
    check_claim(stored)
    count = _count(stored)
    try:
        with stored.path.open("rb") as file:
            file.seek(stored.offset)
            stream = ByteStream(file, stored.path, stored.compression)
            stream.read(stored.skip)
            sink = VoxelSink(count)
            for start in range(0, count, CHUNK_VOXELS):
                piece = stream.read(min(CHUNK_VOXELS, count - start) * stored.dtype.itemsize)
                sink.put(start, np.frombuffer(piece, stored.dtype), stored.slope, stored.intercept)
            surplus = stream.rest(2 * stored.size_zyx[2] * stored.dtype.itemsize)
    except OSError as error:
        raise InputError(f"{stored.path}: cannot be read ({reason(error)})") from error
    except MemoryError as error:
        raise InputError(
            f"{stored.path}: {count:,} voxels do not fit into this machine's memory; crop the image first"
        ) from error
    if surplus >= stored.size_zyx[2] * stored.dtype.itemsize:
        raise InputError(
            f"{stored.path}: holds more voxels than its header says: one of them is damaged; export it again"
        )
    return finite(sink.values.reshape(stored.size_zyx), str(stored.path))


def check_claim(stored: StoredVoxels) -> None:
    """Compare what a header claims with the size of the file.

    Raises:
        InputError: the file cannot hold so many voxels, or is not there.
    """
    claimed = _count(stored) * stored.dtype.itemsize
    try:
        held = stored.path.stat().st_size - stored.offset
    except OSError as error:
        raise InputError(f"{stored.path}: cannot be read ({reason(error)})") from error
    most = held if stored.compression == "none" else held * LARGEST_DEFLATE_RATIO
    if claimed + stored.skip > most:
        raise InputError(
            f"{stored.path}: its header claims {claimed:,} bytes of voxels, the file holds {held:,} bytes: "
            "it is truncated or its header is damaged; export it again"
        )


def _count(stored: StoredVoxels) -> int:
    return int(np.prod([int(n) for n in stored.size_zyx], dtype=object))


class VoxelSink:
    """Collects values piece by piece.

    They are int16 as long as every value is a whole number that fits, float32 from then on. Memory is
    reserved for float32, and taken as it is written: half of it where all values fit int16.
    """

    def __init__(self, count: int) -> None:
        self._room: F32 = np.empty(count, np.float32)
        self.values: Voxels = self._room.view(np.int16)[:count]

    def put(self, start: int, piece: NDArray[Any], slope: float = 1.0, intercept: float = 0.0) -> None:
        """Store `piece * slope + intercept` (flat) from element `start` on; pieces come in order."""
        whole = _are_whole(piece.dtype, slope, intercept)
        scaled = (slope, intercept) != (1.0, 0.0)
        with np.errstate(over="ignore", invalid="ignore"):
            if scaled:
                piece = piece.astype(np.float64) * slope + intercept
            if self.values.dtype == np.int16 and not (whole and _fits(piece)):
                self._widen(start)
            self.values[start : start + piece.size] = piece

    def _widen(self, count: int) -> None:
        """Make float32 of the first `count` values, in place.

        The last come first: a float32 never lies before the int16 that it is made of, so none is written over
        before it was read.
        """
        for stop in range(count, 0, -CHUNK_VOXELS):
            some = slice(max(0, stop - CHUNK_VOXELS), stop)
            self._room[some] = self.values[some].copy()
        self.values = self._room


def _are_whole(dtype: np.dtype[Any], slope: float, intercept: float) -> bool:
    return np.issubdtype(dtype, np.integer) and slope.is_integer() and intercept.is_integer()


def _fits(piece: NDArray[Any]) -> bool:
    return np.can_cast(piece.dtype, np.int16) or bool(piece.min() >= -32768 and piece.max() <= 32767)


def finite(values: Voxels, name: str) -> tuple[Voxels, tuple[str, ...]]:
    """Replace NaN and -inf by the smallest finite value, +inf by the largest, in place.

    Args:
        values: (z, y, x).
        name: of the image, for the message.

    Returns:
        The same array; and a sentence where anything was replaced: what the scanner saw there is lost.

    Raises:
        InputError: not one value is finite.
    """
    if values.dtype == np.int16:
        return values, ()
    # Plane by plane: a list of all finite values, or a mask of all voxels, would take as much as the image.
    odd, low, high = 0, np.inf, -np.inf
    for plane in values:
        finite = np.isfinite(plane)
        odd += plane.size - int(np.count_nonzero(finite))
        low = min(low, float(plane.min(initial=np.inf, where=finite)))
        high = max(high, float(plane.max(initial=-np.inf, where=finite)))
    if not odd:
        return values, ()
    if odd == values.size:
        raise InputError(f"{name}: every voxel is NaN or infinite, there is no image in it; export it again")
    for plane in values:
        np.nan_to_num(plane, copy=False, nan=low, posinf=high, neginf=low)
    percent = 100 * odd / values.size
    share = f"{percent:.1f} %" if percent >= LEAST_PERCENT else f"less than {LEAST_PERCENT} %"
    return values, (
        f"{odd:,} of {values.size:,} voxels ({share}) are NaN or infinite; they were taken as {low:g} "
        f"(+inf as {high:g})",
    )
