"""Ranking of submissions, and how firm it is.

There are three schemes, which may disagree, so all are computed and one counts (Maier-Hein et al., "Why
rankings of biomedical image analysis competitions should be interpreted with care", 2018):

    rank-then-aggregate  in each metric, every case is ranked by itself, and ranks are averaged (FLARE)
    aggregate-then-rank  in each metric, values are averaged over the cases, and the averages ranked
    test-then-rank       in each metric, submissions are ranked by how many others they beat in a one-sided
                         Wilcoxon signed-rank test, p < 0.05, not corrected (as challengeR does by default)

The ranks of the metrics are then averaged by their weights. Rank 1 is the best. Submissions that tie share
the mean of the ranks that they take: the values 0.9, 0.8, 0.8 have the ranks 1, 2.5, 2.5. A case that a
submission lacks or failed comes last in all metrics, or takes the metric's worst value where values are
averaged or tested: writing less never pays. A case that no submission has in a metric, as where its truth
lacks the structure under partial rules, does not count in that metric. Rankings of resamples of the cases,
drawn with replacement, show how certain a place is: by its range, and by Kendall's τ between the ranking and
those of the resamples.

Source of the displays: challengeR (Wiesenfarth et al., Scientific Reports 11, 2021).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from eval.comparing.ranking_rules import SCHEMES, RankedMetric, RankingRules, Scheme
from eval.statistics import LEAST_CASES, MANY_CASES, RESAMPLES, bootstrap_weights, holm, signed_rank_p
from model.arrays import F64, Mask

FEWER_RESAMPLES = 1000
"""Resamples under test-then-rank, where each takes many tests, and of more cases than `MANY_CASES`."""
SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Placing:
    """One submission in a ranking."""

    submission: str
    """Name of the submission."""
    place: int
    """Place, from 1; submissions that tie share the better one."""
    score: float
    """Weighted mean rank over metrics and, if cases are ranked, cases."""
    ranks: Mapping[str, float]
    """Metric to the mean rank."""
    place_median: int
    """Median of its places in the resamples; the better one of two in the middle."""
    place_low: int
    """2.5th percentile of its places in the resamples."""
    place_high: int
    """97.5th percentile."""
    first_share: float
    """Share of the resamples in which it is first, ties included."""
    place_shares: tuple[float, ...]
    """Share of the resamples in which it is on place 1, 2, …"""
    place_by: Mapping[Scheme, int]
    """Its place under each scheme."""
    case_ranks: tuple[float, ...]
    """Its weighted mean rank over the metrics in each case; NaN where no submission has any of them."""


@dataclass(frozen=True, kw_only=True)
class Superiority:
    """A one-sided test of whether one submission is better than another in one metric."""

    metric: str
    better: str
    worse: str
    p: float
    """p value of the Wilcoxon signed-rank test, as tested."""
    p_holm: float
    """Corrected over all ordered pairs of the metric."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A ranking and how firm it is."""

    placings: tuple[Placing, ...]
    """The submissions, the best first."""
    kendall: F64
    """Kendall's τ-b between the ranking and that of each resample, -1 to 1; NaN where all tie."""
    superiorities: tuple[Superiority, ...]
    """All tests; none of a metric that too few cases have for them."""


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
    # Equal means of organs may differ in their last digits.
    return _ranked(cost.round(9))


def places(scores: F64) -> NDArray[np.int64]:
    """Places by mean rank along the first axis; ties share the better place: 1, 2, 2, 4."""
    # Equal sums of halves and thirds of ranks may differ in their last digits.
    return np.asarray(stats.rankdata(np.round(scores, 9), method="min", axis=0), np.int64)


def costs(values: F64, metric: RankedMetric) -> F64:
    """Values as costs, less is better, in which missing and worse ones are the metric's worst.

    A case that no submission has stays NaN.
    """
    sign = -1.0 if metric.more_is_better else 1.0
    worst = sign * metric.worst_value
    cost = np.minimum(np.where(np.isnan(values), worst, sign * values), worst)
    return np.where(_held_by_none(values), np.nan, cost)


def _held_by_none(values: F64) -> Mask:
    """Which cases no submission has."""
    return np.asarray(np.isnan(values).all(axis=0), np.bool_)


