"""Figures over cases that can be worked out on paper."""

import math

import numpy as np
import pytest

from eval.scoring.challenges import CHALLENGES, Rules
from eval.scoring.pairs import CaseScores
from eval.scoring.structure_scores import Metric, StructureScore
from eval.scoring.summary import LESION, ORGAN_MEAN, VOLUME_ERROR, summarize, summarize_values

NAN, INF = math.nan, math.inf
FLARE21, FLARE23 = CHALLENGES["flare21"], CHALLENGES["flare23"]


def row_of(values: list[float], metric=Metric.DSC):
    return summarize_values("liver", metric, np.array(values))


def cohort(challenge, *cases: dict[str, float], otherwise: float = NAN) -> list[CaseScores]:
    """Cases with the DSC given, NSD 1 lower, HD95 100 times and volume difference minus the DSC."""
    return [
        CaseScores(
            name=f"case_{i}",
            scores={
                name: StructureScore(
                    dice=(dice := given.get(name, otherwise)),
                    nsd=dice - 1,
                    hd95_mm=100 * dice,
                    volume_difference_ml=-dice,
                )
                for name in challenge.labels.names
            },
        )
        for i, given in enumerate(cases)
    ]


def table(results, challenge, metrics=(Metric.DSC,), rules=Rules.STRICT):
    return {(row.structure, row.metric): row for row in summarize(results, challenge, metrics, rules)}


@pytest.mark.parametrize(
    ("values", "cases", "infinite", "mean", "sd", "median"),
    [
        ([0.2, 0.4], 2, 0, 0.3, math.sqrt(0.02), 0.3),
        ([0.1, 0.2, 0.9], 3, 0, 0.4, math.sqrt((0.09 + 0.04 + 0.25) / 2), 0.2),
        ([1.0, 2.0, 3.0, 10.0], 4, 0, 4.0, math.sqrt((9 + 4 + 1 + 36) / 3), 2.5),
        ([5.0], 1, 0, 5.0, NAN, 5.0),
        ([5.0, NAN], 1, 0, 5.0, NAN, 5.0),
        ([5.0, INF, 7.0], 2, 1, 6.0, math.sqrt(2), 6.0),
        ([INF, INF], 0, 2, NAN, NAN, NAN),
        ([NAN, NAN], 0, 0, NAN, NAN, NAN),
    ],
)
def test_mean_deviation_and_median(values, cases, infinite, mean, sd, median):
    row = row_of(values)
    assert (row.cases, row.infinite) == (cases, infinite)
    assert [row.mean, row.sd, row.median] == pytest.approx([mean, sd, median], nan_ok=True)


@pytest.mark.parametrize(
    "values", [[0.3], [0.3, NAN], [NAN], [0.3, INF], [0.1, 0.2, 0.3, 0.4, 0.5, NAN, INF]]
)
def test_fewer_than_six_cases_have_no_interval(values):
    row = row_of(values)
    assert math.isnan(row.low)
    assert math.isnan(row.high)


def test_the_interval_is_the_same_every_time_and_holds_the_mean():
    values = np.random.default_rng(6).uniform(0, 1, 25).tolist()
    first, again = row_of(values), row_of(values)
    assert (first.low, first.high) == (again.low, again.high)
    assert min(values) < first.low < first.mean < first.high < max(values)


def test_the_organ_mean_is_that_of_the_organs_means():
    # The liver's mean is 0.8 over two cases, the kidney's 0.4 of the only case that has one: (0.8 + 0.4) / 2.
    rows = table(cohort(FLARE21, {"liver": 0.9, "kidney": 0.4}, {"liver": 0.7}), FLARE21)
    mean = rows[ORGAN_MEAN, Metric.DSC]
    assert mean.mean == pytest.approx(0.6)
    # The cases' own means are 0.65 and 0.7.
    assert mean.median == pytest.approx(0.675)
    assert mean.sd == pytest.approx(0.05 / math.sqrt(2))
    assert mean.cases == 2
    assert rows["spleen", Metric.DSC].cases == 0
    assert math.isnan(rows["spleen", Metric.DSC].mean)


