"""Ranking of submissions as in the FLARE challenges: ranks per case and metric, averaged over both.

In each metric, every case is ranked by itself; rank 1 is the best. Submissions that tie share the mean of the
ranks that they take: the values 0.9, 0.8, 0.8 have the ranks 1, 2.5, 2.5. Cases that a submission lacks or
failed come last. Rankings of resamples of the cases, drawn with replacement, show how certain a place is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from eval.scoring.summary import bootstrap_weights
from model.arrays import F64


@dataclass(frozen=True, kw_only=True)
class RankedMetric:
    """One metric of a challenge's ranking."""

    name: str
    """Name in the ranking table."""
    weight: float
    """Weight in the mean over the metrics, relative to the others."""
    more_is_better: bool
    """Whether the largest value ranks first."""


def _metrics(*, scores: Sequence[str], half_areas: bool) -> tuple[RankedMetric, ...]:
    accuracy = [RankedMetric(name=name, weight=1.0, more_is_better=True) for name in scores]
    time = RankedMetric(name="Time", weight=1.0, more_is_better=False)
    gpu = RankedMetric(name="AUC_GPU", weight=0.5 if half_areas else 1.0, more_is_better=False)
    cpu = RankedMetric(name="AUC_CPU", weight=0.5, more_is_better=False)
    return (*accuracy, time, gpu, *((cpu,) if half_areas else ()))


@dataclass(frozen=True, kw_only=True)
class RankingRules:
    """The ranking scheme of a challenge."""

    metrics: tuple[RankedMetric, ...]
    """What is ranked."""
    lenient_s: float
    """Seconds that a case may take without a cost."""
    lenient_mb: float
    """GPU memory in MiB that may be used at any moment without a cost."""


RANKINGS: Mapping[str, RankingRules] = MappingProxyType(
    {
        "flare22": RankingRules(
            metrics=_metrics(scores=("DSC", "NSD"), half_areas=True), lenient_s=0.0, lenient_mb=2048.0
        ),
        "flare23": RankingRules(
            metrics=_metrics(scores=("Organ_DSC", "Organ_NSD", "Lesion_DSC", "Lesion_NSD"), half_areas=False),
            lenient_s=15.0,
            lenient_mb=4096.0,
        ),
    }
)
"""Challenge year to its ranking scheme."""


@dataclass(frozen=True, kw_only=True)
class Placing:
    """One submission in a ranking."""

    submission: str
    """Name of the submission."""
    place: int
    """Place, from 1; submissions that tie share the better one."""
    score: float
    """Weighted mean rank over metrics and cases."""
    ranks: Mapping[str, float]
    """Metric to the mean rank over the cases."""
    place_median: float
    """Median of its places in the resamples."""
    place_low: float
    """2.5th percentile of its places in the resamples."""
    place_high: float
    """97.5th percentile."""
    first_share: float
    """Share of the resamples in which it is first, ties included."""


def case_ranks(values: F64, more_is_better: bool) -> F64:
    """Ranks of submissions in each case.

    Args:
        values: shape (submissions, cases); missing values are NaN and rank behind all others.
        more_is_better: whether the largest value ranks first.

    Returns:
        Ranks from 1 to the number of submissions, of the same shape; submissions that tie share the mean
        rank.
    """
    cost = np.where(np.isnan(values), np.inf, -values if more_is_better else values)
    return np.asarray(stats.rankdata(cost, method="average", axis=0), np.float64)


def places(scores: F64) -> NDArray[np.int64]:
    """Places by mean rank along the first axis; ties share the better place: 1, 2, 2, 4."""
    # Equal sums of halves and thirds of ranks may differ in their last digits.
    return np.asarray(stats.rankdata(np.round(scores, 9), method="min", axis=0), np.int64)


def rank(
    submissions: Sequence[str], values: Mapping[str, F64], metrics: Sequence[RankedMetric]
) -> list[Placing]:
    """Rank submissions, the best first.

    Args:
        submissions: their names.
        values: metric to its values of shape (submissions, cases), with what costs nothing taken off; NaN
            where missing.
        metrics: the metrics and their weights.
    """
    ranks = {metric.name: case_ranks(values[metric.name], metric.more_is_better) for metric in metrics}
    weights = np.array([metric.weight for metric in metrics])
    per_case = np.tensordot(
        weights / weights.sum(), np.stack([ranks[metric.name] for metric in metrics]), axes=1
    )
    scores = per_case.mean(axis=1)
    final = places(scores)
    resampled = places(per_case @ bootstrap_weights(per_case.shape[1]).T / per_case.shape[1])
    low, median, high = np.percentile(resampled, (2.5, 50, 97.5), axis=1)
    placings = [
        Placing(
            submission=name,
            place=int(final[i]),
            score=float(scores[i]),
            ranks={metric.name: float(ranks[metric.name][i].mean()) for metric in metrics},
            place_median=float(median[i]),
            place_low=float(low[i]),
            place_high=float(high[i]),
            first_share=float((resampled[i] == 1).mean()),
        )
        for i, name in enumerate(submissions)
    ]
    return sorted(placings, key=lambda placing: (placing.place, placing.submission))
