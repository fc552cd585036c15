"""Comparison of two score tables of the same cases, structure by structure, as paired samples.

For each structure and metric there are the mean of the differences B − A over the cases that both tables
score, its 95 % bootstrap confidence interval, a Wilcoxon signed-rank test and a paired t test (see
`eval.statistics`; fewer than six cases have neither interval nor tests). Tests of many structures find
differences by chance, so the p values of a metric and test are corrected over the structures by Holm's
method. The organ mean is a single test that sums them up; it is not corrected.

A distance is infinite where only one of the maps holds the structure; as everywhere in means, the length of
the image's diagonal takes its place, so that missing an organ never looks better. Where neither table says
the diagonal, the pair is left out, and counted.

Differences of volume lose their sign before they are compared, as before they are ranked: of 5 ml too few and
7 ml too many the first is better, and B − A above 0 is worse whatever the sides are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from eval.eval_errors import JudgingError
from eval.scoring.score_table import ScoreTable
from eval.scoring.structure_scores import DISTANCES, Metric
from eval.scoring.summary import ORGAN_MEAN
from eval.statistics import LEAST_CASES, holm, mean_interval, signed_rank_p
from model.arrays import F64


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of one structure in two tables; figures are NaN where there are too few cases for them."""

    structure: str
    metric: Metric
    cases: int
    """Number of cases that the figures are computed from."""
    infinite: int
    """Number of pairs with an infinite distance (a structure that one of the maps lacks); for the organ mean
    over all organs."""
    left_out: int
    """Number of these that are left out, since neither table says the image's diagonal."""
    mean_a: float
    """Mean of the first table over these cases."""
    mean_b: float
    """Mean of the second table."""
    difference: float
    """Mean of the differences B − A."""
    low: float
    """Lower end of the 95 % bootstrap confidence interval of the difference."""
    high: float
    """Upper end."""
    wilcoxon_p: float
    """Two-sided p value of the Wilcoxon test, uncorrected; 1 if no case differs."""
    t_p: float
    """Two-sided p value of the paired t test, uncorrected."""
    wilcoxon_holm_p: float
    """The p value of the Wilcoxon test corrected over the structures of the metric; NaN for the organ
    mean."""
    t_holm_p: float
    """The p value of the t test, corrected likewise."""


def compare(first: ScoreTable, second: ScoreTable, metrics: Sequence[Metric]) -> list[Comparison]:
    """Compare the cases that both tables have; metrics that one of the tables lacks are left out.

    Raises:
        JudgingError: the tables belong to different challenges, or have no case or none of the metrics in
            common.
    """
    if first.challenge != second.challenge:
        raise JudgingError(
            f"{first.path} is of {first.challenge.labels.name}, {second.path} of "
            f"{second.challenge.labels.name}; compare tables of one challenge"
        )
    rows_of_a, rows_of_b = ({stem: row for row, stem in enumerate(table.stems)} for table in (first, second))
    common = [stem for stem in first.stems if stem in rows_of_b]
    if not common:
        raise JudgingError(f"{first.path} and {second.path} have no case in common; score the same cases")
    rows_a, rows_b = ([rows[stem] for stem in common] for rows in (rows_of_a, rows_of_b))
    shared = [metric for metric in metrics if metric in first.metrics and metric in second.metrics]
    if not shared:
        raise JudgingError(
            f"{first.path} and {second.path} have none of {', '.join(metrics)} in common; "
            "choose other --metrics"
        )
    # The images are the same; a table of another program does not say how large they are.
    diagonals_mm = np.fmax(first.diagonal_mm[rows_a], second.diagonal_mm[rows_b])
    results = []
    for metric in shared:
        worst = diagonals_mm if metric in DISTANCES else np.full(len(common), math.nan)
        a, b = (_columns(table, metric, rows) for table, rows in ((first, rows_a), (second, rows_b)))
        results += _compare_metric(metric, a, b, worst, first.challenge.labels.organs)
    return results


def lost_cases(table: ScoreTable, other: ScoreTable) -> str:
    """What a reader should know of a table's cases in error, which count as 0; empty if there are none.

    Example: `1 of 8 cases in error, counted as 0: phantom_00003`

    Args:
        table: whose errors are told.
        other: what it is compared with; only the cases that both have are.
    """
    common = [stem for stem in table.stems if stem in set(other.stems)]
    lost = [stem for stem in table.lost if stem in set(common)]
    if not lost:
        return ""
    return f"{len(lost)} of {len(common)} cases in error, counted as 0: {', '.join(lost)}"