def metric_ranks(values: F64, metric: RankedMetric, rules: RankingRules, weights: F64) -> F64:
    """Ranks of the submissions in one metric in each resample; shape (submissions, resamples).

    Args:
        values: shape (submissions, cases), NaN where missing.
        metric: what they are.
        rules: the scheme.
        weights: how often each case is drawn in each resample; shape (resamples, cases).
    """
    cost = costs(values, metric)
    if rules.scheme == "test-then-rank":
        return _ranked(-_wins(_resampled(cost, weights)))
    counting = ~_held_by_none(values)
    cost, weights = np.where(counting, cost, 0.0), weights * counting
    if rules.scheme == "rank-then-aggregate":
        ranks = case_ranks(values, metric.more_is_better)
        return _weighted_means(ranks, weights, nothing=(len(values) + 1) / 2)
    if rules.aggregate == "median":
        return _ranked(_weighted_medians(cost, weights).round(9))
    finite = np.isfinite(cost)
    means = _weighted_means(np.where(finite, cost, 0.0), weights, nothing=0.0)
    infinite = (~finite).astype(np.float64) @ weights.T > 0
    return _ranked(np.where(infinite, np.inf, means.round(9)))


def _weighted_means(values: F64, weights: F64, nothing: float) -> F64:
    """Mean of each row in each resample, and `nothing` where no case is drawn; shape (rows, resamples)."""
    drawn = weights.sum(axis=1)
    means: F64 = np.divide(
        values @ weights.T, drawn, out=np.full((len(values), len(weights)), nothing), where=drawn > 0
    )
    return means


