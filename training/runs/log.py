"""The log of a run, `log.jsonl`: one JSON object a line, each with its step and when it was written.

A line of a step: `loss`, `learning_rate`, `patches_per_s`, `gpu_peak_mb` or on CPUs `host_peak_mb` (MiB, of
the first process). A line of a validation: `dice` of each channel, `mean_dice`. `time` is UTC, in ISO 8601.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.whole_files import json_of, write_text, writing

MEASURED = ("time", "patches_per_s", "gpu_peak_mb", "host_peak_mb")
"""Fields in which two runs of the same differ."""


def write_log(path: Path, entry: Mapping[str, object]) -> None:
    """Append a line.

    Raises:
        WriteError: it cannot be written.
    """
    with writing(path), path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(entry) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log, in order; one that a crash cut off is left out."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json_of(line))
        except ValueError:
            continue
    return entries


def forget_log_after(path: Path, step: int, *, validates: bool = False) -> None:
    """Drop the lines of steps that will be done again.

    Args:
        path: the log; nothing happens where there is none.
        step: the last one whose lines stay.
        validates: its validation will be done again, too.
    """
    if path.is_file():
        kept = [entry for entry in read_log(path) if entry["step"] <= step]
        if validates:
            kept = [entry for entry in kept if entry["step"] < step or "dice" not in entry]
        write_text(path, "".join(f"{json.dumps(entry)}\n" for entry in kept))
