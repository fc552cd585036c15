"""What became of a case: a value that can travel between processes and knows nothing of consoles."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from inference.cohort.cases import Case
from inference.errors import one_line, printable
from inference.geometry import Geometry
from inference.predictor import Segmented
from inference.timing import Timings

Status = Literal["not run", "segmented", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one case."""

    case: Case
    status: Status
    error: str | None = None
    """Why it failed, on one printable line."""
    ends_run: bool = False
    """Its failure ends the run and is raised too, so that whoever called says why."""
    trace: str = ""
    """The traceback of a failure that is a fault of the program; empty for others."""
    warnings: tuple[str, ...] = ()
    timings: Timings = field(default_factory=Timings)
    geometry: Geometry | None = None
    """The image's grid; None where its header was not read."""
    account: Mapping[str, object] = field(default_factory=dict)
    """How it was run: plan, region, windows, peak; JSON values."""

    @property
    def seconds(self) -> float:
        """Seconds of all stages together."""
        return sum(self.timings.seconds.values())


def account_of(segmented: Segmented) -> dict[str, object]:
    """How a case was run, in JSON values."""
    region, windows = segmented.region, segmented.windows
    return {
        "plan": segmented.plan.as_json(),
        "region": [list(region.start_zyx), list(region.stop_zyx)],
        "windows_run": windows.run,
        "windows_skipped": windows.skipped,
        "host_peak_mb": round(segmented.host_peak_mb),
    }


def failed(case: Case, reason: str) -> Outcome:
    """The outcome of a case that cannot be segmented, known before it is read."""
    return Outcome(case=case, status="failed", error=printable(reason))


def naming(case: Case, error: BaseException) -> str:
    """An error's message on one line, with the case's path in front where it does not name it itself."""
    paths, message = [printable(str(path)) for path in case.paths], one_line(error)
    return message if any(path in message for path in paths) else f"{paths[0]}: {message}"


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 if no case failed, else 1."""
    return int(any(outcome.status == "failed" for outcome in outcomes))


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """`3 cases: 2 segmented, 1 failed; 12.3 s`."""
    counts = Counter(outcome.status for outcome in outcomes)
    shown: tuple[Status, ...] = ("segmented", "failed", "skipped")
    parts = ", ".join(f"{counts[status]} {status}" for status in shown if counts[status])
    return f"{len(outcomes)} case{'s' * (len(outcomes) != 1)}: {parts}; {seconds:.1f} s"
