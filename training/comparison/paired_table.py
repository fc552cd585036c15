"""Two ways to train, case by case: means, differences, and whether they could be chance."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import wilcoxon

from training.comparison.held_out_scores import Score

ALL = "all structures"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One structure, or all of them."""

    structure: str
    cases: int
    dice: tuple[float, float]
    """Mean of the baseline and of the accelerated workflow, 0 to 1."""
    dice_p: float
    """Wilcoxon's signed-rank test over cases; 1 where nothing differs."""
    hd95_mm: tuple[float, float]
    """Means over the cases in which both found the structure; nan where there are none."""
    hd95_p: float
    found: tuple[int, int]
    """In how many cases each found the structure."""


Means = Mapping[tuple[str, str], tuple[float, float]]
"""(case, structure) to Dice and HD95, means over seeds."""


def compare(baseline: Sequence[Sequence[Score]], accelerated: Sequence[Sequence[Score]]) -> list[Row]:
    """One row for each structure in the order of the scores, and a last one over all.

    Args:
        baseline: scores of each seed.
        accelerated: likewise, of the same cases. The last row has each case's mean over its structures.
    """
    first, second = (_over_seeds(runs) for runs in (baseline, accelerated))
    structures = dict.fromkeys(structure for _, structure in first)
    rows = []
    for structure in structures:
        pairs = [(value, second[key]) for key, value in first.items() if key[1] == structure]
        rows.append(_row(structure, pairs))
    cases = dict.fromkeys(case for case, _ in first)
    rows.append(_row(ALL, [(_of_case(first, case), _of_case(second, case)) for case in cases]))
    return rows


def _over_seeds(runs: Sequence[Sequence[Score]]) -> Means:
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for scores in runs:
        for score in scores:
            found.setdefault((score.case, score.structure), []).append((score.dice, score.hd95_mm))
    return {key: _means(values) for key, values in found.items()}


def _of_case(means: Means, case: str) -> tuple[float, float]:
    return _means([value for (name, _), value in means.items() if name == case])


def _means(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Mean Dice, and mean of the finite distances; infinite where none is."""
    finite = [distance for _, distance in values if math.isfinite(distance)]
    return float(np.mean([dsc for dsc, _ in values])), float(np.mean(finite)) if finite else math.inf


def _row(structure: str, pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> Row:
    dice = np.array([[a[0], b[0]] for a, b in pairs])
    distances = np.array([[a[1], b[1]] for a, b in pairs])
    finite = np.isfinite(distances)
    both = distances[finite.all(1)]
    return Row(
        structure=structure,
        cases=len(pairs),
        dice=(float(dice[:, 0].mean()), float(dice[:, 1].mean())),
        dice_p=paired_p(dice[:, 1] - dice[:, 0]),
        hd95_mm=(float(both[:, 0].mean()), float(both[:, 1].mean())) if len(both) else (math.nan, math.nan),
        hd95_p=paired_p(both[:, 1] - both[:, 0]),
        found=(int(finite[:, 0].sum()), int(finite[:, 1].sum())),
    )


def paired_p(differences: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; 1 where no case differs."""
    if not np.any(differences):
        return 1.0
    return float(wilcoxon(differences).pvalue)


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table."""
    lines = [
        "| structure | cases | DSC baseline | DSC accelerated | p | HD95 baseline, mm | HD95 accelerated, mm "
        "| p | found by each |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        (a, b), (c, d) = row.dice, row.hd95_mm
        lines.append(
            f"| {row.structure} | {row.cases} | {a:.4f} | {b:.4f} | {row.dice_p:.3f} | {c:.2f} | {d:.2f} | "
            f"{row.hd95_p:.3f} | {row.found[0]}, {row.found[1]} |"
        )
    return "\n".join(lines)
