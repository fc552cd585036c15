"""Sources of samples: NVML for the GPU, psutil for the host, cgroups or processes for a program's own share.

A probe returns the quantities that it could read; others are missing from its answer and become lost values.
"""

import importlib
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil  # type: ignore[import-untyped]

from eval.measuring.trace import (
    CPU,
    EXACT_CPU,
    GPU,
    GPU_USE,
    KERNEL_PEAK_MB,
    OOM_KILLS,
    OWN_CPU,
    OWN_CPU_S,
    OWN_GPU,
    OWN_RAM,
    RAM,
)
from model.units import MIB

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
BUSY, RESTING = ("user", "nice", "system", "irq", "softirq", "steal"), ("idle", "iowait")
"""Kinds of processor time; that of guests is in `user` and `nice`."""
HIDDEN_MB = 64.0
"""If a device's memory has grown by this much and no process is listed, the list is hidden."""


class NoGpuError(Exception):
    """The GPU cannot be measured; the message says why in one line."""


class Program(Protocol):
    """The program that is measured."""

    def memory_mb(self) -> float:
        """RAM in MiB that it holds, without caches that the system could drop at any time."""
        ...

    def cpu_s(self) -> float:
        """Processor seconds that all its processes together have taken since it started."""
        ...

    def holds(self, pid: int) -> bool:
        """Whether a process of this machine belongs to it."""
        ...

    def counters(self) -> Mapping[str, float]:
        """What the kernel has counted for it since its start, by the names in `eval.measuring.trace`."""
        ...


class ProcessTree:
    """A process and its descendants; memory that several of them share counts once for each."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu_s: dict[int, tuple[int, float]] = {}
        """Process to its parent and the seconds of it and of its children that have ended."""
        self._orphans_s = 0.0
        self._total_s = 0.0
        self._processes: list[Any] = []

    def memory_mb(self) -> float:
        """Sum of the resident memory in MiB of the processes that exist now; other answers refer to them."""
        total = 0
        try:
            self._processes = [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            self._processes = []
        for process in self._processes:
            with suppress(psutil.Error):
                total += process.memory_info().rss
        return total / MIB

    def cpu_s(self) -> float:
        """Sum of the processor seconds of all processes, also of those that lived shorter than a sample.

        A process that has ended is among its parent's `children`; one whose parent has ended before it counts
        with what it had when last seen.
        """
        now: dict[int, tuple[int, float]] = {}
        for process in self._processes:
            with suppress(psutil.Error):
                times = process.cpu_times()
                spent = times.user + times.system + times.children_user + times.children_system
                now[process.pid] = (process.ppid(), float(spent))
        gone = self._cpu_s.keys() - now.keys()
        self._orphans_s += sum(self._cpu_s[pid][1] for pid in gone if self._cpu_s[pid][0] not in now)
        self._cpu_s = now
        # Between a process's end and its parent's notice of it, its seconds are in nobody's account.
        self._total_s = max(self._total_s, self._orphans_s + sum(spent for _, spent in now.values()))
        return self._total_s

    def counters(self) -> Mapping[str, float]:
        """Its processor seconds when last read."""
        return {OWN_CPU_S: self._total_s}

    def holds(self, pid: int) -> bool:
        """Whether the process was one of them when memory was last read."""
        return any(process.pid == pid for process in self._processes)


class Cgroup:
    """A container, read from the kernel's files of its control group (version 1 or 2).

    Raises:
        OSError: the process has ended or the files cannot be read.
    """

    def __init__(self, pid: int, cgroups: Path = CGROUPS, proc: Path = PROC) -> None:
        self._proc = proc
        self._line = _lines(proc / str(pid) / "cgroup")
        paths = {
            name: path
            for _, names, path in (line.split(":", 2) for line in self._line)
            for name in names.split(",")
        }
        unified = cgroups / paths.get("", "/").lstrip("/")
        self._version = 2 if (unified / "memory.current").is_file() else 1
        self._memory = (
            unified if self._version == 2 else cgroups / "memory" / paths.get("memory", "/").lstrip("/")
        )
        self._cpu = (
            unified if self._version == 2 else cgroups / "cpuacct" / paths.get("cpuacct", "/").lstrip("/")
        )
        self.memory_mb()
        self.cpu_s()

    def memory_mb(self) -> float:
        """MiB that count towards the container's limit, less unused file cache, as in `docker stats`."""
        used, cache = (
            ("memory.current", "inactive_file")
            if self._version == 2
            else ("memory.usage_in_bytes", "total_inactive_file")
        )
        statistics = dict(line.split() for line in _lines(self._memory / "memory.stat"))
        return max(_number(self._memory / used) - int(statistics.get(cache, 0)), 0) / MIB

    def cpu_s(self) -> float:
        """Processor seconds of everything that has run in the container."""
        if self._version == 1:
            return _number(self._cpu / "cpuacct.usage") / 1e9
        return int(dict(line.split() for line in _lines(self._cpu / "cpu.stat"))["usage_usec"]) / 1e6

    def counters(self) -> Mapping[str, float]:
        """Processor seconds, highest memory in MiB (with file cache), and processes killed for memory."""
        peak = "memory.peak" if self._version == 2 else "memory.max_usage_in_bytes"
        events = "memory.events" if self._version == 2 else "memory.oom_control"
        found = {}
        with suppress(OSError, ValueError, KeyError):
            found[OWN_CPU_S] = self.cpu_s()
        with suppress(OSError, ValueError):
            found[KERNEL_PEAK_MB] = _number(self._memory / peak) / MIB
        with suppress(OSError, ValueError, KeyError):
            found[OOM_KILLS] = float(dict(line.split() for line in _lines(self._memory / events))["oom_kill"])
        return found

    def holds(self, pid: int) -> bool:
        """Whether the process is in the same control groups."""
        try:
            return _lines(self._proc / str(pid) / "cgroup") == self._line
        except OSError:
            return False


