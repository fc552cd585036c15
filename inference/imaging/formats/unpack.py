"""Compressed DICOM pixels, unpacked by GDCM in a process of its own.

Damaged pixels can crash it, which must not end the run. The process is `unpack_process`.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError, reason

COMMAND = (sys.executable, "-m", "inference.imaging.formats.unpack_process")
PATIENCE_S = 60.0
"""For one slice, which takes milliseconds."""
PROCESS_MB = 125.0
"""What the process takes whatever it unpacks, libraries that it shares with others included."""
PIXEL_BYTES = 20
"""What a pixel of a slice takes, there and here; peaks of JPEG 2000 were 126 MiB there with slices of 512×512
and 179 with 2048×2048, and 3 and 11 here."""
LENGTH = struct.Struct("<I")
"""Before each path that the process is sent."""


class Unpacker:
    """Unpacks files, one after another, in a process that is started for the first of them.

    Made by `unpacker`.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def values(self, path: Path, count: int) -> NDArray[Any]:
        """The `count` values of a file, flat and rescaled as it says.

        Raises:
            InputError: they cannot be unpacked, or crash what unpacks them; or no process can be started.
        """
        if self._process is None:
            self._process = _start(path)
        process = self._process
        watch = Timer(PATIENCE_S, process.kill)
        watch.start()
        try:
            kind, _, rest = self._ask(process, path).partition(" ")
            if kind == "error":
                raise InputError(f"{path}: its pixels cannot be unpacked ({rest}); export the series again")
            if int(rest) != count:
                raise InputError(
                    f"{path}: holds {int(rest)} pixels, its header says {count}; export the series again"
                )
            values = np.frombuffer(self._read(process, count * np.dtype(kind).itemsize), kind)
        except (OSError, EOFError, ValueError, TypeError) as error:
            self.close()
            raise InputError(
                f"{path}: its pixels are so damaged that unpacking them failed; export the series again"
            ) from error
        finally:
            watch.cancel()
        return values

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    @staticmethod
    def _ask(process: subprocess.Popen[bytes], path: Path) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        name = os.fsencode(path.absolute())
        process.stdin.write(LENGTH.pack(len(name)) + name)
        process.stdin.flush()
        line = process.stdout.readline()
        if not line.endswith(b"\n"):
            raise EOFError("the process ended")
        return line.decode("utf-8", "replace").rstrip("\n")

    @staticmethod
    def _read(process: subprocess.Popen[bytes], size: int) -> bytes:
        assert process.stdout is not None
        data = process.stdout.read(size)
        if len(data) != size:
            raise EOFError("the process ended")
        return data


def _start(path: Path) -> subprocess.Popen[bytes]:
    root = Path(__file__).resolve().parents[3]
    try:
        # What the unpackers print on their own is for nobody.
        return subprocess.Popen(
            COMMAND, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        remedy = "allow more processes, or convert the series to one .nii.gz file"
        raise InputError(
            f"{path}: no process to unpack its pixels can be started ({reason(error)}); {remedy}"
        ) from error


@contextmanager
def unpacker() -> Iterator[Unpacker]:
    """An unpacker that is closed at the end of the block."""
    made = Unpacker()
    try:
        yield made
    finally:
        made.close()
