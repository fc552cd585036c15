"""The bytes of an open file as if they were in memory."""

import os
import struct
from typing import BinaryIO

BLOCK_BYTES = 1 << 14
"""Read at a time; the header of a slice of a CT is shorter."""


class FileBytes:
    """The bytes of an open file, read where they are looked at.

    The file is not mapped into memory: one that is overwritten meanwhile would end the process.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
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

    def numbers(self, layout: str, at: int) -> tuple[int, ...]:
        """Whole numbers from `at` on, laid out as `struct` says."""
        return struct.unpack(layout, self[at : at + struct.calcsize(layout)])
