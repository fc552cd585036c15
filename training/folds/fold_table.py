"""What the folds of a cross-validation scored: structure by structure, fold by fold, mean and deviation.

A case counts for a structure that it annotates and holds. A fold's Dice is the mean over its cases; mean and
standard deviation (of a sample, n - 1) are taken over the folds, each counting the same.
"""

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from model.case_names import as_cell
from training.case_scores import Score

ALL = "mean of structures"
FOLD, MEAN = "#0072b2", "#000000"


@dataclass(frozen=True, kw_only=True)
class FoldRow:
    """One structure, or all of them."""

    structure: str
    cases: int
    """Cases of all folds that count; for all structures, those with any."""
    dice: tuple[float, ...]
    """Of each fold, 0 to 1; nan where none of its cases has the structure."""

    @property
    def mean(self) -> float:
        """Mean over the folds that have the structure; nan where none has it."""
        return _mean(self.dice)

    @property
    def deviation(self) -> float:
        """Standard deviation of a sample over these folds; nan for fewer than two."""
        held = _held(self.dice)
        return float(np.std(held, ddof=1)) if len(held) > 1 else math.nan


def _held(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _mean(values: Iterable[float]) -> float:
    """Mean of the values that are not nan; nan where there is none."""
    held = _held(values)
    return float(np.mean(held)) if held else math.nan


def fold_rows(folds: Sequence[Sequence[Score]], structures: Sequence[str]) -> list[FoldRow]:
    """A row for each structure that any case has, and a last one with the mean of each fold's structures.

    Args:
        folds: scores of each fold.
        structures: the order of the rows.
    """
    rows = []
    for structure in structures:
        found = [[score.dice for score in fold if score.structure == structure] for fold in folds]
        if any(found):
            dice = tuple(map(_mean, found))
            rows.append(FoldRow(structure=structure, cases=sum(map(len, found)), dice=dice))
    means = tuple(_mean(row.dice[fold] for row in rows) for fold in range(len(folds)))
    cases = len({score.case for fold in folds for score in fold})
    return [*rows, FoldRow(structure=ALL, cases=cases, dice=means)]


def fold_markdown(rows: Sequence[FoldRow]) -> str:
    """The rows as a table of Dice in percent."""
    folds = len(rows[0].dice)
    heads = ["structure", "cases", *(f"fold {fold}" for fold in range(folds)), "mean ± deviation"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [row.structure, str(row.cases), *map(_percent, row.dice)]
        cells.append(f"{_percent(row.mean)} ± {_percent(row.deviation)}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.2f}"


def write_fold_table(path: Path, rows: Sequence[FoldRow]) -> None:
    """Write the rows as CSV, Dice from 0 to 1; empty where there is none."""
    folds = len(rows[0].dice)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["structure", "cases", *(f"fold_{fold}" for fold in range(folds)), "mean", "deviation"]
        )
        for row in rows:
            values = (*row.dice, row.mean, row.deviation)
            writer.writerow(
                [
                    as_cell(row.structure),
                    row.cases,
                    *("" if math.isnan(value) else repr(value) for value in values),
                ]
            )


def draw_folds(rows: Sequence[FoldRow], title: str, path: Path) -> None:
    """A dot for each fold and structure, and mean ± deviation beside them."""
    figure = Figure(figsize=(7, 1.2 + 0.32 * len(rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for height, row in enumerate(rows):
        axes.plot(row.dice, [height] * len(row.dice), "o", color=FOLD, markersize=4, alpha=0.6)
        bar = 0.0 if math.isnan(row.deviation) else row.deviation
        axes.errorbar(row.mean, height + 0.25, xerr=bar, fmt="|", color=MEAN, capsize=3)
    axes.set_yticks(range(len(rows)), [row.structure for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("Dice of each fold (dots), mean ± deviation (bars)")
    axes.grid(axis="x", alpha=0.3)
    axes.set_title(title)
    figure.savefig(path, dpi=110)
