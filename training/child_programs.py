"""Programs that a command starts, each on GPUs of its own, and that end when it does."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from leanseg.ending import held

ROOT = Path(__file__).resolve().parents[1]
"""Folder in which `training` and `predict.py` are found."""
TRAIN: Sequence[str] = ("-m", "training", "train")
POLL_S = 0.2

logger = logging.getLogger(__name__)

Gpus = tuple[int, ...]
"""Numbers of the GPUs of one program."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A program to be run."""

    name: str
    words: tuple[str, ...]
    """What follows `python` on its command line."""
    log: Path
    """Where its messages go when it does not run alone."""


def torchrun_words(words: Sequence[str], gpus: int) -> tuple[str, ...]:
    """What follows `python` to run words that follow it on so many GPUs: torchrun, for more than one."""
    if gpus < 2:
        return tuple(words)
    return ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(gpus), *words)


def environment_of(gpus: Gpus | None) -> dict[str, str]:
    """The environment of a program that finds this project from anywhere.

    Args:
        gpus: all that it may see; None leaves that as it is.
    """
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    # A folder `training` or `eval` of the user's must not be taken for a package.
    environment["PYTHONSAFEPATH"] = "1"
    if gpus is not None:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))
    return environment


def run_jobs(jobs: Sequence[Job], places: Sequence[Gpus | None]) -> dict[str, int]:
    """Run programs, as many at a time as there are places; name of each to its exit code.

    If one fails the others go on. If this program is interrupted or terminated they are interrupted, too, and
    waited for.

    Args:
        jobs: in the order in which they start.
        places: GPUs of each place; None leaves the choice to the program. With one place, messages are shown;
            with more, they go to the jobs' logs.
    """
    waiting, free = list(jobs), list(places)
    running: dict[str, tuple[subprocess.Popen[bytes], Gpus | None]] = {}
    codes: dict[str, int] = {}
    with Programs() as programs:
        while waiting or running:
            while waiting and free:
                job, place = waiting.pop(0), free.pop(0)
                if len(jobs) > 1:
                    logger.info("%s starts (%d of %d)", job.name, len(jobs) - len(waiting), len(jobs))
                log = None if len(places) == 1 else job.log
                running[job.name] = programs.start(job.words, place, log=log), place
            for name, (process, place) in list(running.items()):
                code = process.poll()
                if code is not None:
                    codes[name] = code
                    free.append(place)
                    del running[name]
            if running:
                time.sleep(POLL_S)
    return codes


class Programs:
    """Programs that are started between `with` and its end; whatever ends this one ends them, and waits.

    Each is in a session of its own, so that Ctrl-C reaches it through this one, once.
    """

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Started in the background by a script, all of them ignore Ctrl-C.
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        for process in self._started:  # One that has ended already gets no signal.
            process.send_signal(signal.SIGTERM if ignored else signal.SIGINT)
        for process in self._started:
            process.wait()

    def start(
        self,
        words: Sequence[str],
        gpus: Gpus | None = None,
        *,
        log: Path | None = None,
        inherited: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a program.

        Args:
            words: what follows `python` on its command line.
            gpus: all that it may see; None leaves that as it is.
            log: where its messages are added; None: they are shown.
            inherited: descriptors that stay open in it.

        Raises:
            OSError: its log cannot be written.
        """
        # One that runs already and that nobody knows of yet would be left behind.
        with held(), nullcontext() if log is None else log.open("ab") as messages:
            process = subprocess.Popen(
                [sys.executable, *words],
                env=environment_of(gpus),
                stdout=messages,
                stderr=messages,
                pass_fds=inherited,
                start_new_session=True,
            )
            self._started.append(process)
        return process
