"""Intervals, signed-rank tests and Holm's correction, against enumeration and figures worked out on paper."""

import math

import numpy as np
import pytest
from scipy import stats

from eval import statistics
from eval.statistics import bootstrap_weights, holm, mean_interval, signed_rank_p

NAN = math.nan


@pytest.mark.parametrize("ties", [0, 15, 100])
@pytest.mark.parametrize("rank_zeros", [False, True])
@pytest.mark.parametrize("differ", [1, 3, 4, 5, 6, 25])
def test_differences_of_one_sign_are_one_pattern_of_all_whatever_ties(differ, rank_zeros, ties):
    better, worse = signed_rank_p(np.array([0.1] * differ + [0.0] * ties + [NAN]), rank_zeros=rank_zeros)
    assert (better, worse) == (pytest.approx(0.5**differ), 1.0)


@pytest.mark.parametrize(
    ("differences", "rank_zeros", "above", "below"),
    [
        ([1, 2, 3, -4], False, 7 / 16, 11 / 16),  # ranks 1, 2, 3 of 10: sums of 6 or more, of 6 or less
        ([1, -1], False, 3 / 4, 3 / 4),  # both have rank 1.5
        ([2, -1, math.inf], False, 2 / 8, 7 / 8),  # ranks 2 and 3 of 6: 5 or 6
        # Without the three zeros the ranks are 1 and 2, with them 4 and 5: a sum of 5 or 9 against 2 or 3.
        ([2, -1, 0, 0, 0], False, 2 / 4, 3 / 4),
        ([2, -1, 0, 0, 0], True, 2 / 4, 3 / 4),
        # Against one difference of rank 3 the ranks 1 and 2 weigh as much; 2 and 3 weigh more than 4.
        ([1, 2, -3], False, 5 / 8, 5 / 8),
        ([1, 2, -3, 0], True, 4 / 8, 5 / 8),
        ([0, NAN], True, 1.0, 1.0),
        ([1e-12, 0.1], True, 1 / 2, 1.0),  # rounding is no difference
    ],
)
def test_signed_ranks_by_hand(differences, rank_zeros, above, below):
    found = signed_rank_p(np.array(differences, float), rank_zeros=rank_zeros)
    assert found == (pytest.approx(above), pytest.approx(below))


def test_many_differences_are_tested_as_scipy_does_it():
    generator = np.random.default_rng(3)
    differences = generator.normal(0.2, 1.0, (3, 60)).round(1)
    for rank_zeros, method in ((False, "wilcox"), (True, "pratt")):
        found = signed_rank_p(differences, rank_zeros=rank_zeros)
        for p_values, alternative in zip(found, ("greater", "less"), strict=True):
            for row, p in zip(differences, p_values, strict=True):
                scipys = stats.wilcoxon(
                    row, zero_method=method, alternative=alternative, correction=True, method="asymptotic"
                )
                assert p == pytest.approx(scipys.pvalue)


def test_the_normal_approximation_goes_on_where_the_exact_test_ends(monkeypatch):
    differences = np.where(np.arange(1, 26) % 3 == 0, -1.0, 1.0) * np.arange(1, 26)
    exact = signed_rank_p(differences, rank_zeros=True)
    monkeypatch.setattr(statistics, "EXACT_DIFFERENCES", 24)
    assert np.allclose(signed_rank_p(differences, rank_zeros=True), exact, atol=0.002)


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.02], [0.02, 0.02]),
        ([0.02, 0.01], [0.02, 0.02]),
        ([0.01, 0.011, 0.9], [0.03, 0.03, 0.9]),
        ([0.4, 0.5, 0.6], [1.0, 1.0, 1.0]),
        ([0.001, 0.01, 0.02, 0.03], [0.004, 0.03, 0.04, 0.04]),
        ([NAN, 0.01, NAN], [NAN, 0.01, NAN]),
    ],
)
def test_holm(p_values, corrected):
    assert holm(p_values) == pytest.approx(corrected, nan_ok=True)


def test_holm_never_lowers_a_p_value_and_keeps_their_order():
    for p_values in np.random.default_rng(5).uniform(0, 0.2, (20, 8)):
        corrected = holm(p_values.tolist())
        assert all(new >= old for new, old in zip(corrected, p_values, strict=True))
        order = np.argsort(p_values)
        assert np.array(corrected)[order].tolist() == sorted(corrected)
        # Nothing is corrected by more than Bonferroni would.
        assert all(new <= min(1.0, 8 * old) + 1e-12 for new, old in zip(corrected, p_values, strict=True))


@pytest.mark.parametrize("cases", [1, 2, 7, 50])
def test_every_resample_draws_as_many_cases_as_there_are(cases):
    weights = bootstrap_weights(cases, resamples=500)
    assert weights.shape == (500, cases)
    assert (weights.sum(axis=1) == cases).all()
    assert weights.mean() == 1.0


def test_without_cases_there_is_nothing_to_draw():
    assert bootstrap_weights(0, resamples=3).shape == (3, 0)
    assert mean_interval(np.zeros((0, 2))) == pytest.approx((NAN, NAN), nan_ok=True)


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.5] * 6, 0.5, 0.5),
        # One of six is 6: it is drawn never in 33 % of the resamples, 3 times in 5 %, more often in 1 %.
        ([0.0, 0.0, 0.0, 0.0, 0.0, 6.0], 0.0, 3.0),
        # One of twenty: never in 36 %, 3 times in 6 %, more often in 1.6 %; by a normal curve -0.9 to 2.9.
        ([0.0] * 19 + [20.0], 0.0, 3.0),
        ([0.0, 0.0, 0.0, 0.0, 0.0, NAN], NAN, NAN),
    ],
)
def test_the_interval_of_few_cases(values, low, high):
    assert mean_interval(np.array(values)[:, None]) == pytest.approx((low, high), nan_ok=True)


@pytest.mark.parametrize("missing", [0, 600])
def test_the_interval_of_many_cases_is_that_of_the_bootstrap(monkeypatch, missing):
    """Two structures, of which one is not scored in some cases."""
    table = np.random.default_rng(2).normal((0.01, 0.5), 0.1, (1200, 2))
    table[:missing, 1] = NAN
    normal = mean_interval(table)
    monkeypatch.setattr(statistics, "MANY_CASES", 1200)
    assert normal == pytest.approx(mean_interval(table), abs=0.0003)
    error = 0.1 * math.sqrt((1 / 1200 + 1 / (1200 - missing)) / 4)
    assert normal[1] - normal[0] == pytest.approx(2 * 1.96 * error, rel=0.03)
