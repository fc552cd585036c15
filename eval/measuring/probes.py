"""Where samples come from: the GPU through NVML, the host through psutil, a program's own share through its cgroup or processes.

A probe returns what it could take; what it could not is missing from the answer and ends as a lost value.
"""

import importlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil  # type: ignore[import-untyped]

from eval.measuring.trace import CPU, GPU, GPU_USE, OWN_CPU, OWN_GPU, OWN_RAM, RAM

MIB = 1024 * 1024
CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")


class NoGpuError(Exception):
    """There is no GPU to watch; the message says why in one line."""


class Program(Protocol):
    """The program that is watched."""

    def memory_mb(self) -> float:
        """RAM that it holds, without what the system could drop at any time."""
        ...

    def cpu_s(self) -> float:
        """Processor time that it has taken since it started, all its processes together."""
        ...

    def holds(self, pid: int) -> bool:
        """Whether a process of this machine belongs to it."""
        ...


class ProcessTree:
    """A process and its descendants; a page shared by several of them counts once for each."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu_s: dict[int, float] = {}
        self._processes: list[Any] = []

    def memory_mb(self) -> float:
        """Sum of the resident memory of the processes there are now; the other answers are about these."""
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
        """Sum over the processes; one that has ended keeps what it had when last seen."""
        for process in self._processes:
            with suppress(psutil.Error):
                times = process.cpu_times()
                self._cpu_s[process.pid] = float(times.user + times.system)
        return sum(self._cpu_s.values())

    def holds(self, pid: int) -> bool:
        """Whether the process was one of them when memory was last asked for."""
        return any(process.pid == pid for process in self._processes)


class Cgroup:
    """A container, through the files that the kernel keeps on its control group (version 1 or 2).

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
        """What counts towards the container's limit, less the file cache that is not in use, as `docker stats` shows it."""
        used, cache = (
            ("memory.current", "inactive_file")
            if self._version == 2
            else ("memory.usage_in_bytes", "total_inactive_file")
        )
        statistics = dict(line.split() for line in _lines(self._memory / "memory.stat"))
        return max(int((self._memory / used).read_text()) - int(statistics.get(cache, 0)), 0) / MIB

    def cpu_s(self) -> float:
        """Processor time of all that ever ran in the container."""
        if self._version == 1:
            return int((self._cpu / "cpuacct.usage").read_text()) / 1e9
        return int(dict(line.split() for line in _lines(self._cpu / "cpu.stat"))["usage_usec"]) / 1e6

    def holds(self, pid: int) -> bool:
        """Whether the process is in the same control groups."""
        try:
            return _lines(self._proc / str(pid) / "cgroup") == self._line
        except OSError:
            return False


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


class ProgramProbe:
    """The program's own RAM and CPU."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._before: tuple[float, float] | None = None

    def take(self, now_s: float) -> Mapping[str, float]:
        """RAM in MiB, and CPU in percent of one processor since the last sample (400: four processors busy)."""
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
    """CPU and RAM of the whole host, as the organisers take them."""

    def __init__(self) -> None:
        self._before = self._times()

    @staticmethod
    def _times() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        return times.user, times.system, times.idle

    def take(self) -> Mapping[str, float]:
        """CPU: 100 − idle % since the last sample, with the organisers' 0.1 s that keep the division whole.

        RAM: used, in MiB.
        """
        now = self._times()
        spent = [after - before for after, before in zip(now, self._before, strict=True)]
        self._before = now
        return {CPU: 100.0 - 100.0 * spent[2] / (sum(spent) + 0.1), RAM: psutil.virtual_memory().used / MIB}


class GpuProbe:
    """One GPU through NVML.

    Raises:
        NoGpuError: there is no driver or no such GPU.
    """

    def __init__(self, gpu: str, nvml_module: str = "pynvml") -> None:
        """Open a GPU by its index as `nvidia-smi` counts, or by its UUID."""
        self._nvml = importlib.import_module(nvml_module)
        try:
            self._nvml.nvmlInit()
            self._device = (
                self._nvml.nvmlDeviceGetHandleByIndex(int(gpu))
                if gpu.isdecimal()
                else self._nvml.nvmlDeviceGetHandleByUUID(gpu)
            )
        except self._nvml.NVMLError as error:
            raise NoGpuError(f"GPU {gpu} cannot be watched: {error}") from error

    def take(self, program: Program | None) -> Mapping[str, float]:
        """Memory of the device and of the program's processes in MiB, and utilization in percent."""
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
        return float(memory.total - memory.free) / MIB

    def _utilization(self) -> float:
        return float(self._nvml.nvmlDeviceGetUtilizationRates(self._device).gpu)

    def _own_mb(self, program: Program | None) -> float | None:
        if program is None:
            return None
        own = [
            p for p in self._nvml.nvmlDeviceGetComputeRunningProcesses(self._device) if program.holds(p.pid)
        ]
        if any(process.usedGpuMemory is None for process in own):
            return None
        return float(sum(process.usedGpuMemory for process in own)) / MIB