def machine_oom_kills(proc: Path = PROC) -> int | None:
    """Processes that the kernel has killed for memory since it started, in any container or none.

    None where the kernel does not count them (before Linux 4.13).
    """
    with suppress(OSError):
        for line in _lines(proc / "vmstat"):
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def _number(path: Path) -> int:
    return int(path.read_text(encoding="utf-8"))


class ProgramProbe:
    """A program's own RAM and CPU."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._before: tuple[float, float] | None = None

    def take(self, now_s: float) -> Mapping[str, float]:
        """RAM in MiB, and CPU since the last sample in percent of one processor (400: four are busy)."""
        taken = {}
        try:
            taken[OWN_RAM] = self._program.memory_mb()
            cpu_s = self._program.cpu_s()
        except (OSError, ValueError, KeyError, psutil.Error):
            return {}
        if self._before is not None and now_s > self._before[0]:
            taken[OWN_CPU] = max(100.0 * (cpu_s - self._before[1]) / (now_s - self._before[0]), 0.0)
        self._before = (now_s, cpu_s)
        return taken


class HostProbe:
    """CPU and RAM of the whole host, as the organisers compute them, and the exact CPU beside theirs."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def take(self) -> Mapping[str, float]:
        """CPU in percent of all processors since the last sample, and used RAM in MiB.

        The organisers add 0.1 s to the time, which avoids a division by 0 and counts as work, and know three
        kinds of time. The exact figure counts all kinds; it is missing where no time has passed.
        """
        before, now = self._before, psutil.cpu_times()
        self._before = now
        spent = [now.user - before.user, now.system - before.system, now.idle - before.idle]
        taken = {
            CPU: 100.0 - 100.0 * spent[2] / (sum(spent) + 0.1),
            RAM: psutil.virtual_memory().used / MIB,
        }
        busy, resting = (sum(_passed(before, now, kind) for kind in kinds) for kinds in (BUSY, RESTING))
        if busy + resting > 0:
            taken[EXACT_CPU] = 100.0 * busy / (busy + resting)
        return taken


