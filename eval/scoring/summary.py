"""Mean, spread, median and confidence interval of the scores of structures, organs and lesions.

A distance is infinite where only one of the maps holds the structure. Leaving it out would reward a
submission for missing an organ, so the length of the image's diagonal, the longest distance there is, takes
its place (Metrics Reloaded: a missing value needs the metric's worst one). Tables of other programs do not
say the diagonal: there such values are left out, and counted.

A lesion that neither map holds scores 1, so the mean over all cases says most about how many cases have none.
Beside it stand the mean over the cases whose truth has a lesion, and over those whose truth has none.

Differences of volume have a sign, whose mean says whether a structure is drawn too large or too small. Over
several structures they would cancel, so that means over organs or lesions are those of their sizes, which
structures have too, under a name of their own.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.scoring.challenges import DECIMALS, Challenge, Rules
from eval.scoring.pairs import CaseScores
from eval.scoring.structure_scores import DISTANCES, Metric, value_of
from eval.statistics import column_means, mean_interval
from model.arrays import F64
from model.labels import LabelSet

ORGAN_MEAN = "organ mean"
LESION, LESION_MEAN = "lesion", "lesion mean"
"""The row of the only lesion of a label set, and that of several together."""
PRESENT, ABSENT = "lesion, where there is one", "lesion, where there is none"
"""The rows of lesions over what the truth holds, and over what it does not."""
VOLUME_ERROR = "AbsoluteVolumeDifference_ml"
"""The metric of rows of sizes of differences of volume; a table of scores holds the signed ones alone."""
SUMS = (ORGAN_MEAN, LESION, LESION_MEAN, PRESENT, ABSENT)
"""Rows that are no structure of a label set."""


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One metric of one structure over all cases; figures are NaN where there are too few cases for them."""

    structure: str
    """Name of a structure, `organ mean` (mean of the organs' means), `lesion` or `lesion mean`."""
    metric: str
    """A metric, or `AbsoluteVolumeDifference_ml`."""
    cases: int
    """Number of cases that the figures are computed from."""
    infinite: int
    """Number of infinite values (distances of a structure that one of the maps lacks)."""
    left_out: int
    """Number of infinite values that no diagonal could take the place of, so that they are left out."""
    mean: float
    """Mean over the cases; in rows of several structures, mean of the structures' means."""
    sd: float
    """Sample standard deviation; of the cases' own means where the row is a mean over structures."""
    median: float
    """Median; in rows of several structures, median of the cases' own means."""
    low: float
    """Lower end of the 95 % bootstrap confidence interval of the mean; NaN of fewer than 6 cases."""
    high: float
    """Upper end."""


def lesion_row(labels: LabelSet) -> str | None:
    """Name of the row that sums up the lesions of a label set; None if it has none."""
    if not labels.lesions:
        return None
    return LESION if len(labels.lesions) == 1 else LESION_MEAN


def summarize(
    results: Sequence[CaseScores], challenge: Challenge, metrics: Sequence[Metric], rules: Rules
) -> list[SummaryRow]:
    """For each metric, a row for each structure, one for all organs and one for all lesions.

    The signed difference of volume has rows of structures alone; those of its size follow.

    DSC and NSD are rounded to 4 decimals before they are averaged, as the organisers' programs do. Under
    official rules the structures' means are rounded too before they are averaged, as on the leaderboard.
    """
    diagonals_mm = np.array([result.diagonal_mm for result in results])
    held = {
        name: np.array([result.scores[name].truth_ml for result in results])
        for name in challenge.labels.lesions
    }
    rows = []
    for metric in metrics:
        values = {
            name: np.round([value_of(result.scores[name], metric) for result in results], DECIMALS)
            for name in challenge.labels.names
        }
        worst = diagonals_mm if metric in DISTANCES else np.full(len(results), math.nan)
        if metric is Metric.VOLUME_DIFFERENCE:
            rows += [summarize_values(name, metric, column) for name, column in values.items()]
            sizes = {name: np.abs(column) for name, column in values.items()}
            rows += _summarize_metric(VOLUME_ERROR, sizes, held, worst, challenge.labels, rules)
            continue
        rows += _summarize_metric(metric, values, held, worst, challenge.labels, rules)
    return rows


def _summarize_metric(
    metric: str,
    values: Mapping[str, F64],
    held_ml: Mapping[str, F64],
    worst: F64,
    labels: LabelSet,
    rules: Rules,
) -> list[SummaryRow]:
    rows = [summarize_values(name, metric, column, worst) for name, column in values.items()]

    def over(name: str, columns: Sequence[F64]) -> SummaryRow:
        if len(columns) == 1:
            return summarize_values(name, metric, columns[0], worst)
        return _mean_over(name, metric, np.stack(columns, axis=1), rules, worst)

    if labels.organs:
        table = np.stack([values[name] for name in labels.organs], axis=1)
        rows.append(_mean_over(ORGAN_MEAN, metric, table, rules, worst))
    if (lesions := lesion_row(labels)) is not None:
        rows.append(over(lesions, [values[name] for name in labels.lesions]))
        if all(np.isfinite(held_ml[name]).all() for name in labels.lesions):
            for name, wanted in ((PRESENT, True), (ABSENT, False)):
                columns = [
                    np.where((held_ml[lesion] > 0) == wanted, values[lesion], math.nan)
                    for lesion in labels.lesions
                ]
                rows.append(over(name, columns))
    return rows


def summarize_values(structure: str, metric: str, values: F64, worst: F64 | None = None) -> SummaryRow:
    """Summary of one metric of one structure.

    Args:
        structure: name of the row.
        metric: name of the metric.
        values: one number for each case; NaN if it was not scored.
        worst: what takes the place of an infinite value in each case; NaN, or None, where nothing does.
    """
    infinite = np.isinf(values)
    values = np.where(infinite, math.nan if worst is None else worst, values)
    finite = values[np.isfinite(values)]
    low, high = mean_interval(values[:, None])
    return SummaryRow(
        structure=structure,
        metric=metric,
        cases=int(finite.size),
        infinite=int(infinite.sum()),
        left_out=int((infinite & np.isnan(values)).sum()),
        mean=float(finite.mean()) if finite.size else math.nan,
        sd=float(finite.std(ddof=1)) if finite.size > 1 else math.nan,
        median=float(np.median(finite)) if finite.size else math.nan,
        low=low,
        high=high,
    )


def _mean_over(name: str, metric: str, table: F64, rules: Rules, worst: F64) -> SummaryRow:
    """Mean of the structures' means; `table` has shape (cases, structures)."""
    infinite = np.isinf(table)
    table = np.where(infinite, worst[:, None], table)
    means = column_means(table)
    if rules is Rules.OFFICIAL:
        means = np.round(means, DECIMALS)
    per_case = column_means(table.T)
    scored = per_case[~np.isnan(per_case)]
    low, high = mean_interval(table)
    known = means[~np.isnan(means)]
    return SummaryRow(
        structure=name,
        metric=metric,
        cases=int(scored.size),
        infinite=int(infinite.sum()),
        left_out=int((infinite & np.isnan(table)).sum()),
        mean=float(known.mean()) if known.size else math.nan,
        sd=float(scored.std(ddof=1)) if scored.size > 1 else math.nan,
        median=float(np.median(scored)) if scored.size else math.nan,
        low=low,
        high=high,
    )
