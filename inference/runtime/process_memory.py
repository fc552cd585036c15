"""The most memory that this process held: resident, shared libraries included, as the system counts."""

import resource
from contextlib import suppress
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_mb() -> float:
    """MiB held at most since the process began.

    The kernel could begin anew, and would for everybody who asks: organisers measure by the same figure.
    """
    return _status_mb("VmHWM")


def held_mb() -> float:
    """MiB held now; the most so far where the system does not tell."""
    return _status_mb("VmRSS")


def _status_mb(field: str) -> float:
    with suppress(OSError):
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