def _passed(before: object, now: object, kind: str) -> float:
    """Seconds of one kind between two answers of psutil; 0 for a kind that this system does not tell."""
    # The kernel's time of waiting for disks may go back by a little.
    return max(float(getattr(now, kind, 0.0)) - float(getattr(before, kind, 0.0)), 0.0)


@dataclass(frozen=True, kw_only=True)
class GpuFacts:
    """What a GPU is."""

    name: str
    memory_mb: float
    """MiB in all."""
    driver: str
    """Version of NVIDIA's driver."""


class GpuProbe:
    """One GPU, through NVML.

    Raises:
        NoGpuError: there is no driver, no such GPU, or no package for NVML.
    """

    def __init__(self, gpu: str, nvml_module: str = "pynvml") -> None:
        """Open a GPU by its index, as `nvidia-smi` counts, or by its UUID."""
        try:
            self._nvml = importlib.import_module(nvml_module)
        except ModuleNotFoundError as error:
            raise NoGpuError(
                f"GPU {gpu} cannot be watched: nvidia-ml-py is not installed (make .venv sets it up)"
            ) from error
        try:
            self._nvml.nvmlInit()
            self._device = (
                self._nvml.nvmlDeviceGetHandleByIndex(int(gpu))
                if gpu.isdecimal()
                else self._nvml.nvmlDeviceGetHandleByUUID(gpu)
            )
        except self._nvml.NVMLError as error:
            raise NoGpuError(f"GPU {gpu} cannot be watched: {error}") from error
        self._least_mb = math.inf
        self.why_not_own = ""
        """Why the program's share was not known at the last sample, in one line; empty if it was."""

    def facts(self) -> GpuFacts:
        """What the GPU is.

        Raises:
            NoGpuError: the driver does not say.
        """
        nvml, device = self._nvml, self._device
        try:
            return GpuFacts(
                name=str(nvml.nvmlDeviceGetName(device)),
                memory_mb=float(nvml.nvmlDeviceGetMemoryInfo(device).total) / MIB,
                driver=str(nvml.nvmlSystemGetDriverVersion()),
            )
        except nvml.NVMLError as error:
            raise NoGpuError(f"the driver does not say what the GPU is: {error}") from error

    def take(self, program: Program | None) -> Mapping[str, float]:
        """MiB that the device and the program's processes hold, and utilization of the device in percent."""
        taken: dict[str, float] = {}
        readers: dict[str, Callable[[], float | None]] = {
            GPU: self._memory_mb,
            GPU_USE: self._utilization,
            OWN_GPU: lambda: self._own_mb(program),
        }
        for name, read in readers.items():
            try:
                value = read()
            except self._nvml.NVMLError:
                continue
            if value is not None:
                taken[name] = value
        return taken

    def _memory_mb(self) -> float:
        memory = self._nvml.nvmlDeviceGetMemoryInfo(self._device)
        used_mb = float(memory.total - memory.free) / MIB
        self._least_mb = min(self._least_mb, used_mb)
        return used_mb

    def _utilization(self) -> float:
        return float(self._nvml.nvmlDeviceGetUtilizationRates(self._device).gpu)

    def _own_mb(self, program: Program | None) -> float | None:
        if program is None:
            return None
        listed = self._nvml.nvmlDeviceGetComputeRunningProcesses(self._device)
        own = [process for process in listed if program.holds(process.pid)]
        self.why_not_own = ""
        if any(process.usedGpuMemory is None for process in own):
            self.why_not_own = "the driver does not tell what a process holds"
        elif not own and any(not psutil.pid_exists(process.pid) for process in listed):
            self.why_not_own = "the driver lists processes by the numbers of another PID namespace"
        elif not listed and self._memory_mb() > self._least_mb + HIDDEN_MB:
            self.why_not_own = "the driver lists no process, though memory is in use"
        return None if self.why_not_own else float(sum(process.usedGpuMemory for process in own)) / MIB
