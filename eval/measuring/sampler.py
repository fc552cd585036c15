"""A sampler in its own process, so that nothing that the judge does delays a sample.

The process writes each sample to a file as it is taken: whatever becomes of the process, what it saw is
there. Time is the system's monotonic clock, the same in all processes.
"""

import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import psutil  # type: ignore[import-untyped]

from eval.measuring.probes import Cgroup, GpuProbe, HostProbe, NoGpuError, ProcessTree, Program, ProgramProbe
from eval.measuring.trace import INTERVAL_S, QUANTITIES, Trace, parse_samples

Thing = TypeVar("Thing")

BASELINE_S = 0.5
"""How long is sampled before the command starts."""
STOP = 0
"""Said to the sampler instead of a process."""
START_S = 60.0
"""A sampler that has not taken its first sample by then will not."""


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """What to sample."""

    gpu: str | None = None
    """Index or UUID; None for none."""
    container: bool = False
    """The program is a container: all that is in the control group of its first process. Otherwise a process
    and its descendants."""
    interval_s: float = INTERVAL_S
    """Sleep between samples."""
    nvml_module: str = "pynvml"


def why_no_gpu(gpu: str, nvml_module: str = "pynvml") -> str | None:
    """One line on why a GPU cannot be watched; None if it can."""
    try:
        GpuProbe(gpu, nvml_module)
    except NoGpuError as error:
        return str(error)
    return None


@dataclass
class Sampler:
    """Samples while the block runs; `trace` then has the result.

    >>> with Sampler(SamplerOptions()) as sampler:    # doctest: +SKIP
    ...     start_s = time.monotonic()
    ...     program = subprocess.Popen(...)
    ...     sampler.watch(program.pid)
    ...     program.wait()
    ...     end_s = time.monotonic()
    >>> trace = sampler.trace(start_s, end_s)    # doctest: +SKIP
    """

    options: SamplerOptions
    _folder: tempfile.TemporaryDirectory[str] = field(init=False)
    _process: SpawnProcess = field(init=False)
    _pipe: Connection = field(init=False)
    _samples: str = field(init=False, default="")

    def __enter__(self) -> Self:
        context = get_context("spawn")
        self._folder = tempfile.TemporaryDirectory(prefix="leanseg-samples-")
        # A pipe, not an event or a shared value: those wait for ever for a process that was killed while it
        # held them.
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=sample, args=(self.options, self._path, other), daemon=True)
        self._process.start()
        other.close()
        with suppress(EOFError, OSError):
            if self._pipe.poll(START_S):
                self._pipe.recv()
                time.sleep(BASELINE_S)
        return self

    @property
    def _path(self) -> Path:
        return Path(self._folder.name) / "samples.csv"

    @property
    def pid(self) -> int | None:
        """The sampler's own process."""
        return self._process.pid

    def watch(self, pid: int) -> None:
        """Tell the sampler the first process of the program."""
        self._tell(pid)

    def _tell(self, pid: int) -> None:
        with suppress(OSError):
            self._pipe.send(pid)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._tell(STOP)
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()
        with suppress(FileNotFoundError):
            self._samples = self._path.read_text(encoding="utf-8")
        self._folder.cleanup()

    def trace(self, start_s: float, end_s: float) -> Trace:
        """What was sampled, with the time that `start_s` was as 0; to be asked for after the block."""
        return parse_samples(self._samples, start_s, end_s)


def sample(options: SamplerOptions, path: Path, pipe: Connection) -> None:
    """Take samples until told to stop, or until nobody is left to tell: query, write, sleep.

    Runs in a process of its own.
    """
    # Control-C reaches the whole group; the judge decides when sampling ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host, gpu = (
        HostProbe(),
        _quietly(lambda: GpuProbe(options.gpu, options.nvml_module) if options.gpu is not None else None),
    )
    program: Program | None = None
    own: ProgramProbe | None = None
    told: int | None = None
    with path.open("a", encoding="utf-8", buffering=1) as stream:
        pipe.send(os.getpid())
        while told != STOP:
            if told is not None:
                program = _quietly(partial(_program, told, options.container))
                own = None if program is None else ProgramProbe(program)
            now_s = time.monotonic()
            taken = {**host.take(), **(own.take(now_s) if own else {}), **(gpu.take(program) if gpu else {})}
            stream.write(
                ",".join(
                    [f"{now_s:.4f}", *(f"{taken[name]:.2f}" if name in taken else "" for name in QUANTITIES)]
                )
                + "\n"
            )
            told = _heard(pipe, options.interval_s)


def _heard(pipe: Connection, patience_s: float) -> int | None:
    """What the judge says within some seconds, if anything; a judge that is gone says to stop."""
    try:
        return int(pipe.recv()) if pipe.poll(patience_s) else None
    except (EOFError, OSError):
        return STOP


def _program(pid: int, container: bool) -> Program:
    cgroup = _quietly(lambda: Cgroup(pid)) if container else None
    # A container without a control group of its own is in ours; its files would tell of the judge too.
    return ProcessTree(pid) if cgroup is None or cgroup.holds(os.getpid()) else cgroup


def _quietly(make: Callable[[], Thing]) -> Thing | None:
    """What a call makes, or None where the thing is not there (any more)."""
    try:
        return make()
    except (OSError, ValueError, KeyError, NoGpuError, psutil.Error):
        return None
