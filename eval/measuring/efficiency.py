"""How the run of a case ended and what it took."""

from dataclasses import dataclass
from enum import StrEnum

from eval.measuring.trace import Trace


class Status(StrEnum):
    """How a case ended; all but `ok` score as if there were no label map."""

    OK = "ok"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out of memory"
    NO_OUTPUT = "no output"
    INVALID_OUTPUT = "invalid output"


@dataclass(frozen=True, kw_only=True)
class CaseEfficiency:
    """One case."""

    name: str
    """Name of the label map, as in score tables."""
    status: Status
    exit_code: int | None
    """None if the program was stopped."""
    remark: str
    """What was wrong, in one line; empty if nothing was."""
    trace: Trace


def sampling_remark(trace: Trace) -> str:
    """What a reader of the figures must know about how they were sampled; empty if nothing."""
    if trace.stopped_after_s is None:
        return ""
    return f"the sampler stopped {trace.stopped_after_s:.1f} s into {trace.duration_s:.1f} s: no figures but the time"
