"""Processes that work on one item after another, and can be ended at any moment.

Each has a pipe of its own and a thread that waits at it. A `ProcessPoolExecutor` hands out more work than it
has processes, which cannot be taken back; and where one is ended while it writes a large result, all others
and the program wait for the rest of it for ever.
"""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from leanseg.worker_start import begin_worker, starting_workers
from training.training_errors import TrainingError

Item = TypeVar("Item")
Result = TypeVar("Result")


class EndableWorkers(Generic[Item, Result]):
    """Do work on items, between `with` and its end; what is not done by then is not done any more.

    Args:
        work: what is done with an item; a function that can be pickled, as items and results can.
        processes: how many, 1 or more.
        when_dead: message of the error that one has died.
    """

    def __init__(self, work: Callable[[Item], Result], processes: int, when_dead: str) -> None:
        self._work, self._count, self._when_dead = work, processes, when_dead
        self._workers: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="workers")

    def __enter__(self) -> Self:
        try:
            with starting_workers():
                for _ in range(self._count):
                    self._workers.append(_Worker(self._work))
        except BaseException:
            self._end()
            raise
        for worker in self._workers:
            self._idle.put(worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def submit(self, item: Item) -> Future[Result]:
        """Have an item worked on as soon as a process is free.

        The future raises what the work raises, and TrainingError if the process has died.
        """
        return self._threads.submit(self._result, item)

    def _end(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.end()
        self._threads.shutdown()

    def _result(self, item: Item) -> Result:
        worker = self._idle.get()
        try:
            found = worker.result(item)
        except (EOFError, OSError) as error:
            raise TrainingError(self._when_dead) from error
        finally:
            self._idle.put(worker)
        if isinstance(found, Exception):
            raise found
        return cast(Result, found)


class _Worker:
    """A process, and the pipe to it."""

    def __init__(self, work: Callable[[Item], Result]) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(work, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def result(self, item: object) -> object:
        """What became of an item: a result, or the error that the work raised.

        Raises:
            EOFError, OSError: the process has died.
        """
        self._pipe.send(item)
        return self._pipe.recv()

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.join()


def _serve(work: Callable[[Item], Result], pipe: "Connection[object, Item]") -> None:
    """Work on what comes through a pipe, until nobody is there to send more."""
    begin_worker()
    # Where all processes of a job are told to end, the program may need what is worked on for its last step.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):
        while True:
            item = pipe.recv()
            try:
                found: Result | Exception = work(item)
            except Exception as error:
                found = error
            pipe.send(found)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, in the middle of its work too."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
