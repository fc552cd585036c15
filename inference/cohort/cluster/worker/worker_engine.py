"""What a cohort needs of whatever runs its workers: processes of this machine, or a Ray cluster."""

from dataclasses import dataclass
from typing import Protocol

from inference.cohort.cluster.fates import Report, Task
from inference.cohort.cluster.worker.warm_worker import WarmWorker, WorkerSetup
from inference.errors import UsageError, fault_of, one_line
from model.model_errors import BundleError, LeanSegError

SECONDS_TO_END = 10
"""How long a worker at rest may take to end by itself."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A worker has its networks loaded and waits for cases."""

    worker: str


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A worker says what became of a case."""

    worker: str
    report: Report


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A worker cannot be opened, or cannot go on; another one on its place would not do better."""

    worker: str
    message: str
    """One line for the user."""
    ends_run: bool = False
    """Nor would any other: the call is wrong, or the output cannot be written."""


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A worker died; another may take its place, if that is there."""

    worker: str
    blame: bool
    """It died by itself; else its machine went."""


Event = Opened | Reported | Broken | Lost


class Engine(Protocol):
    """Starts workers where there is room, hands them cases, and tells what happens."""

    def grow(self) -> list[str]:
        """Start workers on every place that is free, as on a machine that joined; their names."""
        ...

    def send(self, worker: str, task: Task) -> None:
        """Hand a case to a worker."""
        ...

    def wait(self, timeout_s: float) -> list[Event]:
        """What has happened; waits for something to, so long at most."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


def open_worker(name: str, setup: WorkerSetup) -> tuple[WarmWorker | None, Event]:
    """Open a worker, or say why it cannot be; for the process that it is to live in."""
    try:
        return WarmWorker(setup), Opened(worker=name)
    except LeanSegError as error:
        return None, _broken(name, error)


def answer(worker: WarmWorker, name: str, task: Task) -> Event:
    """Have a worker segment a case; for the process that the worker lives in."""
    try:
        return Reported(worker=name, report=worker.segment(task))
    except LeanSegError as error:
        return _broken(name, error)
    except Exception as error:
        return Broken(worker=name, message=f"{name}: {fault_of(error)}")


def _broken(name: str, error: LeanSegError) -> Broken:
    """That a worker cannot go on, and whether any other could."""
    return Broken(worker=name, message=one_line(error), ends_run=isinstance(error, UsageError | BundleError))
