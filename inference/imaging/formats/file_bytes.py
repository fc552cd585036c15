"""The bytes of an open file as if they were in memory."""

import io
import os
import struct
import zlib
from typing import BinaryIO

BLOCK_BYTES = 1 << 14
"""Read at a time; the header of a slice of a CT is shorter."""
MOST_INFLATED = 32 << 20
"""Bytes that a deflated part of a file may hold: a slice of a CT takes half a MiB."""


class FileBytes:
    """The bytes of an open file, read where they are looked at.

    The file is not mapped into memory: one that is overwritten meanwhile would end the process.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._start = 0
        self._block = b""

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """The bytes from `part.start` to before `part.stop`; fewer where the file ends."""
        start, stop = part.start or 0, min(part.stop, self._size)
        if not self._start <= start <= stop <= self._start + len(self._block):
            self._file.seek(start)
            self._start, self._block = start, self._file.read(max(stop - start, BLOCK_BYTES))
        return self._block[start - self._start : stop - self._start]

    def inflated(self, at: int) -> "FileBytes":
        """What the bytes from `at` on hold that are deflated (RFC 1951), in memory; padding may follow them.

        Raises:
            ValueError: they are damaged, or hold more than `MOST_INFLATED` bytes.
        """
        self._file.seek(at)
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflate.decompress(self._file.read(MOST_INFLATED), MOST_INFLATED)
        except zlib.error as error:
            raise ValueError(f"its deflated part is damaged: {error}") from error
        if not inflate.eof:
            raise ValueError(f"its deflated part is cut short, or holds more than {MOST_INFLATED >> 20} MiB")
        return FileBytes(io.BytesIO(data))

    def numbers(self, layout: str, at: int) -> tuple[int, ...]:
        """Whole numbers from `at` on, laid out as `struct` says."""
        return struct.unpack(layout, self[at : at + struct.calcsize(layout)])
