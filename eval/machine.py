"""How much of the machine this process may use."""

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
LIMIT_FILES = (
    # Control groups of version 2, then of version 1.
    ("memory.max", "memory.current"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)


def processors() -> int:
    """Number of processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_memory_bytes(meminfo: Path = Path("/proc/meminfo"), cgroup: Path = CGROUP) -> int:
    """Bytes of memory that this process may still take: what is free, or less where a container limits it.

    On systems without /proc, half of the machine's memory.
    """
    if not meminfo.is_file():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    lines = dict(
        line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line
    )
    free = int(lines["MemAvailable"].split()[0]) * 1024
    for limit_name, used_name in LIMIT_FILES:
        limit, used = cgroup / limit_name, cgroup / used_name
        if limit.is_file() and used.is_file():
            most = limit.read_text(encoding="utf-8").strip()
            if most != "max":
                free = min(free, int(most) - int(used.read_text(encoding="utf-8")))
    return max(free, 0)
