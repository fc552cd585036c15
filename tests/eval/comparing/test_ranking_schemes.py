"""Schemes of ranking, compared with scipy and with what can be worked out on paper; and rules of one's
own."""

import json

import numpy as np
import pytest
from scipy import stats

from eval.comparing.ranking import _weighted_medians, kendall_tau, rank, superiority_p
from eval.comparing.ranking_rules import RANKINGS, RankedMetric, RankingRules, find_rules
from eval.eval_errors import JudgingError
from tests.eval.command_line import assert_refused, call, files_in, rows_of
from tests.eval.comparing.test_rank_tables import cost, submission

NAN = float("nan")
DSC = RankedMetric(name="DSC", better="more")
TIME = RankedMetric(name="Time", better="less")


def placings(values, rules):
    teams = [f"t{i}" for i in range(len(next(iter(values.values()))))]
    return {each.submission: each for each in rank(teams, values, rules).placings}


def test_averages_are_ranked_where_one_bad_case_weighs_more_than_two_good_ones():
    """Ranks of cases 1, 1, 2 against 2, 2, 1; means 0.6 against 0.7."""
    values = {"DSC": np.array([[0.9, 0.9, 0.0], [0.7, 0.7, 0.7]])}
    by_rank = placings(values, RankingRules(metrics=(DSC,)))
    by_mean = placings(values, RankingRules(metrics=(DSC,), scheme="aggregate-then-rank"))
    by_median = placings(
        values, RankingRules(metrics=(DSC,), scheme="aggregate-then-rank", aggregate="median")
    )
    assert [by_rank[name].place for name in ("t0", "t1")] == [1, 2]
    assert [by_mean[name].place for name in ("t0", "t1")] == [2, 1]
    assert [by_median[name].place for name in ("t0", "t1")] == [1, 2]
    assert by_rank["t0"].place_by == {
        "rank-then-aggregate": 1, "aggregate-then-rank": 2, "test-then-rank": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        (DSC, [[0.5, NAN], [0.2, 0.1]], [1, 2]),  # 0.25 against 0.15: a missing case is 0
        (DSC, [[0.2, NAN], [0.2, 0.1]], [2, 1]),
        (TIME, [[10.0, NAN], [1000.0, 2000.0]], [2, 1]),  # 1805 s against 1500: a missing case took an hour
        (TIME, [[10.0, 9000.0], [10.0, NAN]], [1, 1]),  # and nothing costs more
        (RankedMetric(name="Heat", better="less"), [[1.0, NAN], [500.0, 500.0]], [2, 1]),
        (RankedMetric(name="Heat", better="less", worst=600.0), [[1.0, NAN], [500.0, 500.0]], [1, 2]),
    ],
)
def test_a_missing_case_takes_the_worst_value_of_its_metric(metric, values, expected):
    rules = RankingRules(metrics=(metric,), scheme="aggregate-then-rank")
    found = placings({metric.name: np.array(values)}, rules)
    assert [found[name].place for name in ("t0", "t1")] == expected


@pytest.mark.parametrize("aggregate", ["mean", "median"])
def test_a_case_that_no_submission_has_does_not_count(aggregate):
    """The truth of the second and third case lacks the structure: 10 mm against 20 decide, not infinity."""
    distance = RankedMetric(name="HD95_mm", better="less")
    values = {"HD95_mm": np.array([[20.0, NAN, NAN], [10.0, NAN, NAN]])}
    rules = RankingRules(metrics=(distance,), scheme="aggregate-then-rank", aggregate=aggregate)
    found = placings(values, rules)
    assert [found[name].place for name in ("t0", "t1")] == [2, 1]
    # In resamples without the first case, (2/3)³ of them, both tie.
    assert found["t0"].first_share == pytest.approx(8 / 27, abs=0.02)
    # Ranks of the one case that counts, not of three of which two are ties.
    by_rank = placings(values, RankingRules(metrics=(distance,)))
    assert [by_rank[name].score for name in ("t0", "t1")] == [2.0, 1.0]