def _weighted_medians(values: F64, weights: F64) -> F64:
    """Median of each row in each resample, and 0 where no case is drawn; shape (rows, resamples)."""
    drawn = weights.sum(axis=1)
    medians = []
    for row in values:
        order = np.argsort(row)
        counted = np.cumsum(weights[:, order], axis=1)
        low, high = (
            row[order][(counted > middle[:, None]).argmax(axis=1)]
            for middle in ((drawn - 1) // 2, drawn // 2)
        )
        medians.append(np.where(drawn > 0, (low + high) / 2, 0.0))
    return np.array(medians, np.float64)


def _ranked(cost: F64) -> F64:
    return np.asarray(stats.rankdata(cost, method="average", axis=0), np.float64)


def _resampled(cost: F64, weights: F64) -> F64:
    """The costs of the cases drawn in each resample; shape (submissions, resamples, cases)."""
    cases = np.arange(cost.shape[1])
    drawn = np.stack([np.repeat(cases, counts.astype(np.intp)) for counts in weights])
    return np.asarray(cost[:, drawn], np.float64)


def _wins(cost: F64) -> F64:
    """Number of submissions that each beats significantly in each resample; shape (submissions, resamples).

    The p values are not corrected for their number: under Holm's method a worse result of one pair can make
    another pair significant, so that a submission could gain by losing.

    Args:
        cost: shape (submissions, resamples, cases), see `costs`; where fewer cases than a test needs are not
            NaN, nobody wins.
    """
    enough = (~np.isnan(cost[0])).sum(axis=-1) >= LEAST_CASES
    wins: F64 = ((superiority_p(cost) < SIGNIFICANT).sum(axis=1) * enough).astype(np.float64)
    return wins


def superiority_p(cost: F64) -> F64:
    """P value of "the first submission has lower costs than the second", for all pairs.

    One-sided Wilcoxon signed-rank tests (`signed_rank_p`). Cases without a difference are ranked but not
    counted (Pratt): if they were left out, one more lost case could make a test significant.

    Args:
        cost: shape (submissions, …, cases); an infinite cost is larger than any other, and a case that is NaN
            does not count.

    Returns:
        Shape (submissions, submissions, …); 1 where no case differs, and for a submission and itself.
    """
    p_values = np.ones((len(cost), *cost.shape[:-1]))
    for i in range(len(cost)):
        for j in range(i + 1, len(cost)):
            # Where both are infinite there is no difference.
            same = cost[i] == cost[j]
            difference = np.subtract(cost[j], cost[i], out=np.zeros_like(cost[i]), where=~same)
            p_values[i, j], p_values[j, i] = signed_rank_p(difference, rank_zeros=True)
    return p_values


def kendall_tau(first: F64, others: F64) -> F64:
    """Kendall's τ-b between one ranking and each of several, which takes ties into account.

    Args:
        first: shape (submissions,).
        others: shape (submissions, rankings).

    Returns:
        Shape (rankings,), -1 to 1; NaN where one of the two ranks all alike.
    """
    i, j = np.triu_indices(len(first), 1)
    a = np.sign(np.round(first[i] - first[j], 9))
    b = np.sign(np.round(others[i] - others[j], 9))
    size = np.sqrt((a**2).sum() * (b**2).sum(axis=0))
    tau: F64 = np.divide(a @ b, size, out=np.full(others.shape[1], np.nan), where=size > 0)
    return tau


def rank(submissions: Sequence[str], values: Mapping[str, F64], rules: RankingRules) -> Ranking:
    """Rank submissions.

    Args:
        submissions: their names.
        values: metric to its values of shape (submissions, cases), with what costs nothing taken off; NaN
            where missing. Metrics of the rules that are not in it do not count.
        rules: the metrics, their weights and the scheme.
    """
    metrics = [metric for metric in rules.metrics if metric.name in values]
    cases = next(iter(values.values())).shape[1]
    everything = np.ones((1, cases))
    ranks = {
        metric.name: metric_ranks(values[metric.name], metric, rules, everything)[:, 0] for metric in metrics
    }
    scores = _score(values, metrics, rules, everything)[:, 0]
    final = places(scores)
    slow = rules.scheme == "test-then-rank" or cases > MANY_CASES
    resamples = FEWER_RESAMPLES if slow else RESAMPLES
    redrawn = _score(values, metrics, rules, bootstrap_weights(cases, resamples))
    resampled = places(redrawn)
    # Places that occur, and none between two of them.
    low, median, high = np.percentile(resampled, (2.5, 50, 97.5), axis=1, method="inverted_cdf")
    by_scheme = {
        scheme: places(_score(values, metrics, _under(rules, scheme), everything)[:, 0]) for scheme in SCHEMES
    }
    per_case = _mean_case_ranks(values, metrics)
    placings = [
        Placing(
            submission=name,
            place=int(final[i]),
            score=float(scores[i]),
            ranks={metric: float(mean[i]) for metric, mean in ranks.items()},
            place_median=int(median[i]),
            place_low=int(low[i]),
            place_high=int(high[i]),
            first_share=float((resampled[i] == 1).mean()),
            place_shares=tuple(float((resampled[i] == n).mean()) for n in range(1, len(submissions) + 1)),
            place_by={scheme: int(found[i]) for scheme, found in by_scheme.items()},
            case_ranks=tuple(float(mean) for mean in per_case[i]),
        )
        for i, name in enumerate(submissions)
    ]
    return Ranking(
        placings=tuple(sorted(placings, key=lambda placing: (placing.place, placing.submission))),
        kendall=kendall_tau(scores, redrawn),
        superiorities=_superiorities(submissions, values, metrics),
    )


def _mean_case_ranks(values: Mapping[str, F64], metrics: Sequence[RankedMetric]) -> F64:
    """Weighted mean rank over the metrics that a case has, NaN where it has none; (submissions, cases)."""
    ranks = np.stack([case_ranks(values[metric.name], metric.more_is_better) for metric in metrics])
    shares = np.stack([metric.weight * ~_held_by_none(values[metric.name]) for metric in metrics])
    sums, total = (ranks * shares[:, None]).sum(axis=0), shares.sum(axis=0)
    means: F64 = np.divide(sums, total, out=np.full(sums.shape, np.nan), where=total > 0)
    return means


def _under(rules: RankingRules, scheme: Scheme) -> RankingRules:
    return RankingRules(metrics=rules.metrics, scheme=scheme, aggregate=rules.aggregate)


def _score(
    values: Mapping[str, F64], metrics: Sequence[RankedMetric], rules: RankingRules, weights: F64
) -> F64:
    """Weighted mean rank over the metrics in each resample; shape (submissions, resamples)."""
    shares = np.array([metric.weight for metric in metrics])
    ranks = np.stack([metric_ranks(values[metric.name], metric, rules, weights) for metric in metrics])
    return np.asarray(np.tensordot(shares / shares.sum(), ranks, axes=1), np.float64)


def _superiorities(
    submissions: Sequence[str], values: Mapping[str, F64], metrics: Sequence[RankedMetric]
) -> tuple[Superiority, ...]:
    found = []
    for metric in metrics:
        if (~_held_by_none(values[metric.name])).sum() < LEAST_CASES:
            continue
        p_values = superiority_p(costs(values[metric.name], metric))
        pairs = [(i, j) for i in range(len(submissions)) for j in range(len(submissions)) if i != j]
        corrected = holm([float(p_values[pair]) for pair in pairs])
        found += [
            Superiority(
                metric=metric.name,
                better=submissions[i],
                worse=submissions[j],
                p=float(p_values[i, j]),
                p_holm=p_holm,
            )
            for (i, j), p_holm in zip(pairs, corrected, strict=True)
        ]
    return tuple(found)
