"""Files that are whole or not there.

An unfinished file is locked by the process that writes it, so that one which a killed process left behind can
be told from one that another run is writing.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".leanseg-"
"""What names of unfinished files begin with; they are hidden and do not end like an image."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """An empty file to write to, which takes the name given when the block ends well, and else is removed.

    It is on the disk before it has its name: after a power failure there is the old file or the new one. Its
    own name is no other's, so that several programs may write the same file.

    Raises:
        OSError: it cannot be written.
    """
    scratch = path.with_name(f"{TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with _locked(scratch):
            yield scratch
            flush(scratch)
            scratch.replace(path)
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of files, is on the disk.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(folder: Path) -> None:
    """Remove the unfinished files that killed runs left in a folder; those of other runs stay."""
    for path in folder.glob(f"{TEMPORARY}*.tmp"):
        with suppress(OSError), path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Make a new file that is locked within the block.

    One that another run swept away before it was locked is made once more.
    """
    while True:
        # Not by `tempfile`, whose files only their owner may read.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with suppress(OSError):  # Some file systems have no locks; nothing is swept there.
                fcntl.flock(descriptor, fcntl.LOCK_EX)  # Waits while the file is being swept.
            if path.exists():
                yield
                return
        finally:
            os.close(descriptor)
