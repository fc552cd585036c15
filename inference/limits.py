"""What this machine, and the container around it, let the process have: memory and processors.

Control groups (cgroups) of both versions are asked, from the process's own up to the root: each of them may
limit. Everything is read from files of the kernel; where they are not there, nothing is limited.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from model.units import MIB

MOST_HOST_MB = 8192
"""MiB of host memory that a run takes at most unless asked for more: what organisers give a container."""
MOST_GPU_MB = 4096
"""MiB of GPU memory that it takes unless asked otherwise: the smallest GPU that is meant to do."""
UNLIMITED = 1 << 60
"""Bytes from which on version 1 means no limit."""
ROOT = Path("/")


@dataclass(frozen=True, kw_only=True)
class MemoryAtHand:
    """How much memory the process may have in all, what it holds already included."""

    mb: int
    """MiB."""
    why: str
    """What says so."""


def memory_at_hand(most_mb: int, root: Path = ROOT) -> MemoryAtHand:
    """The least of a figure, of what the machine has free and of what control groups leave.

    Pages of files that the kernel would give up count as free.

    Args:
        most_mb: MiB that are never exceeded.
        root: where `proc` and `sys` lie.
    """
    own = _own_bytes(root)
    found = [MemoryAtHand(mb=most_mb, why="the most unless asked for")]
    free = _fields(root / "proc/meminfo").get("MemAvailable:")
    if free is not None:
        found.append(MemoryAtHand(mb=(free * 1024 + own) // MIB, why="what this machine has free"))
    for folder in _groups(root, "memory"):
        # Above `memory.high` a process is not killed, but slowed down until it hardly runs.
        limits = [_number(folder / name) for name in ("memory.max", "memory.high", "memory.limit_in_bytes")]
        limit = min((each for each in limits if each is not None), default=None)
        used = _number(folder / "memory.current") or _number(folder / "memory.usage_in_bytes")
        if limit is None or limit >= UNLIMITED:
            continue
        numbers = _fields(folder / "memory.stat")
        given_up = numbers.get("total_inactive_file", numbers.get("inactive_file", 0))
        left = limit - max(0, (used or 0) - given_up - own)
        found.append(MemoryAtHand(mb=max(1, left // MIB), why=f"the container's limit of {limit // MIB}"))
    return min(found, key=lambda each: each.mb)


def processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processors_within_quota(root: Path = ROOT) -> int:
    """How many threads can run at a time: one a processor, fewer where a quota gives less time."""
    count = processors()
    for folder in _groups(root, "cpu"):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
            count = min(count, ceil(int(quota) / int(period)))  # "max" is no number: no limit
        quota_us, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota_us is not None and period_us and quota_us > 0:
            count = min(count, ceil(quota_us / period_us))
    return max(1, count)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the process's control groups that may limit, of version 2 and of version 1."""
    mount = root / "sys/fs/cgroup"
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                yield from _upwards(mount, path)
            elif controller in controllers.split(","):
                # Both names of a folder with several controllers are there, one as a link.
                yield from _upwards(mount / controller, path)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """The folder of a group and those above it; in a container only the mount itself may be there."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        folder = mount.joinpath(*parts[:count])
        if folder.is_dir():
            yield folder


def _own_bytes(root: Path) -> int:
    """What the process holds now, without pages of files."""
    numbers = _fields(root / "proc/self/status")
    return 1024 * (numbers.get("RssAnon:", 0) + numbers.get("RssShmem:", 0))


def _number(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_text(encoding="ascii"))
    return None


def _fields(path: Path) -> dict[str, int]:
    """The whole numbers of a file with a name and a number on each line."""
    found = {}
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if len(words) > 1 and words[1].isdecimal():
                found[words[0]] = int(words[1])
    return found
