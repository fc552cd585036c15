"""NVML as far as `eval.measuring.probes` calls it, with one GPU of 8 GiB: index 0, UUID GPU-fake.

Every fifth memory query fails, the device holds 1 GiB for somebody else, and each process that exists holds
256 MiB.
"""

import itertools
from pathlib import Path
from types import SimpleNamespace

MIB = 1024 * 1024
_queries = itertools.count(1)


class NVMLError(Exception):
    pass


def nvmlInit():  # noqa: N802
    pass


def nvmlDeviceGetHandleByIndex(index):  # noqa: N802
    if index != 0:
        raise NVMLError("Invalid Argument")
    return "device"


def nvmlDeviceGetHandleByUUID(uuid):  # noqa: N802
    if uuid != "GPU-fake":
        raise NVMLError("Not Found")
    return "device"


def nvmlDeviceGetMemoryInfo(_):  # noqa: N802
    if next(_queries) % 5 == 0:
        raise NVMLError("GPU is lost")
    return SimpleNamespace(total=8192 * MIB, free=7168 * MIB)


def nvmlDeviceGetUtilizationRates(_):  # noqa: N802
    return SimpleNamespace(gpu=42)


def nvmlDeviceGetComputeRunningProcesses(_):  # noqa: N802
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]
    return [SimpleNamespace(pid=pid, usedGpuMemory=256 * MIB) for pid in pids]


def nvmlDeviceGetName(_):  # noqa: N802
    return "NVIDIA Fake 8"


def nvmlSystemGetDriverVersion():  # noqa: N802
    return "580.65.06"