def _columns(table: ScoreTable, metric: Metric, rows: Sequence[int]) -> dict[str, F64]:
    """Structure to what is compared of a metric in some rows: differences of volume by their size."""
    return {
        structure: np.abs(column[rows]) if metric is Metric.VOLUME_DIFFERENCE else column[rows]
        for (structure, kind), column in table.values.items()
        if kind is metric
    }


def _compare_metric(
    metric: Metric, a: Mapping[str, F64], b: Mapping[str, F64], worst: F64, organs: Sequence[str]
) -> list[Comparison]:
    rows = [compare_values(structure, metric, a[structure], b[structure], worst) for structure in a]
    wilcoxon = holm([row.wilcoxon_p for row in rows])
    t_test = holm([row.t_p for row in rows])
    rows = [
        replace(row, wilcoxon_holm_p=w, t_holm_p=t) for row, w, t in zip(rows, wilcoxon, t_test, strict=True)
    ]
    if not organs:
        return rows
    finite_a, finite_b = (
        {name: _without_infinity(values, worst) for name, values in table.items()} for table in (a, b)
    )
    mean = compare_values(
        ORGAN_MEAN, metric, _case_means(finite_a, finite_b, organs), _case_means(finite_b, finite_a, organs)
    )
    counted = [row for row in rows if row.structure in organs]
    infinite, left_out = sum(row.infinite for row in counted), sum(row.left_out for row in counted)
    return [*rows, replace(mean, infinite=infinite, left_out=left_out)]


def _without_infinity(values: F64, worst: F64 | float) -> F64:
    """The values, with the worst one of each case in the place of infinity."""
    return np.where(np.isinf(values), worst, values)


def _case_means(values: Mapping[str, F64], others: Mapping[str, F64], organs: Sequence[str]) -> F64:
    """Mean of each case over the organs that both tables score in it."""
    table, other = (np.stack([column[organ] for organ in organs]) for column in (values, others))
    both = np.isfinite(table) & np.isfinite(other)
    counts = both.sum(axis=0)
    means: F64 = np.divide(
        np.where(both, table, 0.0).sum(axis=0), counts, out=np.full(counts.shape, math.nan), where=counts > 0
    )
    return means


def compare_values(
    structure: str, metric: Metric, a: F64, b: F64, worst: F64 | float = math.nan
) -> Comparison:
    """Compare one metric of one structure.

    Args:
        structure: name of the row.
        metric: name of the metric.
        a: one number for each case in the first table; NaN if it was not scored.
        b: those of the second table, in the same order.
        worst: what takes the place of an infinite value in each case; NaN where nothing does.
    """
    infinite = (np.isinf(a) | np.isinf(b)) & ~np.isnan(a) & ~np.isnan(b)
    a, b = _without_infinity(a, worst), _without_infinity(b, worst)
    both = np.isfinite(a) & np.isfinite(b)
    a, b = a[both], b[both]
    differences = b - a
    cases = int(differences.size)
    low, high = mean_interval(differences[:, None])
    wilcoxon_p = t_p = math.nan
    if cases >= LEAST_CASES:
        wilcoxon_p, t_p = paired_tests(differences)
    return Comparison(
        structure=structure,
        metric=metric,
        cases=cases,
        infinite=int(infinite.sum()),
        left_out=int((infinite & ~both).sum()),
        mean_a=float(a.mean()) if cases else math.nan,
        mean_b=float(b.mean()) if cases else math.nan,
        difference=float(differences.mean()) if cases else math.nan,
        low=low,
        high=high,
        wilcoxon_p=wilcoxon_p,
        t_p=t_p,
        wilcoxon_holm_p=math.nan,
        t_holm_p=math.nan,
    )


def paired_tests(differences: F64) -> tuple[float, float]:
    """Two-sided p values of the Wilcoxon signed-rank test and the paired t test for differences of pairs.

    Pairs without a difference are left out of the Wilcoxon test, as Wilcoxon proposed. If no pair differs,
    both p values are 1; if all pairs differ by the same amount, that of the t test is 0, since there is no
    spread.
    """
    # Scores have 4 decimals; smaller digits come from the subtraction and would untie equal differences.
    differences = np.round(differences, 9)
    if not differences.any():
        return 1.0, 1.0
    above, below = signed_rank_p(differences, rank_zeros=False)
    wilcoxon_p = min(1.0, 2 * float(min(above, below)))
    if np.ptp(differences) == 0:
        return wilcoxon_p, 0.0
    return wilcoxon_p, float(stats.ttest_1samp(differences, 0.0).pvalue)
