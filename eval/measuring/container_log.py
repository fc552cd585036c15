"""What a container says: kept in its log as far as somebody will read it, and its complaint in one line."""

import os
import re
import threading
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from model.case_names import printable

KEPT_BYTES = 1 << 20
"""Of what a container says, so much of its beginning and of its end is kept."""
CHUNK_BYTES = 1 << 16
TAIL_BYTES = 1 << 16
"""So much of a log's end is searched for a complaint."""
LONGEST = 300
"""Characters of a complaint that are told."""
WINDOWS_LINES = (
    "predict.sh has Windows line endings, which a shell takes for parts of its words; sed -i 's/\\r$//' "
    "predict.sh, then build the image again"
)
SHELL_LINE = re.compile(r"predict\.sh: (?:line )?\d+: [^\n]*")
"""What a shell says of a line of predict.sh, in dash's words or bash's."""
CR_IN_FILE = re.compile(r"can't open file '[^'\n]*(?:\r|\\r)'")
"""What Python says of a name at the end of a line of predict.sh."""


class LogPump:
    """Takes in what a program says, and writes its beginning and its end, in a thread of its own.

    A submission may say gigabytes: neither the disk nor the memory of who judges it must end with them.
    """

    def __init__(self, log: BinaryIO, kept_bytes: int = KEPT_BYTES) -> None:
        """Open the pipe.

        Args:
            log: to write to; it stays open.
            kept_bytes: so much is kept of the beginning, and of the end.
        """
        self._log, self._kept_bytes = log, kept_bytes
        self._reading, self.writing = os.pipe()
        """`writing` is where the program writes; it is closed by `start`."""
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._end = bytearray()
        self._left_out = 0
        self._lock = threading.Lock()
        self._is_over = False

    def start(self) -> None:
        """Listen, once the program has the other end of the pipe."""
        os.close(self.writing)
        self._thread.start()

    def finish(self, patience_s: float) -> None:
        """Write the end, once the program has ended; who holds the pipe longer is listened to no more."""
        if self._thread.is_alive():
            self._thread.join(patience_s)
        with self._lock:
            self._is_over = True
            self._shorten()
            if self._left_out:
                self._log.write(f"\n[… {self._left_out} bytes left out …]\n".encode())
            self._log.write(self._end)
            self._log.flush()

    def _pump(self) -> None:
        room = self._kept_bytes
        with os.fdopen(self._reading, "rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                with self._lock:
                    if self._is_over:
                        return
                    with suppress(OSError):  # A full disk, of which `finish` tells.
                        self._log.write(chunk[:room])
                    self._end += chunk[room:]
                    if len(self._end) > 2 * self._kept_bytes:
                        self._shorten()
                room = max(0, room - len(chunk))

    def _shorten(self) -> None:
        """Forget what is before the end by now."""
        over = max(0, len(self._end) - self._kept_bytes)
        self._left_out += over
        del self._end[:over]


def complaint_in(log: Path) -> str:
    """The complaint at the end of a log."""
    return complaint(_end_of(log))


def shows_windows_lines(log: Path) -> bool:
    r"""Whether a shell or Python complains, at the end of a log, of words that end in a carriage return.

    Shells print it as it is, or as `\r` in quotes.
    """
    text = _end_of(log)
    shell = any(re.search(r"\r|\\r", line) for line in SHELL_LINE.findall(text))
    return shell or CR_IN_FILE.search(text) is not None


def _end_of(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - TAIL_BYTES))
        return stream.read().decode("utf-8", errors="replace")


def complaint(text: str) -> str:
    """The last line that mentions an error, or else the last line: programs often end with a summary.

    Control characters, which a terminal would obey, are spelled out.
    """
    # A shell's line is one, also where it holds the carriage return of a word that the shell did not know.
    text = SHELL_LINE.sub(lambda line: line[0].replace("\r", ""), text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return printable([*lines, *errors][-1][:LONGEST]) if lines else "nothing was said"
