"""Confidence intervals of means, Wilcoxon's signed-rank test and Holm's correction, as all judges use them.

An interval is that of the percentile bootstrap over cases. Of few cases it is too narrow: of ten it covers
the mean in about 90 % of samples, of five in 84 %, so that fewer than six cases have none.

A signed-rank test is exact where up to 25 pairs differ: the p value is the share of the 2^n ways to give
their ranks signs that are as extreme. Beyond that the normal approximation, with correction for continuity,
differs from it by less than 0.002 near 0.05. Where few pairs differ it would be far from it: of three
differences, all of one sign, one in eight patterns is as extreme, and not one in twenty-four.

Sources: Wilcoxon, Biometrics Bulletin 1(6), 1945; Pratt, JASA 54(287), 1959; Holm, Scandinavian Journal of
Statistics 6(2), 1979; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import stats

from model.arrays import F64

RESAMPLES = 10_000
"""Number of bootstrap resamples."""
SEED = 20220101
"""Seed of the resamples; fixed, so that the same scores have the same intervals."""
LEAST_CASES = 6
"""With fewer cases there is no interval, which would be too narrow by far, and no test, since a two-sided
signed-rank test of five pairs has no p value below 0.05."""
MANY_CASES = 1000
"""With more, resamples take gigabytes, and agree with the normal distribution that their means then have."""
EXACT_DIFFERENCES = 25
"""Most pairs that differ of which a signed-rank test is exact; of more the normal distribution is near."""


@lru_cache(maxsize=2)
def bootstrap_weights(cases: int, resamples: int = RESAMPLES) -> F64:
    """Number of times that each case is drawn in each resample with replacement; shape (resamples, cases).

    The array is shared between callers and cannot be written to.
    """
    if cases == 0:
        return np.zeros((resamples, 0))
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(cases, np.full(cases, 1.0 / cases), size=resamples).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


def column_means(table: F64) -> F64:
    """Mean of the finite numbers of each column of shape (rows, columns); NaN for a column without any."""
    finite = np.isfinite(table)
    return _divided(np.where(finite, table, 0.0).sum(axis=0), finite.sum(axis=0))


def mean_interval(table: F64) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of the columns' means over the cases; see the module.

    Args:
        table: numbers of shape (cases, columns); what is not finite was not scored and does not count.

    Returns:
        Both ends; NaN where fewer than `LEAST_CASES` cases have a number.
    """
    finite = np.isfinite(table)
    if finite.any(axis=1).sum() < LEAST_CASES:
        return math.nan, math.nan
    if len(table) > MANY_CASES:
        return _normal_interval(table[:, finite.any(axis=0)])
    weights = bootstrap_weights(len(table))
    sums = weights @ np.where(finite, table, 0.0)
    means = column_means(_divided(sums, weights @ finite.astype(np.float64)).T)
    low, high = np.percentile(means[~np.isnan(means)], (2.5, 97.5))
    return float(low), float(high)


def _normal_interval(table: F64) -> tuple[float, float]:
    """The same by the normal distribution, for columns that all have a number."""
    finite = np.isfinite(table)
    means = column_means(table)
    # What each case adds to a column's mean is its distance from it, by the share of the cases that have one.
    pulls = (np.where(finite, table - means, 0.0) / finite.mean(axis=0)).mean(axis=1)
    reach = float(stats.norm.ppf(0.975) * pulls.std(ddof=1) / math.sqrt(len(table)))
    return float(means.mean()) - reach, float(means.mean()) + reach


def _divided(sums: F64, counts: F64) -> F64:
    """The sums by the counts; NaN where nothing was counted."""
    means: F64 = np.divide(sums, counts, out=np.full(counts.shape, math.nan), where=counts > 0)
    return means


def signed_rank_p(differences: F64, *, rank_zeros: bool) -> tuple[F64, F64]:
    """One-sided p values of Wilcoxon signed-rank tests; see the module.

    Equal differences share the mean of their ranks.

    Example: of 1, 2, 3 and -4 the ranks above 0 sum up to 6 of 10. Of the 16 patterns of signs, 7 have a sum
    of 6 or more, so that the first p value is 7/16, and 11 one of 6 or less.

    Args:
        differences: of pairs, shape (…, pairs), finite or infinite; NaN does not count. Digits beyond the
            ninth are rounding.
        rank_zeros: whether pairs without a difference take the lowest ranks, which then do not count
            (Pratt), or are left out (Wilcoxon).

    Returns:
        How likely it is that the differences were so far above 0, and so far below, by chance; shape (…),
        and 1 where no pair differs.
    """
    differences = np.round(differences, 9)
    differs = (differences != 0) & ~np.isnan(differences)
    ranked = np.abs(differences) if rank_zeros else np.where(differs, np.abs(differences), np.nan)
    ranks = np.where(differs, stats.rankdata(ranked, axis=-1, nan_policy="omit"), 0.0)
    signs = np.where(differs, np.sign(differences), 0.0)
    above, below = _normal_tails(ranks, signs)
    few = differs.sum(axis=-1) <= EXACT_DIFFERENCES
    for place in map(tuple, np.argwhere(few)):
        counted = differs[place]
        above[place], below[place] = _exact_tails(ranks[place][counted], signs[place][counted])
    return above, below


def _normal_tails(ranks: F64, signs: F64) -> tuple[F64, F64]:
    """By the normal distribution: the sum of signed ranks has the variance Σ rank², and steps of 2."""
    spread = np.sqrt((ranks**2).sum(axis=-1))
    total = (signs * ranks).sum(axis=-1)
    above, below = (
        stats.norm.sf(np.divide(sum_ - 1.0, spread, out=np.full(spread.shape, -np.inf), where=spread > 0))
        for sum_ in (total, -total)
    )
    return np.array(above, np.float64), np.array(below, np.float64)


def _exact_tails(ranks: F64, signs: F64) -> tuple[float, float]:
    """By all patterns of signs, counted rank by rank; ranks are whole or half, so doubled ones are whole."""
    doubled = np.rint(2 * ranks).astype(np.intp)
    chances = np.zeros(int(doubled.sum()) + 1)
    chances[0] = 1.0
    for rank in doubled:
        without = chances.copy()
        chances[rank:] += without[: chances.size - rank]
    chances /= 2.0 ** len(doubled)
    held = int(doubled[signs > 0].sum())
    return float(chances[held:].sum()), float(chances[: held + 1].sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p values; NaN stays NaN and is not counted.

    Example: 0.01, 0.04, 0.03 become 0.03 (×3), 0.06 (no less than the one before) and 0.06 (×2).
    """
    corrected = list(p_values)
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, p_values[index] * (len(order) - rank)))
        corrected[index] = largest
    return corrected