@pytest.mark.parametrize("empty", [0, 3, 100])
def test_a_case_that_no_submission_has_makes_no_test_significant(empty):
    """Six wins and a loss by more: 19 of the 128 subsets of the ranks 1 to 7 sum up to 7 at most, whatever
    nobody has. Three wins are too few for a test.
    """
    metric = RankedMetric(name="DSC", better="more")
    rules = RankingRules(metrics=(metric,), scheme="test-then-rank")
    for wins, losses, p in ((6, 1, 19 / 128), (3, 0, None)):
        better = [0.9 + i / 100 for i in range(wins)] + [0.1] * losses
        worse = [0.8] * wins + [0.9 + i / 100 for i in range(losses)]
        values = {"DSC": np.array([[*better, *[NAN] * empty], [*worse, *[NAN] * empty]])}
        ranking = rank(["t0", "t1"], values, rules)
        assert [placing.place for placing in ranking.placings] == [1, 1]
        found = [test.p for test in ranking.superiorities if test.better == "t0"]
        assert found == ([pytest.approx(p)] if p else [])


def test_ranks_in_a_case_are_of_the_metrics_that_it_has():
    """The second case has a time alone; nobody has anything of the third."""
    values = {
        "DSC": np.array([[0.9, NAN, NAN], [0.8, NAN, NAN]]),
        "Time": np.array([[2, 1, NAN], [1, 2, NAN]]),
    }
    found = placings(values, RankingRules(metrics=(DSC, TIME)))
    assert found["t0"].case_ranks == pytest.approx((1.5, 1.0, NAN), nan_ok=True)
    assert found["t1"].case_ranks == pytest.approx((1.5, 2.0, NAN), nan_ok=True)


@pytest.mark.parametrize("cases", [1, 4, 5])
def test_medians_of_resamples_are_those_of_numpy(cases):
    generator = np.random.default_rng(cases)
    values = generator.uniform(size=(3, cases)).round(1)
    weights = generator.multinomial(cases, np.full(cases, 1 / cases), size=50).astype(np.float64)
    expected = [[np.median(np.repeat(row, drawn.astype(int))) for drawn in weights] for row in values]
    assert _weighted_medians(values, weights) == pytest.approx(np.array(expected))


def test_equal_means_tie_though_their_last_digits_differ():
    """The mean of 0.1, 0.2 and 0.3 is 0.20000000000000004, and of 0.3, 0.2 and 0.1 0.19999999999999998."""
    means = [(0.1 + 0.2 + 0.3) / 3, (0.3 + 0.2 + 0.1) / 3]
    assert means[0] != means[1]
    found = placings({"DSC": np.array([[mean] for mean in means])}, RankingRules(metrics=(DSC,)))
    assert [found[name].score for name in ("t0", "t1")] == [1.5, 1.5]


def test_tests_of_superiority_are_of_cases_that_differ():
    """The first is better than the second in three of 20 cases, and nobody knows the last: 1 of 2^3."""
    cost = np.array([[0.1] * 3 + [0.3] * 17 + [NAN], [0.2] * 3 + [0.3] * 17 + [NAN]])
    assert superiority_p(cost).tolist() == [[1.0, 0.125], [1.0, 1.0]]
    resampled = superiority_p(cost[:, np.array([np.arange(21), np.arange(21)[::-1]])])
    assert resampled.tolist() == [[[1.0, 1.0], [0.125, 0.125]], [[1.0, 1.0], [1.0, 1.0]]]


def test_few_cases_that_differ_among_many_beat_nobody():
    """Four wins and 96 ties: 1 of 2^4 patterns is as good."""
    values = {"DSC": np.array([[0.9] * 100, [0.8] * 4 + [0.9] * 96])}
    ranking = rank(["t0", "t1"], values, RankingRules(metrics=(DSC,), scheme="test-then-rank"))
    assert [placing.place for placing in ranking.placings] == [1, 1]
    assert {test.better: test.p for test in ranking.superiorities} == {"t0": 0.0625, "t1": 1.0}


