"""What became of a case: a value that can travel between processes and knows nothing of consoles."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from inference.cohort.cases import Case
from inference.errors import one_line
from inference.geometry import Geometry
from inference.planning.plan import options
from inference.segmented import Segmented
from inference.timing import Timings
from inference.trust.organ_figures import OrganFigures
from model.case_names import printable
from model.organ_counts import ml_in_words, organs_in_words, possible

MOST_DOUBTS = 4
"""Doubts of a case are told up to so many."""
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
    has_label_map: bool = False
    """It failed for what is written beside its label map, which was written."""
    trace: str = ""
    """The traceback of a failure that is a fault of the program; empty for others."""
    warnings: tuple[str, ...] = ()
    organs: tuple[OrganFigures, ...] = ()
    """What was found, structure by structure."""
    is_noise: bool = False
    """Labels are scattered like noise: organs were not counted."""
    doubts: tuple[str, ...] = ()
    """What makes the result doubtful."""
    timings: Timings = field(default_factory=Timings)
    geometry: Geometry | None = None
    """The image's grid; None where its header was not read."""
    account: Mapping[str, object] = field(default_factory=dict)
    """How it was run: plan, region, windows, peak; JSON values."""
    larger_windows_mb: tuple[int, int] | None = None
    """MiB of host and of GPU memory from which on its windows would be the largest; None where they were."""

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


def organ_figures(organs: Sequence[OrganFigures], unit: str = "") -> Iterator[dict[str, Any]]:
    """Figures of each organ in JSON values, rounded to what a reader can use.

    Args:
        organs: what was found.
        unit: of the image's values, as it ends their names: `hu` for a CT.
    """
    ending = f"_{unit}" if unit else ""
    for organ in organs:
        values = organ.values
        yield {
            "organ": organ.name,
            "label": organ.label,
            "volume_ml": round(organ.volume_ml, 3),
            "extent_zyx_mm": [round(length, 1) for length in organ.extent_zyx_mm],
            "touches_edge": organ.touches_edge,
            "crumb": organ.crumb,
            "pieces": organ.pieces,
            "agreement": None if organ.agreement is None else round(organ.agreement, 3),
            **(
                {}
                if values is None
                else {f"mean{ending}": round(values.mean, 1), f"sd{ending}": round(values.sd, 1)}
            ),
        }


def findings(outcome: Outcome, organs: Sequence[str]) -> str:
    """What a person wants to know of a result: `11 of 13 organs (no gallbladder; mere crumbs of spleen)`.

    Before that `DOUBTFUL, see the warning; `, should it be.

    Args:
        outcome: of a case that was segmented.
        organs: what could have been found, in the order of the label set.
    """
    doubtful = "DOUBTFUL, see the warning; " if outcome.doubts else ""
    if outcome.is_noise:
        return f"{doubtful}organs not counted, see the warning"
    crumbs = [organ for organ in outcome.organs if organ.crumb]
    counted = organs_in_words(
        organs,
        {organ.name for organ in outcome.organs},
        crumbs={organ.name for organ in crumbs},
        parts={organ.name for organ in crumbs if organ.touches_edge},
        cut={organ.name for organ in outcome.organs if organ.touches_edge},
    )
    lesions = [
        f"{possible(organ.name)} {ml_in_words(organ.volume_ml)} mL"
        for organ in outcome.organs
        if organ.name not in organs
    ]
    parts = [counted] if organs else []
    return doubtful + ", ".join([*parts, *lesions])


def look_at(doubts: Sequence[str], *, rest: str) -> str:
    """What is said of a doubtful result: `look at the result: liver in 2 large pieces; no spleen`.

    Args:
        doubts: one or more.
        rest: where all of them are, should they be too many to tell.
    """
    more = len(doubts) - MOST_DOUBTS
    told = [*doubts[:MOST_DOUBTS], *([f"{more} more, see {rest}"] if more > 0 else [])]
    return f"look at the result: {'; '.join(told)}"


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
    """`3 cases: 2 segmented (1 doubtful), 1 failed; 12.3 s`."""
    counts = Counter(outcome.status for outcome in outcomes)
    doubtful = sum(outcome.status == "segmented" and bool(outcome.doubts) for outcome in outcomes)
    named = {
        f"segmented{f' ({doubtful} doubtful)' if doubtful else ''}": counts["segmented"],
        "failed": counts["failed"],
        "skipped": counts["skipped"],
    }
    parts = ", ".join(f"{count} {what}" for what, count in named.items() if count)
    return f"{len(outcomes)} case{'s' * (len(outcomes) != 1)}: {parts}; {seconds:.1f} s"


def seen_in_windows(larger_windows_mb: Iterable[tuple[int, int] | None]) -> str | None:
    """That cases were cut into windows for want of memory, and what would be enough; None where none was.

    Args:
        larger_windows_mb: of each outcome, see `Outcome`.
    """
    wanted = [mb for mb in larger_windows_mb if mb]
    if not wanted:
        return None
    enough = options(*map(max, zip(*wanted, strict=True)))
    cases = "1 case was" if len(wanted) == 1 else f"{len(wanted)} cases were"
    return (
        f"{cases} cut into windows for want of memory; from {enough} on labels are other, likely better ones"
    )


def places(written: Mapping[str, object]) -> str:
    """Where results lie, as the last line of a run ends: `; labels in out; page page.html`.

    Args:
        written: what, and the path as the user typed it; None for what was not written.
    """
    return "".join(f"; {what} {printable(str(path))}" for what, path in written.items() if path is not None)
