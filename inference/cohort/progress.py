"""What the user sees: lines, complaints, and on a terminal a bar that moves."""

import os
import sys
from contextlib import suppress
from typing import TextIO

from model.case_names import printable

WIDTH = 30


class Console:
    """Lines go to stdout, complaints to stderr; the bar is drawn on stderr only where that is a terminal.

    A stream that is closed, full or no longer read costs its lines and no result. What is lost of stdout is
    said on stderr, once.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        # Python has none where they were closed before it started, as daemons do.
        self._out: TextIO | None = out or sys.stdout
        self._err: TextIO | None = err or sys.stderr
        self._bar = ""
        self._lost = False

    def say(self, text: str) -> None:
        """One line of result."""
        self._print(self._out, text + "\n")

    def complain(self, text: str) -> None:
        """One line about something wrong."""
        self._print(self._err, text + "\n")

    def progress(self, done: int, total: int, doing: str = "") -> None:
        """Draw how many of the cases are done, e.g. `[######      ] 2/4 liver_03.nii.gz`.

        Nothing for one case or off a terminal.
        """
        if total < 2 or self._err is None or not self._err.isatty():
            return
        filled = WIDTH * done // total
        self._clear()
        bar = f"[{'#' * filled}{' ' * (WIDTH - filled)}] {done}/{total} {printable(doing)}"
        self._bar = "" if done == total else bar[:79]
        self._write(self._err, self._bar)

    def end_progress(self) -> None:
        """Take the bar away for good: what is printed from now on is the end of a run, however it ended."""
        self._clear()

    def _print(self, stream: TextIO | None, text: str) -> None:
        bar = self._bar
        self._clear()
        self._write(stream, text)
        if bar:
            self._bar = bar
            self._write(self._err, bar)

    def _clear(self) -> None:
        if self._bar:
            self._write(self._err, "\r" + " " * len(self._bar) + "\r")
            self._bar = ""

    def _write(self, stream: TextIO | None, text: str) -> None:
        if stream is None:
            return
        try:
            stream.write(text)
            stream.flush()
        except BrokenPipeError:
            pass  # A reader that went away, as `head` does, wants no more.
        except OSError as error:
            _drop(stream)
            if stream is self._out and not self._lost:
                self._lost = True
                self.complain(
                    f"standard output cannot be written ({error.strerror}): lines are lost, no result"
                )


def _drop(stream: TextIO) -> None:
    """Lead a stream nowhere from now on, with what it still holds: Python would fail on that at its end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()