def test_submissions_are_ranked_by_whom_they_beat():
    generator = np.random.default_rng(5)
    base = generator.uniform(0.5, 0.6, 20)
    values = {"DSC": np.stack([base + 0.3, base + 0.2, base + 0.2, base])}
    found = placings(values, RankingRules(metrics=(DSC,), scheme="test-then-rank"))
    assert [found[f"t{i}"].score for i in range(4)] == [1.0, 2.5, 2.5, 4.0]
    assert [found[f"t{i}"].place for i in range(4)] == [1, 2, 2, 4]
    assert found["t0"].first_share == 1.0


def test_every_pair_is_tested_in_every_metric():
    generator = np.random.default_rng(5)
    base = generator.uniform(0.5, 0.6, 20)
    ranking = rank(["a", "b", "c"], {"DSC": np.stack([base + 0.1, base, base])}, RankingRules(metrics=(DSC,)))
    p = {(test.better, test.worse): (test.p, test.p_holm) for test in ranking.superiorities}
    assert len(p) == 6
    assert p["a", "b"][0] < 1e-4
    assert p["a", "b"][1] == pytest.approx(min(1.0, 6 * p["a", "b"][0]))
    assert p["b", "c"] == (1.0, 1.0)
    assert p["b", "a"][0] == pytest.approx(1 - p["a", "b"][0])


@pytest.mark.parametrize("seed", range(3))
def test_kendalls_tau_is_that_of_scipy(seed):
    generator = np.random.default_rng(seed)
    first = generator.integers(0, 4, 6).astype(float)
    others = generator.integers(0, 4, (6, 10)).astype(float)
    expected = [stats.kendalltau(first, others[:, i]).statistic for i in range(10)]
    assert kendall_tau(first, others) == pytest.approx(np.array(expected), nan_ok=True)


def test_a_firm_ranking_agrees_with_all_its_resamples_and_shares_add_up():
    values = {"DSC": np.stack([np.full(10, 0.9), np.full(10, 0.8), np.full(10, 0.7)])}
    ranking = rank(["a", "b", "c"], values, RankingRules(metrics=(DSC,)))
    assert ranking.kendall.tolist() == [1.0] * len(ranking.kendall)
    assert [each.place_shares for each in ranking.placings] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert [each.case_ranks for each in ranking.placings] == [(1.0,) * 10, (2.0,) * 10, (3.0,) * 10]


OWN = """\
name: ours
scheme: aggregate-then-rank
lenient_s: 5
metrics:
  - {name: Liver_DSC, better: more}
  - {name: Heat_kJ, better: less, weight: 0.5}
"""


def test_rules_of_ones_own_take_any_column(tmp_path, capsys):
    (tmp_path / "rules.yaml").write_text(OWN)
    hot = submission(tmp_path / "hot", {"a": 0.9, "b": 0.9}, dict.fromkeys("ab", cost(Heat_kJ=30)))
    cool = submission(tmp_path / "cool", {"a": 0.8, "b": 0.8}, dict.fromkeys("ab", cost(Heat_kJ=10)))
    words = ("rank", hot, cool, "--rules", tmp_path / "rules.yaml", "--output", tmp_path / "r.csv")
    assert call(*words) == 0
    # Ranks 1 and 2 in DSC with weight 1, 2 and 1 in heat with weight one half.
    assert [(row["Submission"], row["Score"]) for row in rows_of(tmp_path / "r.csv")] == [
        ("hot", "1.3333"),
        ("cool", "1.6667"),
    ]
    out = capsys.readouterr().out
    assert "2 cases, ours, aggregate-then-rank" in out
    assert "too few cases for tests" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics: []", "metrics: must name at least one"),
        ("metrics: [{name: DSC, better: most}]", "metrics[0].better"),
        ("metrics: [{name: DSC, better: more, weight: -1}]", "weight: must be above 0"),
        ("metrics: [{name: DSC, better: more}, {name: DSC, better: more}]", "a metric stands twice"),
        ("metrics: [{name: DSC, better: more}]\nscheme: by-eye", "scheme"),
        ("metrics: [{name: DSC, better: more}]\nlenient_s: -1", "lenient_s"),
        ("metrics: [", "rules.yaml: "),
        ("metrics: [{name: Beauty, better: more}]", "Beauty of the rules own is in neither table of team"),
    ],
)
def test_rules_that_do_not_serve(tmp_path, capsys, text, said):
    (tmp_path / "rules.yaml").write_text(text)
    team = submission(tmp_path / "team", {"a": 0.9}, {"a": cost()})
    before = files_in(tmp_path)
    words = ("rank", team, "--rules", tmp_path / "rules.yaml", "--output", tmp_path / "r.csv")
    assert_refused(capsys, words, said)
    assert files_in(tmp_path) == before


