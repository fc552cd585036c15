"""How much of the disk a folder takes that a container writes to."""

import os
from contextlib import suppress
from pathlib import Path

from model.units import MIB

BLOCK_BYTES = 512
"""What `st_blocks` counts, whatever the file system's own blocks are."""


def disk_use_mb(folder: str | os.PathLike[str]) -> float:
    """Size in MiB that the files below a folder take on the disk.

    Holes in files take nothing, links are not followed, and what vanishes or is closed meanwhile is left out.
    """
    used = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                used += Path(place, name).lstat().st_blocks * BLOCK_BYTES
    return used / MIB
