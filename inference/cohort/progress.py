"""What the user sees: lines, complaints, and on a terminal a bar that moves."""

import sys
from contextlib import suppress
from typing import TextIO

from model.case_names import printable

WIDTH = 30


class Console:
    """Lines go to stdout, complaints to stderr; the bar is drawn on stderr only where that is a terminal."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._bar = ""

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
        if total < 2 or not self._err.isatty():
            return
        filled = WIDTH * done // total
        self._clear()
        bar = f"[{'#' * filled}{' ' * (WIDTH - filled)}] {done}/{total} {printable(doing)}"
        self._bar = "" if done == total else bar[:79]
        self._write(self._err, self._bar)

    def end_progress(self) -> None:
        """Take the bar away for good: what is printed from now on is the end of a run, however it ended."""
        self._clear()

    def _print(self, stream: TextIO, text: str) -> None:
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

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        # A reader that went away, as `head` does, must not stop the run.
        with suppress(BrokenPipeError):
            stream.write(text)
            stream.flush()
