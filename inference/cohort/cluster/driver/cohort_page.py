"""A page about a cohort: failures, doubtful results, warnings of images, organs of odd size, volumes, times.

One file that needs no other and no network. Volumes are compared within the cohort, organ by organ, by how
many robust deviations a case lies from the median (Iglewicz and Hoaglin 1993: 0.6745 (x - median) / MAD).
Cases in which an organ was not found, or mere crumbs of it, have no volume to compare.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from inference.cohort.cluster.driver.live_view import duration
from inference.cohort.cluster.fates import Fate
from model.arrays import F64, Mask
from model.case_names import printable
from model.organ_counts import ml_in_words

ODD = 3.5
"""Robust deviations from which on a volume is called odd, as Iglewicz and Hoaglin suggest."""
SHOWN = 100
"""Rows of a table at most: the rest is in outcomes.csv."""
FEW = 5
"""Cases below which no volume is called odd."""
TEXTS = {"why", "look at", "warning", "organ"}
"""Heads of columns that hold text and stand on the left, as the first column does; others hold figures."""
STYLE = """
:root { color-scheme: light dark; --faint: #596373; --line: #ddd; --dot: #47a; --doubt: #a85a00 }
@media (prefers-color-scheme: dark) {
  :root { --faint: #9aa4b2; --line: #2a313b; --dot: #8ab4ff; --doubt: #ffb454 }
  body { background: #0b0d10; color: #eceff3 }
}
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 66rem; padding: 0 1rem }
h1, p, td.text { overflow-wrap: anywhere }
div { overflow-x: auto; margin: .5rem 0 1.5rem }
table { border-collapse: collapse }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid var(--line) }
th:first-child, td:first-child, th.text, td.text { text-align: left }
td.text { min-width: 8rem }
td:not(.text) { white-space: nowrap }
svg { display: block } circle { fill: var(--dot); fill-opacity: .45 } p.note { color: var(--faint) }
circle.doubtful { fill: none; stroke: var(--doubt); stroke-width: 2 }
line { stroke: var(--line) } text { font-size: 11px; fill: var(--faint) }
"""


@dataclass(kw_only=True)
class PageFigures:
    """What the page needs of all outcomes; grows by a few numbers a case."""

    structures: Sequence[str]
    counts: dict[str, int] = field(default_factory=lambda: {"segmented": 0, "failed": 0, "skipped": 0})
    failures: list[Fate] = field(default_factory=list)
    """The first of them."""
    doubtful: list[Fate] = field(default_factory=list)
    """The first of them."""
    doubtful_count: int = 0
    warned: list[Fate] = field(default_factory=list)
    """The first of those of whose images something was said."""
    warned_count: int = 0
    without_organs: int = 0
    """Cases with a label map whose outcome has no figures of organs."""
    cases: list[str] = field(default_factory=list)
    """Those that were segmented."""
    is_doubtful: list[bool] = field(default_factory=list)
    """Whether the result of each of them is."""
    seconds: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    volumes_ml: dict[str, list[float]] = field(default_factory=dict)
    """Of each structure one number a case, 0 where it was not found, or mere crumbs of it."""

    def add(self, fate: Fate) -> None:
        """One more outcome."""
        self.counts[fate.status] += 1
        if fate.status == "failed" and len(self.failures) < SHOWN:
            self.failures.append(fate)
        self.without_organs += fate.organs is None and fate.status != "failed"
        if fate.warnings:
            self.warned_count += 1
            self.warned += [fate] if len(self.warned) < SHOWN else []
        if fate.status != "segmented":
            return
        if fate.doubts:
            self.doubtful_count += 1
            self.doubtful += [fate] if len(self.doubtful) < SHOWN else []
        self.cases.append(fate.case)
        self.is_doubtful.append(bool(fate.doubts))
        self.seconds.append(fate.total_s)
        for stage, taken_s in fate.seconds.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + taken_s
        for structure in self.structures:
            found_ml = 0.0 if structure in fate.crumbs else fate.volumes_ml.get(structure, 0.0)
            self.volumes_ml.setdefault(structure, []).append(found_ml)


def odd_volumes(figures: PageFigures) -> list[tuple[float, str, str, float, float]]:
    """Volumes far from the cohort's, the farthest first.

    Returns:
        Robust deviations, case, structure, its mL, the median mL.
    """
    found = []
    for structure, listed in figures.volumes_ml.items():
        volumes = np.array(listed)
        held = volumes[volumes > 0]
        if len(held) < FEW:
            continue
        median = float(np.median(held))
        spread = float(np.median(np.abs(held - median)))
        if spread == 0:
            continue
        deviations = 0.6745 * (volumes - median) / spread
        for index in np.flatnonzero((np.abs(deviations) > ODD) & (volumes > 0)):
            case = figures.cases[index]
            found.append((float(deviations[index]), case, structure, float(volumes[index]), median))
    return sorted(found, key=lambda row: -abs(row[0]))


def page_of(figures: PageFigures, title: str, made_by: str) -> str:
    """The page as HTML.

    Args:
        figures: of all outcomes.
        title: its heading.
        made_by: when and by what the cohort was segmented, on a line.
    """
    doubtful = f" ({figures.doubtful_count} doubtful)" if figures.doubtful_count else ""
    counts = {f"{name}{doubtful * (name == 'segmented')}": count for name, count in figures.counts.items()}
    parts = [
        f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title>"
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style>",
        f"<h1>{escape(printable(title))}</h1>",
        "<p>" + ", ".join(f"{count} {name}" for name, count in counts.items() if count) + "</p>",
        f'<p class="note">{escape(printable(made_by))}. Not a medical device.</p>',
        *_failures(figures),
        *_doubtful(figures),
        *_warned(figures),
        *_odd(figures),
        *_volumes(figures),
        *_times(figures),
    ]
    return "\n".join(parts) + "\n"


def _failures(figures: PageFigures) -> Iterable[str]:
    if figures.failures:
        rows = [(fate.case, fate.reason, str(fate.tries)) for fate in figures.failures]
        yield "<h2>Failures</h2>"
        yield _table(("case", "why", "tries"), rows, figures.counts["failed"])


def _doubtful(figures: PageFigures) -> Iterable[str]:
    if figures.doubtful:
        rows = [(fate.case, "; ".join(fate.doubts)) for fate in figures.doubtful]
        yield "<h2>Doubtful results</h2>"
        yield _table(("case", "look at"), rows, figures.doubtful_count)


def _warned(figures: PageFigures) -> Iterable[str]:
    if figures.warned:
        rows = [(fate.case, "; ".join(fate.warnings)) for fate in figures.warned]
        yield "<h2>Warnings of images</h2>"
        yield _table(("case", "warning"), rows, figures.warned_count)


def _odd(figures: PageFigures) -> Iterable[str]:
    odd = odd_volumes(figures)
    yield "<h2>Odd volumes</h2>"
    yield (
        f'<p class="note">More than {ODD} robust deviations from the cohort\'s median, the farthest first. '
        "A reason to look, not a finding: scans that show a part of the body are odd too.</p>"
    )
    rows = [
        (_marked(case, figures), structure, f"{volume:.1f}", f"{median:.1f}", f"{deviation:+.1f}")
        for deviation, case, structure, volume, median in odd[:SHOWN]
    ]
    yield (
        _table(("case", "organ", "mL", "median mL", "deviations"), rows, len(odd)) if rows else "<p>None.</p>"
    )


def _volumes(figures: PageFigures) -> Iterable[str]:
    """A line an organ: figures, and every case as a dot."""
    rings = "; doubtful ones, which count too, are rings" if figures.doubtful_count else ""
    many = f"; of more than {SHOWN} cases {SHOWN} quantiles are drawn" if len(figures.cases) > SHOWN else ""
    yield (
        '<h2>Volumes</h2><p class="note">Of the cases in which an organ was found; a dot is a case, each '
        f"organ on a scale of its own from 0 mL to its largest{rings}{many}.</p>"
        "<div><table><tr><th>organ<th>found in<th>median mL<th>5th percentile mL<th>95th percentile mL"
        '<th class="text">cases</tr>'
    )
    doubtful = np.array(figures.is_doubtful, bool)
    for structure, listed in figures.volumes_ml.items():
        volumes = np.array(listed)
        held = volumes[volumes > 0]
        low, median, high = (f"{ml:.1f}" for ml in np.percentile(held, (5, 50, 95))) if held.size else "–––"
        yield (
            f"<tr><td>{escape(structure)}<td>{held.size} of {len(volumes)}<td>{median}<td>{low}<td>{high}"
            f"<td>{_dots(held, doubtful[volumes > 0])}</tr>"
        )
    yield "</table></div>"


def _marked(case: str, figures: PageFigures) -> str:
    """A case's name, and whether its result is doubtful."""
    return f"{case} (doubtful)" if figures.is_doubtful[figures.cases.index(case)] else case


def _dots(volumes: F64, doubtful: Mask) -> str:
    """Volumes (n,) along a line from 0 to the largest, written at its end; of many, the quantiles.

    Those of doubtful (n,) cases are rings, unless they are quantiles, which are nobody's.
    """
    if not volumes.size:
        return ""
    largest = float(volumes.max())
    if len(volumes) > SHOWN:
        volumes, doubtful = np.quantile(volumes, np.linspace(0, 1, SHOWN)), np.zeros(SHOWN, bool)
    dots = "".join(
        f'<circle cx="{15 + 140 * volume / largest:.0f}" cy="8" r="4"{ring}/>'
        for volume, ring in zip(volumes, np.where(doubtful, ' class="doubtful"', ""), strict=True)
    )
    scale = f'<text x="0" y="12">0</text><text x="163" y="12">{ml_in_words(largest)} mL</text>'
    line = '<line x1="15" y1="8" x2="155" y2="8"/>'
    return f'<svg width="222" height="16" role="img">{line}{scale}{dots}</svg>'


def _times(figures: PageFigures) -> Iterable[str]:
    if not figures.seconds:
        return
    taken_s = np.array(figures.seconds)
    median, high, most = (float(each) for each in np.percentile(taken_s, (50, 95, 100)))
    yield "<h2>Times</h2>"
    yield (
        f"<p>{duration(float(taken_s.sum()))} of workers in all; a case {median:.1f} s (median), "
        f"{high:.1f} s (95th percentile), {most:.1f} s at most.</p>"
    )
    count = len(figures.seconds)
    rows = [(stage, f"{total / count:.2f}") for stage, total in figures.stages.items()]
    yield _table(("stage", "mean s"), rows, len(rows))
    slowest = sorted(zip(figures.seconds, figures.cases, strict=True), reverse=True)[:10]
    yield _table(
        ("slowest cases", "s"), [(_marked(case, figures), f"{seconds:.1f}") for seconds, case in slowest], 0
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> str:
    kinds = [' class="text"' if head in TEXTS else "" for head in heads]
    head = "".join(f"<th{kind}>{escape(each)}" for each, kind in zip(heads, kinds, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{kind}>{escape(printable(cell))}" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    )
    more = (
        f'<p class="note">{len(rows)} of {total}; all are in outcomes.csv.</p>' if total > len(rows) else ""
    )
    return f"<div><table><tr>{head}</tr>{body}</table></div>{more}"
