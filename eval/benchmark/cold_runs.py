"""One run of a program in a new process: its time and memory, and a record on disk.

The records let an interrupted benchmark continue where it stopped.
"""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from eval import files
from eval.eval_errors import JudgingError
from eval.machine import free_memory_bytes
from eval.measuring.sampler import Sampler, SamplerOptions
from eval.measuring.trace import OWN_RAM, Trace, write_trace
from model.units import MIB

LOOK_S = 0.05
"""Seconds of sleep between looks at the run's limits."""
SAMPLE_S = 0.2
"""Seconds of sleep between samples of memory; sampling takes time of the processors that are measured."""
SPARE_MB = 1024.0
"""Free memory in MiB that a run may not use, so that the rest of the machine keeps working."""
Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits beyond which a run is stopped."""

    memory_mb: float
    """Resident memory of the process in MiB."""
    seconds: float
    """Wall time."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Time and memory of a run."""

    exit_code: int
    """Exit code of the process; negative if a signal ended it."""
    wall_s: float
    """Seconds from before the process was started until it had ended."""
    cpu_s: float
    """User and system seconds of the process and of the processes that it waited for."""
    peak_mb: float
    """Largest resident memory of all its processes together, in MiB."""
    stopped: str
    """Why it was stopped; empty if it ended by itself."""
    others: float
    """Number of processors that other programs kept busy meanwhile, on average, which makes a run slower."""


def free_limits(seconds: float) -> Limits:
    """Limits of a run: the memory that is free now, less a reserve, and some seconds."""
    return Limits(memory_mb=free_memory_bytes() / MIB - SPARE_MB, seconds=seconds)


def measure(
    command: Sequence[str], limits: Limits, log: Path, cwd: Path, gpu: str | None = None
) -> tuple[Measured, Trace]:
    """Run a command, with its output going to a file, and measure it, and a GPU if one is named.

    Raises:
        JudgingError: it cannot be started.
    """
    with Sampler(SamplerOptions(gpu=gpu, interval_s=SAMPLE_S)) as sampler, log.open("wb") as output:
        start_s, busy_s = time.monotonic(), _busy_s()
        try:
            program = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=cwd
            )
        except OSError as error:
            raise JudgingError(f"{command[0]}: cannot be started ({error.strerror})") from error
        sampler.watch(program.pid)
        try:
            cpu_s, own_peak_mb, stopped = _wait(program, start_s, limits)
        finally:
            if program.returncode is None:
                program.kill()
                program.wait()
        end_s, busy_s = time.monotonic(), _busy_s() - busy_s
    trace = sampler.trace(start_s, end_s)
    sampled_mb = trace.peak(OWN_RAM) if trace.has(OWN_RAM) else 0.0
    measured = Measured(
        exit_code=int(program.returncode),
        wall_s=end_s - start_s,
        cpu_s=cpu_s,
        peak_mb=max(own_peak_mb, sampled_mb),
        stopped=stopped,
        others=max(0.0, busy_s - cpu_s) / (end_s - start_s),
    )
    return measured, trace


def _busy_s() -> float:
    """Seconds for which all processors together have been busy since the machine started."""
    times = psutil.cpu_times()
    return float(
        sum(times)
        - times.idle
        - getattr(times, "iowait", 0.0)
        - getattr(times, "guest", 0.0)
        - getattr(times, "guest_nice", 0.0)
    )


def _wait(program: "subprocess.Popen[bytes]", start_s: float, limits: Limits) -> tuple[float, float, str]:
    """CPU seconds of a run, peak MiB of the process itself, and why it was stopped."""
    peak_mb, stopped = 0.0, ""
    while True:
        pid, status, usage = os.wait4(program.pid, os.WNOHANG)
        if pid:
            program.returncode = os.waitstatus_to_exitcode(status)
            return usage.ru_utime + usage.ru_stime, peak_mb, stopped
        held_mb, high_mb = _resident_mb(program.pid)
        # A program may reset its peak, so the highest value that was ever read counts.
        peak_mb = max(peak_mb, high_mb)
        if not stopped and held_mb > limits.memory_mb:
            stopped = f"out of memory: held {held_mb:.0f} MiB, {limits.memory_mb:.0f} MiB were free"
            program.kill()
        if not stopped and time.monotonic() - start_s > limits.seconds:
            stopped = f"longer than {limits.seconds:.0f} s"
            program.kill()
        time.sleep(LOOK_S)


def _resident_mb(pid: int) -> tuple[float, float]:
    """MiB that a process holds now, and its peak; zeros if the system does not show them."""
    fields = {"VmRSS": 0.0, "VmHWM": 0.0}
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name in fields:
                fields[name] = int(value.split()[0]) / 1024
    return fields["VmRSS"], fields["VmHWM"]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run to make, and the files of its record."""

    folder: Path
    """Folder of the record."""
    name: str
    """Name of the record, unlike that of every other task."""
    about: Json
    """Everything that the run depends on; a record with other values is not that of this task."""
    command: Sequence[str]
    """Command line."""
    report: Path
    """JSON file that the command may write."""
    cwd: Path
    """Folder in which the command runs."""
    gpu: str | None = None
    """Index or UUID of a GPU that is measured, too."""

    @property
    def record_path(self) -> Path:
        """File of the record."""
        return self.folder / f"{self.name}.json"

    @property
    def trace_path(self) -> Path:
        """File of the samples."""
        return self.folder / f"{self.name}.csv"

    def record(self) -> Json | None:
        """The record of the run; None if it was not made yet."""
        try:
            record: Json = json.loads(self.record_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if record.get("about") == self.about else None


def do(task: Task, seconds: float) -> Json:
    """The record of a task; the task is run first if it has none."""
    record = task.record()
    if record is not None:
        return record
    task.folder.mkdir(parents=True, exist_ok=True)
    task.report.unlink(missing_ok=True)
    log = task.folder / f"{task.name}.log"
    measured, trace = measure(task.command, free_limits(seconds), log, task.cwd, task.gpu)
    record = {
        "about": task.about,
        "command": list(task.command),
        **asdict(measured),
        "report": _read_report(task.report),
    }
    write_trace(task.trace_path, trace)
    write_json(task.record_path, record)
    return record


def write_json(path: Path, document: Json) -> None:
    """Write a record, whole or not at all."""
    files.write_json(path, document, indent=2)


def _read_report(path: Path) -> Json:
    try:
        report: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report
