"""Where figures come from: program, machine, date and command, to be kept beside a table."""

import json
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from eval.files import write_json
from eval.machine import processors
from leanseg.version import VERSION

CPU_INFO = Path("/proc/cpuinfo")


def provenance(**facts: object) -> dict[str, Any]:
    """What every table's origin has in common, and facts of its own.

    Host and user names are left out: such files are published.
    """
    return {
        "program": f"LeanSeg {VERSION}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": _command(sys.argv),
        "machine": {
            "system": f"{platform.system()} {platform.release()}",
            "processor": _processor(),
            "processors": processors(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        },
        **facts,
    }


def _command(argv: Sequence[str]) -> str:
    program = Path(argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    return shlex.join([name, *argv[1:]])


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def beside(table: Path) -> Path:
    """Where the origin of a table is kept: `NAME_run.json` for `NAME.csv`."""
    return table.with_name(f"{table.stem}_run.json")


def write_provenance(table: Path, origin: Mapping[str, Any]) -> None:
    """Write the origin of a table beside it."""
    write_json(beside(table), origin)


def read_provenance(table: Path) -> dict[str, Any] | None:
    """The origin of a table; None if nobody kept it, or it cannot be read."""
    try:
        found = json.loads(beside(table).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
