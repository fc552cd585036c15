"""What the training loops took, from the records of their runs: medians over steps, and a table."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from eval.benchmark.cold_runs import Json
from eval.benchmark.training_loops.loop_clock import BACKWARD, FORWARD, LOSS, REST, UPDATE, WAIT
from eval.paper_table import markdown

AUGMENT = "augment"
PARTS = (AUGMENT, FORWARD, LOSS, BACKWARD, UPDATE, REST)
"""Parts of a step that the training thread works for, in their order."""
NETWORK = (FORWARD, BACKWARD)


@dataclass(frozen=True, kw_only=True)
class LoopEntry:
    """One loop in one precision; medians over the steps of all its runs."""

    comparison: str
    loop: str
    precision: str
    """What was computed in."""
    runs: int
    steps: int
    """Steps of all runs together."""
    patches: int
    """Patches of a step."""
    wall_s: float
    """A step on the clock."""
    wait_s: float
    """Of that, waiting for the batch."""
    cpu_s: float
    """CPU time of a step, with what was worked for batches meanwhile."""
    thread_s: float
    """CPU time of a step of the thread that trains."""
    parts_s: Mapping[str, float]
    """CPU time of that thread for each of `PARTS` that it has."""
    peak_mb: float
    """Peak of resident memory, all processes of the loop, MiB."""
    others: float
    """Number of processors that other programs kept busy meanwhile."""

    @property
    def thread_patches_per_s(self) -> float:
        """Patches per second of CPU time of the thread that trains.

        On an idle machine that has a processor left for the batches, and one thread for the network, that is
        patches a second.
        """
        return self.patches / self.thread_s

    @property
    def outside(self) -> float:
        """Share of the thread's time that is not forward or backward, 0 to 1."""
        return 1 - sum(self.parts_s.get(part, 0.0) for part in NETWORK) / self.thread_s


def loop_entry(comparison: str, loop: str, records: Sequence[Json], steps: int) -> LoopEntry:
    """Medians over the last steps of each run.

    Args:
        comparison: which loops are compared.
        loop: name of this one.
        records: of its runs, each with a report as `python -m training train --times` writes it.
        steps: steps of each run that count, from the end.
    """
    counted = [step for record in records for step in record["report"]["steps"][-steps:]]
    names = [name for name in dict.fromkeys(name for step in counted for name in step["parts"])]
    parts_s = {
        name: median(step["parts"].get(name, _NONE)["cpu_s"] for step in counted)
        for name in names
        if name not in (WAIT, REST)
    }
    thread_s = median(step["thread_s"] for step in counted)
    rest = median(
        step["thread_s"] - sum(part["cpu_s"] for name, part in step["parts"].items() if name != REST)
        for step in counted
    )
    first = records[0]["report"]
    return LoopEntry(
        comparison=comparison,
        loop=loop,
        precision=first["precision"],
        runs=len(records),
        steps=len(counted),
        patches=first["patches"],
        wall_s=median(step["wall_s"] for step in counted),
        wait_s=median(step["parts"].get(WAIT, _NONE)["wall_s"] for step in counted),
        cpu_s=median(step["cpu_s"] for step in counted),
        thread_s=thread_s,
        parts_s={**parts_s, REST: rest},
        peak_mb=median(record["peak_mb"] for record in records),
        others=median(record["others"] for record in records),
    )


_NONE: Mapping[str, float] = {"wall_s": 0.0, "cpu_s": 0.0}


def loops_table(entries: Sequence[LoopEntry]) -> str:
    """Patches a second, on the clock and by CPU time, each with how many times the first of its comparison.

    × is how many times faster the first loop of the comparison is.
    """
    header = (
        *("against", "loop", "precision", "runs", "steps", "patches/s", "×", "CPU s a patch", "×"),
        *("patches/s of the thread", "×", "peak MiB", "others"),
    )
    rows = []
    for entry in entries:
        first = next(other for other in entries if other.comparison == entry.comparison)
        rows.append(
            [
                *(entry.comparison, entry.loop, entry.precision, str(entry.runs), str(entry.steps)),
                *(f"{entry.patches / entry.wall_s:.2f}", _times(entry.wall_s, first.wall_s)),
                *(f"{entry.cpu_s / entry.patches:.2f}", _times(entry.cpu_s, first.cpu_s)),
                *(f"{entry.thread_patches_per_s:.2f}", _times(entry.thread_s, first.thread_s)),
                *(f"{entry.peak_mb:.0f}", f"{entry.others:.1f}"),
            ]
        )
    return markdown(header, rows)


def parts_table(entries: Sequence[LoopEntry]) -> str:
    """Milliseconds of CPU time of each part of a step, of the thread that trains.

    Beside them what else was worked for batches, and how long was waited for them on the clock.
    """
    header = (
        *("against", "loop", "precision", *(f"{part} ms" for part in PARTS)),
        *("not forward or backward", "batches ms", "waited ms"),
    )
    rows = [
        [
            *(entry.comparison, entry.loop, entry.precision),
            *(_ms(entry.parts_s.get(part, math.nan)) for part in PARTS),
            *(f"{entry.outside:.1%}", _ms(entry.cpu_s - entry.thread_s), _ms(entry.wait_s)),
        ]
        for entry in entries
    ]
    return markdown(header, rows)


def _times(value: float, of_first: float) -> str:
    return f"{value / of_first:.2f}"


def _ms(seconds: float) -> str:
    return "" if math.isnan(seconds) else f"{1000 * seconds:.0f}"
