"""A limit on the time of each case: cases run in a second process, which is ended where one takes too long.

Only ending a process stops a library that does not come back. The case that it had under way has then failed,
and a new process goes on with the others; a process that crashes costs no more than the case it crashed on.
While one case is segmented, the next may be read and the last written: where several were under way, each is
tried once more, alone.
"""

import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from inference.cohort.assembly_line import Step, Tell
from inference.cohort.cases import Case
from inference.cohort.folder import Begin, Progress
from inference.cohort.outcome import Outcome, failed
from inference.errors import one_line
from leanseg.atomic_files import sweep
from leanseg.ending import held, is_ended, until_ended
from leanseg.worker_start import begin_worker, starting_workers
from model.model_errors import LeanSegError

LEAVE_S = 20.0
"""How long the second process may take to leave whole files behind when the program is ended."""


class Work(Protocol):
    """Runs cases one after another; can be pickled."""

    def __call__(self, cases: Sequence[Case], *, tell: Tell, begin: Begin, step: Step) -> None:
        """Say of each case when it is begun, and tell its outcome.

        Args:
            cases: what is run.
            tell: takes outcomes, from any thread and of a case more than once: the first one counts.
            begin: takes each case when it is begun.
            step: stands around each step of a case, on any thread.

        Raises:
            LeanSegError: no case can be run any more.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class WatchedRun:
    """Cases that may take so long each, and no longer."""

    work: Work
    limit_s: float
    """Seconds for a case, and as many where it is tried once more. Loading the networks counts for the first
    one of a process, looking through those that are left out does not."""
    output: Path
    """Where results are written; what an ended process leaves unfinished there is removed."""
    tell: Tell
    progress: Progress

    def run(self, cases: Sequence[Case]) -> None:
        """Run cases one after another, in as many processes as it takes.

        Raises:
            LeanSegError: what ended the run in the second process.
        """
        told: set[Path] = set()  # A case may come back with warnings that it went without.

        def tell(outcome: Outcome) -> None:
            if outcome.case.path not in told:
                with held():  # Who knows it counts as told: nothing comes between.
                    told.add(outcome.case.path)
                    self.tell(outcome)

        def begin(case: Case) -> None:
            self.progress(len(told), len(cases), case.path.name)

        suspects: list[Case] = []
        while todo := [case for case in cases if case.path not in told]:
            alone = suspects[:1]
            with _Process(self.work, alone or todo, self.output) as process:
                self._listen(process, tell, begin)
            if process.has_ended and not alone:
                break
            suspects = suspects[1:]
            left = [case for case in alone or todo if case.path not in told]
            if left and not process.has_ended:
                case, *others = process.suspects(left)
                if others:
                    suspects = [case, *others]
                else:
                    tell(failed(case, f"{case.path}: {process.ending(self.limit_s)}"))
        self.progress(len(cases), len(cases), "")

    def _listen(self, process: "_Process", tell: Tell, begin: Begin) -> None:
        """Take what a process says until it ends; of outcomes also the last, where the program is ended."""
        try:
            for said in process.messages(self.limit_s):
                if isinstance(said, Outcome):
                    tell(said)
                else:
                    begin(said)
        except BaseException:
            for outcome in process.last_outcomes():
                tell(outcome)
            raise


@dataclass(frozen=True)
class _StepMessage:
    """A step of a case begins, or is done."""

    path: Path
    begins: bool


class _Process:
    """The second process, and what it says: each case that it begins, each step, and each outcome."""

    def __init__(self, work: Work, todo: Sequence[Case], output: Path) -> None:
        context = get_context("spawn")
        self._connection, there = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(there, work, todo), daemon=True)
        with starting_workers():
            self._process.start()
        there.close()
        self._output = output
        self._is_late = False
        self.has_ended = False
        """Whether it did all it was given."""
        self._begun: Path | None = None
        """Of the case that was begun last."""
        self._under_way: Counter[Path] = Counter()
        """How many steps of a case have begun and are not done."""

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()
        sweep(self._output)

    def messages(self, limit_s: float) -> Iterator[Case | Outcome]:
        """Cases as they are begun and outcomes as they are known, until it ends or a case takes too long."""
        until = time.monotonic() + limit_s
        while True:
            if not self._connection.poll(0.0 if self._is_late else max(0.0, until - time.monotonic())):
                if self._is_late:
                    return
                self._is_late = True
                self._process.kill()
                self._process.join()
                continue  # What it had said by then counts.
            try:
                said: Case | Outcome | _StepMessage | Exception | None = self._connection.recv()
            except (EOFError, OSError):
                self._process.join()
                return
            if isinstance(said, Exception):
                raise said
            if said is None:
                self.has_ended = True
                return
            if isinstance(said, Case):
                self._begun = said.path
            if isinstance(said, Case) or self._begun is None:
                until = time.monotonic() + limit_s
            if isinstance(said, _StepMessage):
                self._under_way[said.path] += 1 if said.begins else -1
            else:
                yield said

    def suspects(self, left: Sequence[Case]) -> list[Case]:
        """The cases that may have ended it, one or more, in their order.

        Args:
            left: those that it was given and has told nothing of, one or more.
        """
        under_way = [case for case in left if self._under_way[case.path]]
        if not under_way:
            return [next((case for case in left if case.path == self._begun), left[0])]
        # One that was begun before is run before, so that outcomes keep the order of the cases.
        up_to_last = left[: left.index(under_way[-1]) + 1]
        return [case for case in up_to_last if case in under_way or case.path == self._begun]

    def last_outcomes(self) -> Iterator[Outcome]:
        """End it as the program was ended: it finishes the file that it writes, and tells of it."""
        self._process.terminate()
        until = time.monotonic() + LEAVE_S
        with suppress(EOFError, OSError):
            while self._connection.poll(max(0.0, until - time.monotonic())):
                said = self._connection.recv()
                if isinstance(said, Outcome):
                    yield said

    def ending(self, limit_s: float) -> str:
        """Why it did not finish the case that it had begun."""
        if self._is_late:
            return f"took longer than the {limit_s:g} s of --case-timeout"
        code = self._process.exitcode or 0
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"the process that segmented it ended {how}; is there enough memory?"


def _serve(connection: Connection, work: Work, cases: Sequence[Case]) -> None:
    """What the second process does. Its terminal is the first one's business, which ends this one."""
    begin_worker()
    sys.exit(until_ended(lambda: _work(connection, work, cases)))