def test_the_lesion_is_a_row_of_its_own_and_no_organ():
    results = cohort(FLARE23, {"tumor": 0.1}, {"tumor": 0.3}, otherwise=0.9)
    rows = table(results, FLARE23)
    assert rows[ORGAN_MEAN, Metric.DSC].mean == pytest.approx(0.9)
    assert rows[LESION, Metric.DSC].mean == pytest.approx(0.2)
    assert rows[LESION, Metric.DSC].mean == rows["tumor", Metric.DSC].mean


@pytest.mark.parametrize("challenge", CHALLENGES.values(), ids=CHALLENGES)
def test_rows_are_structures_then_the_organ_mean_then_the_lesion(challenge):
    results = cohort(challenge, {}, {}, otherwise=0.5)
    metrics = (Metric.DSC, Metric.NSD, Metric.HD95)
    rows = summarize(results, challenge, metrics, Rules.STRICT)
    expected = [
        *challenge.labels.names,
        *([ORGAN_MEAN] if challenge.labels.organs else []),
        *([LESION] if "tumor" in challenge.labels.ids else []),
    ]
    assert [row.structure for row in rows] == expected * len(metrics)
    assert [row.metric for row in rows] == [metric for metric in metrics for _ in expected]


def test_too_much_of_one_organ_does_not_make_up_for_too_little_of_another():
    """Liver 3 and -1 ml, kidney -3 ml, others 0: signed means would leave -0.5 of an error of 1.25."""
    results = cohort(FLARE21, {"liver": -3.0, "kidney": 3.0}, {"liver": 1.0, "kidney": 3.0}, otherwise=0.0)
    rows = table(results, FLARE21, (Metric.VOLUME_DIFFERENCE,))
    signed = [rows[name, Metric.VOLUME_DIFFERENCE].mean for name in FLARE21.labels.names]
    sizes = [rows[name, VOLUME_ERROR].mean for name in FLARE21.labels.names]
    assert dict(zip(FLARE21.labels.names, signed, strict=True)) == {
        "liver": 1.0, "kidney": -3.0, "spleen": 0.0, "pancreas": 0.0,
    }  # fmt: skip
    assert dict(zip(FLARE21.labels.names, sizes, strict=True)) == {
        "liver": 2.0, "kidney": 3.0, "spleen": 0.0, "pancreas": 0.0,
    }  # fmt: skip
    assert rows[ORGAN_MEAN, VOLUME_ERROR].mean == 1.25
    assert (ORGAN_MEAN, Metric.VOLUME_DIFFERENCE) not in rows


@pytest.mark.parametrize(
    ("metric", "expected"),
    [(Metric.DSC, 0.5), (Metric.NSD, -0.5), (Metric.HD95, 50.0)],
)
def test_each_metric_is_taken_from_its_own_score(metric, expected):
    rows = table(cohort(FLARE21, {}, {}, otherwise=0.5), FLARE21, (metric,))
    assert {row.mean for row in rows.values()} == {expected}


def test_an_infinite_distance_of_one_organ_is_counted_with_the_organ_mean():
    results = cohort(FLARE21, {"liver": 0.1, "kidney": INF}, {"liver": 0.3, "kidney": 0.2})
    mean = table(results, FLARE21, (Metric.HD95,))[ORGAN_MEAN, Metric.HD95]
    assert mean.infinite == 1
    # Liver 10 and 30 mm, kidney 20 mm where it is finite.
    assert mean.mean == pytest.approx((20 + 20) / 2)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        # Each case is rounded to 0.3333 and 0.6667; the organs' means are 0.3333 and 0.50005.
        (Rules.STRICT, (0.3333 + 0.50005) / 2),
        # The organisers' table then has 0.3333 and 0.5 (numpy rounds half to even) before the last mean.
        (Rules.OFFICIAL, (0.3333 + 0.5) / 2),
    ],
)
def test_when_means_are_rounded(rules, expected):
    results = cohort(FLARE21, {"liver": 0.33333, "kidney": 0.3334}, {"liver": 0.33333, "kidney": 0.66672})
    mean = table(results, FLARE21, rules=rules)[ORGAN_MEAN, Metric.DSC].mean
    assert mean == pytest.approx(expected, abs=1e-9)


def test_no_cases_give_rows_without_figures():
    rows = summarize([], FLARE21, (Metric.DSC,), Rules.STRICT)
    assert {row.cases for row in rows} == {0}
    assert all(math.isnan(row.mean) and math.isnan(row.low) for row in rows)
