"""One program at a time in a folder of results."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.training_errors import BusyError
from training.whole_files import writing

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Keep others out of a folder, which is made if need be; gives the lock's file descriptor.

    A program that inherits the descriptor holds the lock as well: a step whose plan was killed may still be
    at work. The lock ends with the last of them, however that ends. A file system without locks has none.

    Raises:
        BusyError: another one holds it.
        WriteError: the folder cannot be written.
    """
    with writing(folder / LOCK):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _lock(descriptor, folder)
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BusyError(
            f"{folder}: another run is at work here, or a part of one that was ended still is; wait for it, "
            "or end it"
        ) from error
    except OSError:
        pass
