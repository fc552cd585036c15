"""Folders for what workers fetch and send, which do not outlive them: those of killed ones are swept.

A folder is locked for as long as its process lives, so that one which a killed worker left behind can be told
from one that is in use.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "leanseg-worker-"


class Scratch:
    """A folder of this process on this machine; making one removes those that killed workers left."""

    def __init__(self) -> None:
        sweep_scratch()
        self.path, self._lock = _locked_folder()

    def close(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def sweep_scratch() -> None:
    """Remove the scratch folders of this machine whose processes are gone."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def _locked_folder() -> tuple[Path, int]:
    """A new folder and what holds its lock; one that was swept before it was locked is made once more."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # Some file systems have no locks; nothing is swept there.
            fcntl.flock(lock, fcntl.LOCK_EX)  # Waits while the folder is being swept.
        if path.exists():
            return path, lock
        os.close(lock)