def _work(connection: Connection, work: Work, cases: Sequence[Case]) -> int:
    threading.Thread(target=_leave_with_parent, args=(connection,), daemon=True).start()
    voice = _Voice(connection)
    try:
        work(cases, tell=voice.say, begin=voice.say, step=voice.step)
        voice.say(None)
    except BrokenPipeError:
        pass  # Nobody listens any more.
    except Exception as error:
        if is_ended():
            raise
        voice.say(error if isinstance(error, LeanSegError) else _fault(error))
    return 0


def _fault(error: Exception) -> RuntimeError:
    """A fault of the program as the first process is told of it, with the traceback of this one.

    Not every exception can be pickled.
    """
    fault = RuntimeError(f"{type(error).__name__}: {one_line(error)}")
    fault.add_note("".join(traceback.format_exception(error)).rstrip())
    return fault


class _Voice:
    """What the second process says, one thread at a time."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._one_at_a_time = threading.Lock()

    def say(self, what: Case | Outcome | _StepMessage | Exception | None) -> None:
        with self._one_at_a_time:
            self._connection.send(what)

    @contextmanager
    def step(self, case: Case) -> Iterator[None]:
        self.say(_StepMessage(case.path, begins=True))
        try:
            yield
        finally:
            self.say(_StepMessage(case.path, begins=False))


def _leave_with_parent(connection: Connection) -> None:
    """End this process when the first one is gone, killed for example: nothing is ever sent here."""
    with suppress(EOFError, OSError):
        connection.recv()
    os.kill(os.getpid(), signal.SIGTERM)
