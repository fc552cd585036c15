"""Two ways to train, case by case: means, differences, and whether they could be chance.

The HD95 of a structure that was not found is infinite; as everywhere in means, the length of the image's
diagonal takes its place, so that missing an organ never looks better.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from eval.comparing.paired_tests import compare_values
from eval.scoring.structure_scores import Metric
from training.comparison.held_out_scores import GridScore

ALL = "all structures"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One structure, or all of them."""

    structure: str
    cases: int
    dice: tuple[float, float]
    """Mean of the baseline and of the accelerated workflow, 0 to 1."""
    dice_p: float | None
    """Wilcoxon's signed-rank test over cases, as `eval compare` has it: 1 where nothing differs, None where
    there are fewer than six cases."""
    hd95_mm: tuple[float, float]
    """Means over the cases, with the image's diagonal for a structure that was not found."""
    hd95_p: float | None
    found: tuple[int, int]
    """In how many cases each found the structure."""
    infinite: int
    """Number of pairs with an infinite distance, for which the diagonal counts; of all structures, of each of
    them."""


@dataclass(frozen=True, kw_only=True)
class _Mean:
    """Of a structure of a case over seeds, or of a case over its structures."""

    dice: float
    hd95_mm: float
    found: bool
    """In any of them."""
    infinite: bool
    """Whether a distance in any of them was."""


Means = Mapping[tuple[str, str], _Mean]
"""(case, structure) to means over seeds."""


def compare(baseline: Sequence[Sequence[GridScore]], accelerated: Sequence[Sequence[GridScore]]) -> list[Row]:
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
        rows.append(_row(structure, pairs, sum(a.infinite or b.infinite for a, b in pairs)))
    cases = dict.fromkeys(case for case, _ in first)
    pairs = [(_of_case(first, case), _of_case(second, case)) for case in cases]
    rows.append(_row(ALL, pairs, sum(row.infinite for row in rows)))
    return rows


def _over_seeds(runs: Sequence[Sequence[GridScore]]) -> Means:
    found: dict[tuple[str, str], list[_Mean]] = {}
    for scores in runs:
        for score in scores:
            is_found = math.isfinite(score.hd95_mm)
            one = _Mean(dice=score.dice, hd95_mm=score.counted_mm, found=is_found, infinite=not is_found)
            found.setdefault((score.case, score.structure), []).append(one)
    return {key: _mean(values) for key, values in found.items()}


def _of_case(means: Means, case: str) -> _Mean:
    return _mean([value for (name, _), value in means.items() if name == case])


def _mean(values: Sequence[_Mean]) -> _Mean:
    return _Mean(
        dice=fmean(value.dice for value in values),
        hd95_mm=fmean(value.hd95_mm for value in values),
        found=any(value.found for value in values),
        infinite=any(value.infinite for value in values),
    )


def _row(structure: str, pairs: Sequence[tuple[_Mean, _Mean]], infinite: int) -> Row:
    dice = np.array([[a.dice, b.dice] for a, b in pairs])
    distances = np.array([[a.hd95_mm, b.hd95_mm] for a, b in pairs])
    dice_row = compare_values(structure, Metric.DSC, *dice.T)
    hd95_row = compare_values(structure, Metric.HD95, *distances.T)
    return Row(
        structure=structure,
        cases=len(pairs),
        dice=(dice_row.mean_a, dice_row.mean_b),
        dice_p=_none_of_nan(dice_row.wilcoxon_p),
        hd95_mm=(hd95_row.mean_a, hd95_row.mean_b),
        hd95_p=_none_of_nan(hd95_row.wilcoxon_p),
        found=(sum(a.found for a, _ in pairs), sum(b.found for _, b in pairs)),
        infinite=infinite,
    )


def _none_of_nan(value: float) -> float | None:
    return None if math.isnan(value) else value


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a table, and how many distances the image's diagonal stands for."""
    lines = [
        "| structure | cases | DSC baseline | DSC accelerated | p | HD95 baseline, mm | HD95 accelerated, mm "
        "| p | found by each |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        (a, b), (c, d) = row.dice, row.hd95_mm
        dice_p, hd95_p = ("" if p is None else f"{p:.3f}" for p in (row.dice_p, row.hd95_p))
        lines.append(
            f"| {row.structure} | {row.cases} | {a:.4f} | {b:.4f} | {dice_p} | {c:.2f} | {d:.2f} | "
            f"{hd95_p} | {row.found[0]}, {row.found[1]} |"
        )
    if infinite := rows[-1].infinite:
        lines += ["", f"pairs with an infinite distance: {infinite} counted as the image's diagonal"]
    return "\n".join(lines)
