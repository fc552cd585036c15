import math

import numpy as np
import pytest

from eval.scoring.challenges import CHALLENGES, Challenge, Rules
from eval.scoring.pairs import CaseScores
from eval.scoring.structure_scores import Metric, StructureScore
from eval.scoring.summary import summarize, summarize_values
from model.labels import LabelSet

FLARE21, FLARE23 = CHALLENGES["flare21"], CHALLENGES["flare23"]


def results(challenge, *cases: list[float]) -> list[CaseScores]:
    names = challenge.labels.names
    return [
        CaseScores(
            name=f"{i}",
            scores={name: StructureScore(dice=v, nsd=v / 2) for name, v in zip(names, values, strict=True)},
        )
        for i, values in enumerate(cases)
    ]


def rows_of(*args) -> dict[tuple[str, str], object]:
    return {(row.structure, str(row.metric)): row for row in summarize(*args)}


def test_figures_by_hand():
    rows = rows_of(
        results(FLARE21, [0.9, 0.8, 0.7, 0.6], [0.7, 0.8, 0.5, 0.0]), FLARE21, [Metric.DSC], Rules.STRICT
    )
    liver, mean = rows["liver", "DSC"], rows["organ mean", "DSC"]
    assert (liver.cases, liver.mean, liver.median) == (2, pytest.approx(0.8), pytest.approx(0.8))
    assert liver.sd == pytest.approx(math.sqrt(0.02))
    assert mean.mean == pytest.approx((0.8 + 0.8 + 0.6 + 0.3) / 4)
    assert mean.sd == pytest.approx(np.std([0.75, 0.5], ddof=1))
    assert ("lesion", "DSC") not in rows


def test_several_lesions_have_a_mean_of_their_own():
    labels = LabelSet(
        name="own", ids={"liver": 1, "cyst": 2, "metastasis": 3}, lesions=("cyst", "metastasis")
    )
    own = Challenge(
        labels=labels,
        short_names={n: n for n in labels.names},
        tolerances_mm=dict.fromkeys(labels.names, 2.0),
    )
    rows = rows_of(results(own, [1.0, 0.2, 0.4], [0.5, 0.6, math.nan]), own, [Metric.DSC], Rules.STRICT)
    # The lesions' means are (0.2 + 0.6) / 2 and 0.4; the cases' means are 0.3 and 0.6.
    assert rows["lesion mean", "DSC"].mean == pytest.approx(0.4)
    assert rows["lesion mean", "DSC"].median == pytest.approx(0.45)
    assert rows["organ mean", "DSC"].mean == pytest.approx(0.75)
    assert ("lesion", "DSC") not in rows


def test_a_set_without_organs_has_no_organ_mean():
    labels = LabelSet(name="own", ids={"cyst": 1}, lesions=("cyst",))
    own = Challenge(labels=labels, short_names={"cyst": "cyst"}, tolerances_mm={"cyst": 2.0})
    rows = rows_of(results(own, [0.5]), own, [Metric.DSC], Rules.STRICT)
    assert {structure for structure, _ in rows} == {"cyst", "lesion"}


def test_the_tumor_is_not_among_the_organs():
    rows = rows_of(results(FLARE23, [1.0] * 13 + [0.0]), FLARE23, [Metric.DSC], Rules.STRICT)
    assert rows["organ mean", "DSC"].mean == 1.0
    assert rows["lesion", "DSC"].mean == 0.0


def test_the_organisers_round_before_they_average():
    # 0.33335 and 0.66665 are rounded per case, the mean of each organ again.
    cases = [0.12345, 0.23456, 0.34567, 0.45678], [0.5, 0.25, 0.125, 0.0625]
    mean = rows_of(results(FLARE21, *cases), FLARE21, [Metric.DSC], Rules.OFFICIAL)["organ mean", "DSC"].mean
    per_organ = [round((round(a, 4) + b) / 2, 4) for a, b in zip(*cases, strict=True)]
    assert mean == pytest.approx(np.mean(per_organ), abs=1e-12)


def test_one_case_has_no_spread_and_no_case_no_figures():
    one = summarize_values("liver", Metric.DSC, np.array([0.5]))
    assert (one.mean, one.median, one.cases) == (0.5, 0.5, 1)
    assert math.isnan(one.sd)
    assert math.isnan(one.low)
    none = summarize_values("liver", Metric.DSC, np.array([math.nan]))
    assert none.cases == 0
    assert math.isnan(none.mean)


def test_infinite_values_are_counted_and_left_out():
    row = summarize_values("liver", Metric.HD95, np.array([3.0, math.inf, 5.0, math.nan]))
    assert (row.cases, row.infinite, row.mean) == (2, 1, 4.0)
    assert math.isnan(row.low)


def test_the_bootstrap_interval_of_a_mean():
    values = np.random.default_rng(0).normal(0.8, 0.1, 100)
    row = summarize_values("liver", Metric.DSC, values)
    half = 1.96 * values.std() / 10
    assert row.low == pytest.approx(values.mean() - half, abs=0.003)
    assert row.high == pytest.approx(values.mean() + half, abs=0.003)
    assert row == summarize_values("liver", Metric.DSC, values)
