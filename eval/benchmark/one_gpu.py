"""What benchmarks of one NVIDIA GPU have in common: choosing it, and reading what a process did on it."""

import os
from pathlib import Path

from eval.benchmark.cold_runs import Json
from eval.eval_errors import JudgingError
from eval.measuring.container_log import complaint
from eval.measuring.sampler import why_no_gpu
from eval.measuring.trace import GPU, OWN_GPU, Trace


def use_gpu(gpu: str, what: str) -> None:
    """Let every process that is started from now on compute on a GPU that can be watched.

    Args:
        gpu: its index, as `nvidia-smi` counts, or its UUID.
        what: that needs it, for the message.

    Raises:
        JudgingError: it cannot be watched.
    """
    problem = why_no_gpu(gpu)
    if problem:
        raise JudgingError(f"{what} needs an NVIDIA GPU: {problem}")
    # CUDA by itself may count GPUs in another order than NVML.
    os.environ |= {"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def gpu_peak_mb(trace: Trace) -> float:
    """Most GPU memory in MiB of a run's own processes; NaN where none was read.

    Inside a container the driver does not tell whose memory it is: then all that was added counts.
    """
    if trace.has(OWN_GPU):
        return trace.peak(OWN_GPU)
    return trace.peak(GPU) - trace.baseline(GPU)


def failure(record: Json, log: Path) -> str:
    """Why a process failed, in a line; empty if it did not.

    Args:
        record: of the process, see `cold_runs.do`.
        log: what it said.
    """
    if not record["exit_code"]:
        return ""
    if record["stopped"]:
        return str(record["stopped"])
    said = log.read_text(encoding="utf-8", errors="replace")
    if not said.strip():
        return f"exit code {record['exit_code']}"
    return complaint(said).removeprefix("error: ")
