"""Programs that are run one after the other within the ladder's time, each measured on the GPU."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.benchmark.cold_runs import Json, Task, do
from eval.benchmark.contestants import ROOT
from eval.benchmark.one_gpu import failure
from eval.measuring.trace import Trace, read_trace

MOST_S = 150.0
"""Seconds after which a program is stopped that takes a few on a GPU: one that hangs has failed."""
LEAST_S = 5.0
"""Seconds that must be left for a program to be started."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a program ended."""

    name: str
    """Of its record."""
    record: Json = field(default_factory=dict)
    """Time, memory and report, see `cold_runs.do`; empty if it was not started."""
    trace: Trace | None = None
    """Samples of its memory."""
    failed: str = ""
    """Why it failed, in a line; empty if it did not."""
    skipped: str = ""
    """Why it was not started; empty if it was."""

    @property
    def report(self) -> Json:
        """What it wrote."""
        report: Json = self.record.get("report", {})
        return report


@dataclass(kw_only=True)
class TimedPrograms:
    """Runs programs until the time is over.

    Args:
        folder: for records, logs and samples.
        gpu: index or UUID of the GPU that is watched.
        limit_s: seconds for all of them together.
        say: called with each line of progress.
    """

    folder: Path
    gpu: str
    limit_s: float
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    """Seconds from some time on."""
    _start_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._start_s = self.clock()

    @property
    def left_s(self) -> float:
        """Seconds that are left for the rest of the ladder."""
        return self.limit_s - (self.clock() - self._start_s)

    @property
    def over(self) -> str:
        """Why nothing more is started; empty while there is time."""
        return f"the {self.limit_s:.0f} s were over" if self.left_s < LEAST_S else ""

    def run(self, name: str, words: Sequence[str], report: Path, most_s: float = MOST_S) -> Ran:
        """Run `python WORDS`, anew each time.

        Args:
            name: of its record, unlike that of every other program.
            words: after `python`.
            report: JSON file that it writes.
            most_s: seconds after which it is stopped, and has failed; it is stopped too when the time of the
                ladder is over, for which it is not to blame.
        """
        if self.over:
            return Ran(name=name, skipped=self.over)
        task = Task(
            folder=self.folder,
            name=name,
            about={"words": list(words)},
            command=[sys.executable, *words],
            report=report,
            cwd=ROOT,
            gpu=self.gpu,
        )
        task.record_path.unlink(missing_ok=True)
        left_s = self.left_s
        record = do(task, min(most_s, left_s))
        if record["stopped"] and left_s < most_s and self.over:
            return Ran(name=name, skipped=self.over)
        failed = failure(record, self.folder / f"{name}.log")
        self.say(f"{name}: {failed or format(record['wall_s'], '.1f') + ' s'}")
        return Ran(name=name, record=record, trace=read_trace(task.trace_path), failed=failed)
