"""The result of running one case: how it ended, and the time and memory that it took."""

from dataclasses import dataclass
from enum import StrEnum

from eval.measuring.trace import Trace


class Status(StrEnum):
    """How a case ended; all but `ok` are scored as if there were no label map."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out of memory"
    NO_OUTPUT = "no output"
    INVALID_OUTPUT = "invalid output"


@dataclass(frozen=True, kw_only=True)
class CaseEfficiency:
    """The run of one case."""

    name: str
    """Name of the label map, as in score tables."""
    status: Status
    """How it ended."""
    exit_code: int | None
    """Exit code of the program; None if it was stopped."""
    remark: str
    """The fault in one line; empty if there was none."""
    trace: Trace
    """Samples of what it used over time."""
    stable_gpu_peak: bool = False
    """Whether the peak of GPU memory is the highest stable value, as FLARE22 had it."""
    left_container: str = ""
    """Name of its container, if that may still be running because docker did not remove it."""


def sampling_remark(trace: Trace) -> str:
    """A remark on gaps in the samples, for those who read the figures; empty if there are none."""
    if trace.stopped_after_s is None:
        return "; ".join(trace.remarks)
    after, whole = f"{trace.stopped_after_s:.1f} s", f"{trace.duration_s:.1f} s"
    return f"the sampler stopped {after} into {whole}: no figures but the time"
