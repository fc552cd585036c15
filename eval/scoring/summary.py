"""Mean, spread, median and confidence interval of the scores of structures, organs and lesions."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eval.scoring.challenges import DECIMALS, Challenge, Rules, StructureScore
from eval.scoring.columns import Metric
from eval.scoring.pairs import CaseScores
from model.arrays import F64
from model.labels import LabelSet

RESAMPLES = 10_000
"""Number of bootstrap resamples."""
SEED = 20220101
"""Seed of the resamples; fixed, so that the same scores have the same intervals."""
ORGAN_MEAN = "organ mean"
LESION, LESION_MEAN = "lesion", "lesion mean"
"""The row of the only lesion of a label set, and that of several together."""


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One metric of one structure over all cases; figures are NaN where there are too few cases for them."""

    structure: str
    """Name of a structure, `organ mean` (mean of the organs' means), `lesion` or `lesion mean`."""
    metric: Metric
    cases: int
    """Number of cases that the figures are computed from: those with a finite score."""
    infinite: int
    """Number of cases left out because the value is infinite (HD95 of a structure that one of the maps
    lacks)."""
    mean: float
    """Mean over the cases; in rows of several structures, mean of the structures' means."""
    sd: float
    """Sample standard deviation; of the cases' own means where the row is a mean over structures."""
    median: float
    """Median; in rows of several structures, median of the cases' own means."""
    low: float
    """Lower end of the 95 % bootstrap confidence interval of the mean."""
    high: float
    """Upper end."""


def lesion_row(labels: LabelSet) -> str | None:
    """Name of the row that sums up the lesions of a label set; None if it has none."""
    if not labels.lesions:
        return None
    return LESION if len(labels.lesions) == 1 else LESION_MEAN


def value_of(score: StructureScore, metric: Metric) -> float:
    """One metric of a structure's scores."""
    return {
        Metric.DSC: score.dice,
        Metric.NSD: score.nsd,
        Metric.HD95: score.hd95_mm,
        Metric.VOLUME_DIFFERENCE: score.volume_difference_ml,
    }[metric]


def summarize(
    results: Sequence[CaseScores], challenge: Challenge, metrics: Sequence[Metric], rules: Rules
) -> list[SummaryRow]:
    """For each metric, a row for each structure, one for all organs and one for all lesions.

    DSC and NSD are rounded to 4 decimals before they are averaged, as the organisers' programs do. Under
    official rules the structures' means are rounded too before they are averaged, as on the leaderboard.
    """
    weights = bootstrap_weights(len(results))
    return [
        row
        for metric in metrics
        for row in _summarize_metric(
            {
                name: np.array([value_of(r.scores[name], metric) for r in results])
                for name in challenge.labels.names
            },
            metric,
            challenge.labels,
            weights,
            rules,
        )
    ]


def _summarize_metric(
    values: Mapping[str, F64], metric: Metric, labels: LabelSet, weights: F64, rules: Rules
) -> list[SummaryRow]:
    rounded = {name: np.round(column, DECIMALS) for name, column in values.items()}
    rows = [summarize_values(name, metric, column, weights) for name, column in rounded.items()]
    if labels.organs:
        table = np.stack([rounded[name] for name in labels.organs], axis=1)
        rows.append(_mean_over(ORGAN_MEAN, metric, table, weights, rules))
    if len(labels.lesions) == 1:
        rows.append(summarize_values(LESION, metric, rounded[labels.lesions[0]], weights))
    elif labels.lesions:
        table = np.stack([rounded[name] for name in labels.lesions], axis=1)
        rows.append(_mean_over(LESION_MEAN, metric, table, weights, rules))
    return rows


def summarize_values(structure: str, metric: Metric, values: F64, weights: F64) -> SummaryRow:
    """Summary of one metric of one structure.

    Args:
        structure: name of the row.
        metric: name of the metric.
        values: one number for each case; NaN if it was not scored.
        weights: what `bootstrap_weights` gives for as many cases.
    """
    finite = values[np.isfinite(values)]
    low, high = _interval(_weighted_means(values[:, None], weights)[:, 0])
    return SummaryRow(
        structure=structure,
        metric=metric,
        cases=int(finite.size),
        infinite=int(np.isinf(values).sum()),
        mean=float(finite.mean()) if finite.size else math.nan,
        sd=float(finite.std(ddof=1)) if finite.size > 1 else math.nan,
        median=float(np.median(finite)) if finite.size else math.nan,
        low=low if finite.size > 1 else math.nan,
        high=high if finite.size > 1 else math.nan,
    )


def bootstrap_weights(cases: int, resamples: int = RESAMPLES) -> F64:
    """Number of times that each case is drawn in each resample with replacement; shape (resamples, cases)."""
    if cases == 0:
        return np.zeros((resamples, 0))
    generator = np.random.default_rng(SEED)
    return generator.multinomial(cases, np.full(cases, 1.0 / cases), size=resamples).astype(np.float64)


def _mean_over(name: str, metric: Metric, table: F64, weights: F64, rules: Rules) -> SummaryRow:
    """Mean of the structures' means; `table` has shape (cases, structures)."""
    means = _column_means(table)
    if rules is Rules.OFFICIAL:
        means = np.round(means, DECIMALS)
    per_case = _column_means(table.T)
    scored = per_case[~np.isnan(per_case)]
    resampled = _weighted_means(table, weights)
    low, high = _interval(_column_means(resampled.T))
    known = means[~np.isnan(means)]
    return SummaryRow(
        structure=name,
        metric=metric,
        cases=int(scored.size),
        infinite=int(np.isinf(table).any(axis=1).sum()),
        mean=float(known.mean()) if known.size else math.nan,
        sd=float(scored.std(ddof=1)) if scored.size > 1 else math.nan,
        median=float(np.median(scored)) if scored.size else math.nan,
        low=low if scored.size > 1 else math.nan,
        high=high if scored.size > 1 else math.nan,
    )


def _column_means(table: F64) -> F64:
    """Mean of the finite numbers of each column; NaN for a column without any."""
    finite = np.isfinite(table)
    counts = finite.sum(axis=0)
    sums = np.where(finite, table, 0.0).sum(axis=0)
    means: F64 = np.divide(sums, counts, out=np.full(counts.shape, math.nan), where=counts > 0)
    return means


def _weighted_means(table: F64, weights: F64) -> F64:
    """Mean of the finite numbers of each column in each resample; shape (resamples, columns).

    NaN where no finite number was drawn.
    """
    finite = np.isfinite(table)
    counts = weights @ finite.astype(np.float64)
    sums = weights @ np.where(finite, table, 0.0)
    means: F64 = np.divide(sums, counts, out=np.full(counts.shape, math.nan), where=counts > 0)
    return means


def _interval(means: F64) -> tuple[float, float]:
    known = means[~np.isnan(means)]
    if known.size == 0:
        return math.nan, math.nan
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)
