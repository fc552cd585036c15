"""The result of running one case: how it ended, and the time and memory that it took."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    times_s: tuple[float, ...] = ()
    """Seconds of each run, of a case that was run several times and ended well each time."""


def of_runs(runs: Sequence[CaseEfficiency]) -> CaseEfficiency:
    """The result of a case from its runs, one or several: that of the run of median time.

    Of an even number of runs the slower one of the two in the middle counts, so that all figures are of one
    run. Where the last run failed, after which there is no other one, the case has failed by it.
    """
    last = runs[-1]
    if len(runs) == 1:
        return last
    if last.status is not Status.OK:
        return replace(last, remark=f"run {len(runs)}: {last.remark}")
    by_time = sorted(runs, key=lambda run: run.trace.duration_s)
    return replace(
        by_time[len(runs) // 2],
        left_container=last.left_container,
        times_s=tuple(run.trace.duration_s for run in runs),
    )


def sampling_remark(trace: Trace) -> str:
    """A remark on gaps in the samples, for those who read the figures; empty if there are none."""
    if trace.stopped_after_s is None:
        return "; ".join(trace.remarks)
    after, whole = f"{trace.stopped_after_s:.1f} s", f"{trace.duration_s:.1f} s"
    return f"the sampler stopped {after} into {whole}: no figures but the time"
