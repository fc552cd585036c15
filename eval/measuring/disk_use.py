"""How much of the disk a folder takes that a container writes to, and when that is too much."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from model.units import MIB

BLOCK_BYTES = 512
"""What `st_blocks` counts, whatever the file system's own blocks are."""
RESERVE_MB = 256.0
"""MiB that stay free on the disk for logs, tables and other programs."""


def disk_use_mb(folder: str | os.PathLike[str]) -> float:
    """Size in MiB that the files below a folder take on the disk.

    Holes in files take nothing, a file of several names counts once, links are not followed, and what
    vanishes or is closed meanwhile is left out.
    """
    used: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found = Path(place, name).lstat()
                used[found.st_dev, found.st_ino] = found.st_blocks * BLOCK_BYTES
    return sum(used.values()) / MIB


def free_disk_mb(folder: str | os.PathLike[str]) -> float:
    """Room in MiB that this program may still take of the disk that a folder lies on."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize / MIB


@dataclass(frozen=True)
class DiskLimit:
    """What a case may take of the disk from now on.

    Its folder does not tell all: files that are open but have no name any more take room, and folders may be
    closed. So a case ends too when the disk is nearly full, whoever filled it. Room that the disk loses
    before that may be taken by other programs, and is no case's fault.
    """

    folder: Path
    """Where the case writes."""
    limit_mb: float
    """MiB that it may write."""
    used_before_mb: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "used_before_mb", disk_use_mb(self.folder))

    def exceeded(self) -> str:
        """Why the case has to end; empty if it may go on."""
        if disk_use_mb(self.folder) - self.used_before_mb > self.limit_mb:
            return f"wrote more than {self.limit_mb:g} MiB, which ends a case"
        if free_disk_mb(self.folder) < RESERVE_MB:
            return f"the disk had less than {RESERVE_MB:g} MiB left, which ends a case"
        return ""
