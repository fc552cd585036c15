"""Workers as processes of this machine: a cohort without a cluster.

Each worker has a pipe to the driver. When the driver dies the pipe breaks, and the worker ends.
"""

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from inference.cohort.cluster.driver.case_queue import IN_HAND
from inference.cohort.cluster.driver.cohort_call import CohortCall
from inference.cohort.cluster.driver.seats import (
    gpu_names,
    no_room,
    room_on,
    setup_for,
    this_machine,
    workers_on,
)
from inference.cohort.cluster.fates import Task
from inference.cohort.cluster.worker.warm_worker import WarmWorker, WorkerSetup
from inference.cohort.cluster.worker.worker_engine import (
    SECONDS_TO_END,
    Broken,
    Event,
    Lost,
    Opened,
    answer,
    open_worker,
)
from leanseg.worker_start import begin_worker, starting_workers


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Room for one worker."""

    setup: WorkerSetup
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the process, e.g. the GPU that it may see."""


@dataclass(kw_only=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    seat: int
    is_open: bool = False


class WorkerProcesses:
    """Workers on the seats of this machine."""

    def __init__(self, seats: Sequence[Seat], described: str = "") -> None:
        self._seats = seats
        self.described = described
        self._taken: set[int] = set()
        self._workers: dict[str, _Worker] = {}
        self._spawn = multiprocessing.get_context("spawn")

    def grow(self) -> list[str]:
        """Start a worker on every seat that is free."""
        names = []
        for index, seat in enumerate(self._seats):
            if index in self._taken:
                continue
            ours, theirs = self._spawn.Pipe()
            process = self._spawn.Process(target=_serve, args=(theirs, pickle.dumps(seat)), daemon=True)
            with starting_workers():  # One of which nothing is known yet, nobody ends.
                process.start()
                name = _name_of(process.pid)
                self._workers[name] = _Worker(process=process, pipe=ours, seat=index)
            theirs.close()
            self._taken.add(index)
            names.append(name)
        return names

    def send(self, worker: str, task: Task) -> None:
        """Hand a case to a worker; one that is dying is told of by `wait`."""
        with suppress(OSError):
            self._workers[worker].pipe.send(task)

    def wait(self, timeout_s: float) -> list[Event]:
        """What workers said, and which are gone."""
        names = {worker.pipe: name for name, worker in self._workers.items()}
        events: list[Event] = []
        for pipe in wait(list(names), timeout_s):
            assert isinstance(pipe, Connection)
            events += self._heard(names[pipe], pipe)
        return events

    def _heard(self, name: str, pipe: Connection) -> list[Event]:
        """All that a worker has said, and whether it is gone."""
        worker = self._workers[name]
        events: list[Event] = []
        try:
            while pipe.poll():
                event: Event = pipe.recv()
                events.append(event)
                worker.is_open |= isinstance(event, Opened)
                if isinstance(event, Broken):
                    self._dismiss(name)
                    return events
        except (EOFError, OSError):
            self._dismiss(name)
            if worker.is_open:
                self._taken.discard(worker.seat)
                events.append(Lost(worker=name, blame=True))
            else:
                died = f"{name}: died while it loaded its networks (exit code {worker.process.exitcode})"
                events.append(Broken(worker=name, message=f"{died}; give a worker more memory, or run fewer"))
        return events

    def _dismiss(self, name: str) -> None:
        worker = self._workers.pop(name)
        worker.pipe.close()
        worker.process.kill()
        worker.process.join()

    def close(self) -> None:
        """End all workers: those at rest by themselves, others after a while that is the same for all."""
        for worker in self._workers.values():
            with suppress(OSError):
                worker.pipe.send(None)
        until = time.monotonic() + SECONDS_TO_END
        for name, worker in list(self._workers.items()):
            worker.process.join(max(0.0, until - time.monotonic()) if worker.is_open else 0)
            self._dismiss(name)


def processes_of_this_machine(call: CohortCall) -> WorkerProcesses:
    """As many workers as this machine has room for, or as asked for.

    Raises:
        DeviceError: it has room for none.
    """
    machine = this_machine()
    room = room_on(machine, call)
    if not room.workers:
        raise no_room([machine], call)
    if call.workers is not None and call.workers < room.workers:
        room = replace(room, workers=call.workers, limit="--workers")
    setup, gpus = setup_for(call, room), gpu_names()
    seats = [
        Seat(setup=setup, environment=sight(gpus, index, room.gpus) if room.gpus else {})
        for index in range(room.workers)
    ]
    return WorkerProcesses(seats, room.described)


def sight(gpus: Sequence[str], index: int, share: float) -> dict[str, str]:
    """The GPUs that the index-th worker may see, each taking a share of one, or several."""
    first = index // workers_on(1, share) if share <= 1 else index * round(share)
    return {"CUDA_VISIBLE_DEVICES": ",".join(gpus[first : first + max(1, round(share))])}


def _serve(pipe: Connection, pickled: bytes) -> None:
    """The life of a worker's process."""
    begin_worker()
    seat: Seat = pickle.loads(pickled)
    os.environ.update(seat.environment)
    name = _name_of(os.getpid())
    speaking = threading.Lock()

    def say(event: Event) -> None:
        with speaking, suppress(OSError):
            pipe.send(event)

    worker, opened = open_worker(name, seat.setup)
    say(opened)
    threads = ThreadPoolExecutor(IN_HAND)
    while worker is not None:
        try:
            task: Task | None = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)  # The driver is gone; what is in hand is for the next one.
        if task is None:
            worker.close()
            return
        threads.submit(_segment, worker, name, task, say)


def _segment(worker: WarmWorker, name: str, task: Task, say: Callable[[Event], None]) -> None:
    say(answer(worker, name, task))


def _name_of(pid: int | None) -> str:
    return f"process {pid}"