def test_rules_of_no_name():
    with pytest.raises(
        JudgingError, match="known are flare21, flare22, flare23, flare24-lesion, flare24-laptop"
    ):
        find_rules("flare99")
    assert find_rules("flare21") is RANKINGS["flare21"]


@pytest.mark.parametrize(
    ("year", "names"),
    [
        ("flare21", ["DSC", "NSD", "Time", "MaxGPU_Mem"]),
        ("flare24-lesion", ["Lesion_DSC", "Lesion_NSD", "Time", "AUC_GPU"]),
        ("flare24-laptop", ["DSC", "NSD", "Time", "AUC_CPU", "AUC_RAM"]),
    ],
)
def test_what_the_other_years_rank_by(tmp_path, year, names):
    assert [metric.name for metric in RANKINGS[year].metrics] == names
    costs = dict.fromkeys("ab", cost(AUC_RAM_Time=500, MaxGPU_Mem=800))
    team = submission(tmp_path / "team", {"a": 0.9, "b": 0.8}, costs)
    assert call("rank", team, "--rules", year, "--output", tmp_path / "r.csv") == 0
    assert {name for name in rows_of(tmp_path / "r.csv")[0] if name.startswith("Rank_")} == {
        f"Rank_{name}" for name in names
    }


def test_the_long_table_is_what_challenger_reads(tmp_path):
    one = submission(tmp_path / "one", {"a": 0.9, "b": 0.7}, {"a": cost(20), "b": cost(30, Status="failed")})
    two = submission(tmp_path / "two", {"a": 0.8, "b": 0.6}, dict.fromkeys("ab", cost(16)))
    words = ("rank", one, two, "--output", tmp_path / "r.csv")
    assert call(*words) == 1
    rows = rows_of(tmp_path / "r_cases.csv")
    assert list(rows[0]) == ["Task", "Case", "Algorithm", "Value"]
    assert len(rows) == len(RANKINGS["flare23"].metrics) * 2 * 2
    assert {(row["Case"], row["Algorithm"]): row["Value"] for row in rows if row["Task"] == "Time"} == {
        ("a", "one"): "5", ("b", "one"): "NA", ("a", "two"): "1", ("b", "two"): "1",
    }  # fmt: skip
    details = json.loads((tmp_path / "r_details.json").read_text(encoding="utf-8"))
    assert (details["scheme"], details["cases"]) == ("rank-then-aggregate", 2)
    assert [len(each["place_shares"]) for each in details["submissions"]] == [2, 2]


def test_areas_without_a_curve_are_called_a_lower_bound(tmp_path, capsys):
    bare = submission(tmp_path / "bare", {"a": 0.9}, {"a": cost()})
    ours = submission(tmp_path / "ours", {"a": 0.9}, {"a": cost(GPU_Above4GB_MBs=0)})
    assert call("rank", bare, ours, "--output", tmp_path / "r.csv") == 0
    err = capsys.readouterr().err
    assert "bare: GPU memory beyond 4096 MB is a lower bound" in err
    assert "ours" not in err


def test_where_both_have_nothing_neither_is_ahead():
    """A tie and three differences of one sign, ranks 2 to 4: one pattern of eight."""
    cost = np.array([[np.inf, 1.0, 1.0, 1.0], [np.inf, 2.0, 3.0, 4.0]])
    assert superiority_p(cost) == pytest.approx(np.array([[1.0, 1 / 8], [1.0, 1.0]]))
