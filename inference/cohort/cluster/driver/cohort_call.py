"""What a user asks of a cohort run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inference.call import DicomFormat
from inference.limits import MOST_GPU_MB


@dataclass(frozen=True, kw_only=True)
class CohortCall:
    """One call of `python -m inference cohort`; each field is the option of the same name."""

    input: str
    output: str
    bundle: Path
    address: str = "none"
    """`none`, `local`, `auto` or `HOST:PORT`."""
    workers: int | None = None
    """None: as many as there is room for."""
    gpus_per_worker: float = 1.0
    cpus_per_worker: int | None = None
    """None: a fair share of the machine's, four at most on a cluster."""
    host_memory_mb: int | None = None
    """Of a worker; None: what `predict.py` takes at most."""
    gpu_memory_mb: int = MOST_GPU_MB
    """Of a worker."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32"] = "auto"
    retries: int = 2
    resume: bool = False
    retry_failed: bool = False
    """With `resume`: try those that failed once more."""
    part: tuple[int, int] | None = None
    """Which of how many parts of the cohort, from 1."""
    format: tuple[DicomFormat, ...] = ()
    """What is written beside each label map."""
    statistics: Path | None = None
    report: Path | None = None
