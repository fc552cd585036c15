"""Bytes of an image file, plain or unpacked, in pieces of a few hundred kilobytes."""

import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from isal import isal_zlib  # Unpacks in a third of zlib's time, to the same bytes.

from inference.errors import InputError, one_line

Compression = Literal["none", "zlib", "gzip"]

CHUNK_BYTES = 1 << 18
LARGEST_DEFLATE_RATIO = 1032
_WINDOW_BITS = {"zlib": 15, "gzip": 31}
# Its stub says that the class is an instance.
_DAMAGED = cast("type[Exception]", isal_zlib.IsalError)


class DamagedStreamError(InputError):
    """Packed bytes are not what was packed."""


class ByteStream:
    """Plain, zlib or gzip bytes of an open file, read in pieces.

    Gzip members that follow one another are one stream.
    """

    def __init__(self, file: BinaryIO, path: Path, compression: Compression) -> None:
        self._file = file
        self._path = path
        self._bits = _WINDOW_BITS.get(compression, 0)
        self._inflate: Any = isal_zlib.decompressobj(self._bits) if self._bits else None

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes.

        Raises:
            InputError: the stream ends before, or is damaged.
        """
        if self._inflate is None:
            data = self._file.read(size)
            self._require(len(data) == size)
            return data
        pieces = []
        while size > 0:
            piece = self._unpack(size)
            size -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def rest(self, most: int) -> int:
        """How many bytes follow, counted up to `most`.

        A packed stream's checksum is compared when its end is reached.

        Raises:
            InputError: the rest is damaged or cut off.
        """
        if self._inflate is None:
            return len(self._file.read(most))
        found = 0
        while found < most and not self._inflate.eof:
            found += len(self._unpack(CHUNK_BYTES))
        return found

    def _unpack(self, most: int) -> bytes:
        """Some bytes, perhaps none. Damage is found some way ahead of what is asked for."""
        inflate = self._inflate
        if inflate.eof:
            rest = inflate.unused_data or self._file.read(CHUNK_BYTES)
            self._require(self._bits == _WINDOW_BITS["gzip"] and rest.startswith(b"\x1f\x8b"))
            self._inflate = inflate = isal_zlib.decompressobj(self._bits)
        else:
            rest = inflate.unconsumed_tail or self._file.read(CHUNK_BYTES)
        try:
            piece: bytes = inflate.decompress(rest, most)
        except _DAMAGED as error:
            raise DamagedStreamError(
                f"{self._path}: its compressed data are damaged ({one_line(error)}); copy or export it again"
            ) from error
        self._require(bool(rest or piece or inflate.eof))
        return piece

    def _require(self, more: bool) -> None:
        if not more:
            raise InputError(
                f"{self._path}: is truncated: it ends before its last voxel; copy or export it again"
            )


class GzipSink:
    """Packs arrays into a gzip file, fast and with the same bytes for the same input."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        # Label maps are long runs: run-length matching is as small as level 1 and faster.
        self._pack = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS["gzip"], zlib.DEF_MEM_LEVEL, zlib.Z_RLE)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes or a contiguous array."""
        self._file.write(self._pack.compress(data))

    def finish(self) -> None:
        """Write what is still held back, and the checksum."""
        self._file.write(self._pack.flush())
