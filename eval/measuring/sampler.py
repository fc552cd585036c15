"""A sampler in a process of its own, so that no work of this process delays a sample.

It writes each sample to a file as soon as it is taken, so that samples survive whatever happens to the
sampler. Times are those of the system's monotonic clock, which all processes share.
"""

import os
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
from eval.measuring.trace import COUNTER, INTERVAL_S, QUANTITIES, REMARK, Trace, parse_samples
from leanseg.worker_start import begin_worker, starting_workers

Thing = TypeVar("Thing")

BASELINE_S = 0.5
"""Seconds of sampling before the command starts."""
STOP = 0
"""Message that stops the sampler; any other number is a process to watch."""
START_S = 60.0
"""Longest wait for the sampler's first sample."""


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """Options of a sampler."""

    gpu: str | None = None
    """Index or UUID of the GPU to measure; None for none."""
    container: bool = False
    """Whether the program is a container: everything in the control group of its first process. Otherwise it
    is that process and its descendants."""
    interval_s: float = INTERVAL_S
    """Seconds of sleep between samples."""
    nvml_module: str = "pynvml"
    """Module that gives access to NVML."""


def why_no_gpu(gpu: str, nvml_module: str = "pynvml") -> str | None:
    """The reason why a GPU cannot be measured, in one line; None if it can."""
    try:
        GpuProbe(gpu, nvml_module)
    except NoGpuError as error:
        return str(error)
    return None


@dataclass
class Sampler:
    """Takes samples while its `with` block runs; afterwards `trace` returns them.

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
        # A pipe and no event or shared value: those block for ever if a process is killed while it holds
        # them.
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=sample, args=(self.options, self._path, other), daemon=True)
        with starting_workers():
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
        """Id of the sampler's own process."""
        return self._process.pid

    def watch(self, pid: int) -> None:
        """Let the sampler measure a program from now on; `pid` is its first process."""
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
        """The samples of a run, with times counted from `start_s`; to be called after the block."""
        return parse_samples(self._samples, start_s, end_s)


def sample(options: SamplerOptions, path: Path, pipe: Connection) -> None:
    """Take samples until the message to stop comes, or the process that would send it has ended.

    This runs in a process of its own.
    """
    begin_worker()  # The parent decides when sampling ends.
    host, gpu = (
        HostProbe(),
        _quietly(lambda: GpuProbe(options.gpu, options.nvml_module) if options.gpu is not None else None),
    )
    program: Program | None = None
    own: ProgramProbe | None = None
    message: int | None = None
    with path.open("a", encoding="utf-8", buffering=1) as stream:
        pipe.send(os.getpid())
        while message != STOP:
            if message is not None:
                program = _quietly(partial(_program, message, options.container))
                own = None if program is None else ProgramProbe(program)
            now_s = time.monotonic()
            taken = {**host.take(), **(own.take(now_s) if own else {}), **(gpu.take(program) if gpu else {})}
            stream.write(
                ",".join(
                    [f"{now_s:.4f}", *(f"{taken[name]:.2f}" if name in taken else "" for name in QUANTITIES)]
                )
                + "\n"
            )
            if program:
                stream.writelines(
                    f"{COUNTER}{name},{value:.3f}\n" for name, value in program.counters().items()
                )
            if gpu and gpu.why_not_own:
                stream.write(f"{REMARK}own GPU memory is not known: {gpu.why_not_own}\n")
            message = _heard(pipe, options.interval_s)


def _heard(pipe: Connection, patience_s: float) -> int | None:
    """The message that arrives within some seconds, if any; `STOP` if the sender has ended."""
    try:
        return int(pipe.recv()) if pipe.poll(patience_s) else None
    except (EOFError, OSError):
        return STOP


def _program(pid: int, container: bool) -> Program:
    cgroup = _quietly(lambda: Cgroup(pid)) if container else None
    # A container without a control group of its own is in ours, whose files include this program.
    return ProcessTree(pid) if cgroup is None or cgroup.holds(os.getpid()) else cgroup


def _quietly(make: Callable[[], Thing]) -> Thing | None:
    """The result of a call; None if what it opens does not exist, or no longer."""
    try:
        return make()
    except (OSError, ValueError, KeyError, NoGpuError, psutil.Error):
        return None
