"""The driver of a cohort: hands out cases, hears what became of them, and outlives its workers.

It holds the cases that are left and counts of the others; outcomes lie in the output folder, written by the
workers. So it needs no more memory after a million cases than before, and can be killed at any time.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from inference.cohort.cluster.cohort_results import CohortResults
from inference.cohort.cluster.driver.case_queue import CaseQueue
from inference.cohort.cluster.fates import Fate, Task, failed_fate
from inference.cohort.cluster.worker.worker_engine import Broken, Engine, Event, Lost, Opened, Reported
from inference.errors import DeviceError, UsageError

LOOKS_FOR_ROOM_S = 5.0
"""Seconds between two looks for machines that joined, and places that became free."""
WAITS_S = 0.5
"""Seconds after which the driver looks around although nothing happened."""


@dataclass(kw_only=True)
class WorkerShare:
    """What a worker did so far."""

    opened_s: float
    segmenting_s: float = 0.0
    done: int = 0
    is_there: bool = True

    def busy(self, now_s: float) -> float:
        """Share of its time for which its device was at work, 0 to 1."""
        return min(1.0, self.segmenting_s / max(now_s - self.opened_s, 1e-6))


@dataclass(kw_only=True)
class Standing:
    """How far a run is."""

    total: int
    """Cases of the cohort."""
    earlier: frozenset[str] = frozenset()
    """Of these, those that met their fate in runs before this one."""
    unrecorded: list[Fate] = field(default_factory=list)
    """Fates of this run for which there can be no file: they stand in its table alone."""
    segmented: int = 0
    doubtful: int = 0
    """Of those segmented, the ones whose result is to be looked at."""
    failed: int = 0
    skipped: int = 0
    workers: dict[str, WorkerShare] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Cases that met their fate, in this run or before."""
        return len(self.earlier) + self.segmented + self.failed + self.skipped

    def count(self, fate: Fate) -> None:
        """A case met its fate."""
        setattr(self, fate.status, getattr(self, fate.status) + 1)
        self.doubtful += fate.status == "segmented" and bool(fate.doubts)


@dataclass(frozen=True, kw_only=True)
class CohortRun:
    """How a cohort is run."""

    engine: Engine
    results: CohortResults
    standing: Standing
    retries: int
    tell: Callable[[Fate], None]
    """Takes each fate as soon as it is recorded, in the order in which they are met."""
    warn: Callable[[str], None]
    """Takes what happens to workers, a line each."""
    progress: Callable[[], None]
    """Called twice a second or so."""

    def run(self, tasks: Sequence[Task]) -> None:
        """Bring every case to its fate.

        Raises:
            OutputError: results cannot be written.
            UsageError: workers say that the call is wrong.
            DeviceError: no worker is left; the fates before that are whole.
        """
        _Driver(self, tasks).run()


class _Driver:
    """One run, as it goes."""

    def __init__(self, settings: CohortRun, tasks: Sequence[Task]) -> None:
        self._settings = settings
        self._engine = settings.engine
        self._queue = CaseQueue(tasks, retries=settings.retries)
        self._opening: set[str] = set()
        self._open: set[str] = set()
        self._looked_s = float("-inf")
        """When places were last looked for."""
        self._complaint = ""
        """What the last worker that broke said."""

    def run(self) -> None:
        fed_s = float("-inf")
        try:
            while not self._queue.is_empty:
                if time.monotonic() - self._looked_s > LOOKS_FOR_ROOM_S:
                    self._opening.update(self._engine.grow())
                    self._looked_s = time.monotonic()
                if not (self._open or self._opening):
                    raise DeviceError(self._complaint or "no worker is left; --resume goes on")
                for event in self._engine.wait(WAITS_S):
                    self._hear(event)
                if time.monotonic() - fed_s > WAITS_S:
                    self._feed(self._open)
                    self._settings.progress()
                    fed_s = time.monotonic()
        finally:
            self._engine.close()

    def _hear(self, event: Event) -> None:
        match event:
            case Opened(worker=worker):
                self._opening.discard(worker)
                self._open.add(worker)
                self._queue.join(worker)
                self._settings.standing.workers[worker] = WorkerShare(opened_s=time.monotonic())
                self._feed([worker])
            case Reported(worker=worker):
                self._take(event)
                self._feed({worker} & self._open)
            case Broken(worker=worker):
                self._complaint = event.message
                if event.ends_run:
                    raise UsageError(event.message)
                if worker in self._open | self._opening:
                    self._settings.warn(event.message)
                self._forget(worker, blame=False)
            case Lost(worker=worker):
                if worker in self._open | self._opening:
                    self._settings.warn(f"{worker}: {'died' if event.blame else 'went with its machine'}")
                self._forget(worker, blame=event.blame)

    def _feed(self, workers: Iterable[str]) -> None:
        """Give workers what they may have."""
        for worker in workers:
            while (task := self._queue.give(worker)) is not None:
                self._engine.send(worker, task)

    def _take(self, event: Reported) -> None:
        share = self._settings.standing.workers.get(event.worker)
        if share is not None:
            share.segmenting_s += event.report.segmenting_s
            share.done += 1
        task = self._queue.take_back(event.worker, event.report)
        if task is None:
            return
        fate = event.report.fate
        self._met(fate if event.report.is_final else self._settings.results.settle(fate, task))

    def _forget(self, worker: str, *, blame: bool) -> None:
        self._looked_s = float("-inf")
        self._opening.discard(worker)
        self._open.discard(worker)
        if worker in self._settings.standing.workers:
            self._settings.standing.workers[worker].is_there = False
        for task in self._queue.lose(worker, blame=blame):
            # It may have been recorded by the worker just before that died.
            self._met(self._settings.results.settle(failed_fate(task, _why(task), time.time()), task))

    def _met(self, fate: Fate) -> None:
        self._settings.standing.count(fate)
        self._settings.tell(fate)


def _why(task: Task) -> str:
    if task.kills > 1:
        return (
            f"{task.case}: killed its worker {task.kills} times, out of memory or by a fault of the program; "
            "set aside"
        )
    return f"{task.case}: its worker was lost each time, {task.tries} times in all; --resume tries again"
