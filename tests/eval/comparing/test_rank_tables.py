"""From folders of tables to a ranking: what costs how much, who comes where, what is refused."""

import math

import numpy as np
import pytest

from eval.comparing.rank_table import gather, results_of
from eval.comparing.ranking import case_ranks, places, rank
from eval.comparing.ranking_rules import RANKINGS, RankedMetric, RankingRules
from eval.comparing.submissions import read_submission
from eval.eval_errors import JudgingError
from eval.scoring.challenges import CHALLENGES
from eval.scoring.score_table import read_scores
from eval.scoring.structure_scores import Metric
from tests.eval.command_line import assert_refused, call, columns_of, files_in, rows_of

NAN = math.nan
SHORT = tuple(CHALLENGES["flare23"].short_names.values())
SHORT_21 = tuple(CHALLENGES["flare21"].short_names.values())
OFFICIAL = ("Name", "Time", "MaxGPU_Mem", "AUC_GPU_Time", "MaxCPU_Utilization", "AUC_CPU_Time")


def submission(folder, dsc: dict[str, float], costs: dict[str, dict[str, object]], tumor: float = 0.5):
    """A folder with both tables; NSD is 0.1 below DSC. `costs` maps cases to columns and their cells."""
    folder.mkdir()
    names = [f"{organ}_{kind}" for kind in ("DSC", "NSD") for organ in SHORT]
    lines = [",".join(["Name", *names])]
    for case, value in dsc.items():
        cells = [*[value] * 13, tumor, *[round(value - 0.1, 4)] * 13, tumor]
        lines.append(",".join([f"{case}.nii.gz", *map(str, cells)]))
    (folder / "scores.csv").write_text("\n".join(lines) + "\n")
    columns = list(dict.fromkeys([*OFFICIAL, *(name for cells in costs.values() for name in cells)]))
    rows = [
        ",".join([case, *(str(cells.get(name, "")) for name in columns[1:])]) for case, cells in costs.items()
    ]
    (folder / "efficiency.csv").write_text("\n".join([",".join(columns), *rows]) + "\n")
    return folder


def read_results(folder, rules, cases=None):
    """The results of a submission in some cases, by default those of its own score table."""
    read = read_submission(folder)
    return results_of(read, list(read.scores.stems) if cases is None else cases, rules)


def cost(time=10, area=1000, cpu=100, **more):
    return {"Time": time, "AUC_GPU_Time": area, "AUC_CPU_Time": cpu, **more}


@pytest.mark.parametrize(
    ("year", "names", "weights", "seconds", "megabytes"),
    [
        ("flare22", ["DSC", "NSD", "Time", "AUC_GPU", "AUC_CPU"], [1, 1, 1, 0.5, 0.5], 0, 2048),
        (
            "flare23",
            ["Organ_DSC", "Organ_NSD", "Lesion_DSC", "Lesion_NSD", "Time", "AUC_GPU"],
            [1, 1, 1, 1, 1, 1],
            15,
            4096,
        ),
    ],
)
def test_what_each_year_ranks_by(year, names, weights, seconds, megabytes):
    rules = RANKINGS[year]
    assert [metric.name for metric in rules.metrics] == names
    assert [metric.weight for metric in rules.metrics] == weights
    assert [metric.more_is_better for metric in rules.metrics] == ["DSC" in n or "NSD" in n for n in names]
    assert (rules.lenient_s, rules.lenient_mb) == (seconds, megabytes)


@pytest.mark.parametrize(
    ("year", "cells", "time", "gpu"),
    [
        # 20 s are 5 s beyond the 15 s of FLARE23; FLARE22 has no tolerance.
        ("flare23", cost(20, 0), 5, 0),
        ("flare22", cost(20, 0), 20, 0),
        ("flare23", cost(12, 0), 0, 0),
        # The organisers' table has no curve: 100 000 MB·s in 20 s are 5000 MB on average, 904 above 4096.
        ("flare23", cost(20, 100_000), 5, 100_000 - 20 * 4096),
        ("flare22", cost(20, 100_000), 20, 100_000 - 20 * 2048),
        ("flare23", cost(20, 1000), 5, 0),
        # Ours have, and it counts.
        ("flare23", cost(20, 100_000, GPU_Above4GB_MBs=30_000), 5, 30_000),
        ("flare22", cost(20, 100_000, GPU_Above2GB_MBs=70_000), 20, 70_000),
        ("flare23", cost(20, ""), 5, NAN),
    ],
)
def test_costs_are_what_goes_beyond_the_tolerances(tmp_path, year, cells, time, gpu):
    found = read_results(submission(tmp_path / "team", {"a": 0.9}, {"a": cells}), RANKINGS[year])
    assert (found.name, list(found.values)) == ("team", ["a"])
    assert found.values["a"]["Time"] == time
    assert found.values["a"]["AUC_GPU"] == pytest.approx(gpu, nan_ok=True)


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        ("flare23", {"Organ_DSC": 0.9, "Organ_NSD": 0.8, "Lesion_DSC": 0.5, "Lesion_NSD": 0.5}),
        # FLARE22 had no lesion apart; a tumor in the table counts as the fourteenth structure.
        ("flare22", {"DSC": (13 * 0.9 + 0.5) / 14, "NSD": (13 * 0.8 + 0.5) / 14, "AUC_CPU": 100}),
    ],
)
def test_accuracy_is_the_mean_of_a_case(tmp_path, year, expected):
    found = read_results(submission(tmp_path / "team", {"a": 0.9}, {"a": cost()}), RANKINGS[year])
    assert {name: found.values["a"][name] for name in expected} == pytest.approx(expected)
    assert set(found.values["a"]) == {metric.name for metric in RANKINGS[year].metrics}


def test_too_little_is_no_better_than_too_much_and_does_not_make_up_for_it(tmp_path):
    """Liver 5 ml too small, spleen 5 ml too large: 10 ml over 13 organs, and not 0."""
    folder = submission(tmp_path / "team", {"a": 0.9}, {"a": cost()})
    header, row = (folder / "scores.csv").read_text(encoding="utf-8").split()
    volumes = {name: 0.0 for name in SHORT} | {"Liver": -5.0, "Spleen": 5.0, "Tumor": -3.0}
    header += "".join(f",{name}_VolumeDifference_ml" for name in volumes)
    row += "".join(f",{volume}" for volume in volumes.values())
    (folder / "scores.csv").write_text(f"{header}\n{row}\n")
    names = ("Liver", "Spleen", "Organ", "Lesion")
    metrics = tuple(RankedMetric(name=f"{name}_VolumeDifference_ml", better="less") for name in names)
    found = read_results(folder, RankingRules(metrics=metrics)).values["a"]
    assert list(found.values()) == [5.0, 5.0, pytest.approx(10 / 13), 3.0]


@pytest.mark.parametrize("name", ["a", "a.nii.gz", "a_0000.nii.gz", "a.nii"])
def test_cases_are_one_by_whatever_name_the_tables_call_them(tmp_path, name):
    found = read_results(submission(tmp_path / "team", {"a": 0.9}, {name: cost()}), RANKINGS["flare23"])
    assert list(found.values) == ["a"]
    assert {"Organ_DSC", "Time"} <= set(found.values["a"])


@pytest.mark.parametrize("status", ["failed", "timeout", "out of memory", "no output", "invalid output"])
def test_a_case_that_did_not_end_well_has_no_values_at_all(tmp_path, status):
    costs = {"a": cost(Status=status), "b": cost(Status="ok")}
    found = read_results(submission(tmp_path / "team", {"a": 0.9, "b": 0.9}, costs), RANKINGS["flare23"])
    assert found.values["a"] == {}
    assert found.values["b"]["Organ_DSC"] == pytest.approx(0.9)


def test_values_are_gathered_case_by_case_with_nan_for_what_is_missing(tmp_path):
    rules = RANKINGS["flare23"]
    teams = [
        read_results(
            submission(tmp_path / "one", {"a": 0.9, "b": 0.7}, {"a": cost(25), "b": cost(35)}), rules
        ),
        read_results(submission(tmp_path / "two", {"b": 0.8}, {"b": cost(45)}), rules, ["a", "b"]),
    ]
    values = gather(teams, ["a", "b"], rules)
    assert values["Time"] == pytest.approx(np.array([[10, 20], [NAN, 30]]), nan_ok=True)
    assert values["Organ_DSC"] == pytest.approx(np.array([[0.9, 0.7], [NAN, 0.8]]), nan_ok=True)


@pytest.mark.parametrize(
    ("values", "more_is_better", "ranks"),
    [
        ([0.9, 0.8, 0.7], True, [1, 2, 3]),
        ([0.9, 0.8, 0.7], False, [3, 2, 1]),
        ([0.8, 0.8, 0.7], True, [1.5, 1.5, 3]),
        ([0.8, 0.8, 0.8], True, [2, 2, 2]),
        ([NAN, 0.0, 0.7], True, [3, 2, 1]),
        ([NAN, NAN, 0.7], False, [2.5, 2.5, 1]),
        ([NAN, NAN, NAN], True, [2, 2, 2]),
    ],
)
def test_ranks_within_a_case(values, more_is_better, ranks):
    assert case_ranks(np.array(values)[:, None], more_is_better).ravel().tolist() == ranks


@pytest.mark.parametrize(
    ("mean_ranks", "expected"),
    [([1.5, 2.5, 2.0], [1, 3, 2]), ([2.0, 2.0, 2.0], [1, 1, 1]), ([1 / 3 + 1 / 3 + 1 / 3, 1.0], [1, 1])],
)
def test_places_of_mean_ranks(mean_ranks, expected):
    assert places(np.array(mean_ranks)).tolist() == expected


def test_three_submissions_two_cases_and_weights_by_hand():
    dsc = RankedMetric(name="DSC", weight=1.0, better="more")
    gpu = RankedMetric(name="AUC_GPU", weight=0.5, better="less")
    values = {
        # Ranks 1, 2, 3 and 1.5, 1.5, 3.
        "DSC": np.array([[0.9, 0.8], [0.8, 0.8], [0.7, NAN]]),
        # Ranks 3, 2, 1 and 2, 2, 2.
        "AUC_GPU": np.array([[30.0, 0.0], [20.0, 0.0], [10.0, 0.0]]),
    }
    placings = {
        each.submission: each
        for each in rank(["x", "y", "z"], values, RankingRules(metrics=(dsc, gpu))).placings
    }
    # x: (1·1.25 + ½·2.5) / 1½; y: (1.75 + ½·2) / 1½; z: (3 + ½·1.5) / 1½.
    assert [round(placings[name].score, 4) for name in "xyz"] == [1.6667, 1.8333, 2.5]
    assert [placings[name].place for name in "xyz"] == [1, 2, 3]
    assert placings["y"].ranks == {"DSC": 1.75, "AUC_GPU": 2.0}
    assert all(each.place_low <= each.place_median <= each.place_high for each in placings.values())


def test_one_submission_is_first_and_that_is_certain(tmp_path):
    team = submission(tmp_path / "team", {"a": 0.9}, {"a": cost()})
    assert call("rank", team, "--output", tmp_path / "r.csv") == 0
    (row,) = rows_of(tmp_path / "r.csv")
    assert (row["Place"], row["Score"], row["Place_low"], row["Place_high"]) == ("1", "1.0000", "1", "1")
    assert (row["First_share"], row["Cases"], row["Missing"]) == ("1.0000", "1", "0")


def test_a_ranking_from_end_to_end(tmp_path, capsys):
    """`slow` is better in accuracy (four metrics), `fast` in time and GPU (two)."""
    slow = submission(tmp_path / "slow", {"a": 0.9, "b": 0.9}, dict.fromkeys("ab", cost(60, 600_000)), 0.6)
    fast = submission(tmp_path / "fast", {"a": 0.8, "b": 0.8}, dict.fromkeys("ab", cost(20, 90_000)), 0.5)
    assert call("rank", slow, fast, "--output", tmp_path / "r.csv") == 0
    rows = rows_of(tmp_path / "r.csv")
    assert [(row["Place"], row["Submission"], row["Score"]) for row in rows] == [
        ("1", "slow", f"{(4 * 1 + 2 * 2) / 6:.4f}"),
        ("2", "fast", f"{(4 * 2 + 2 * 1) / 6:.4f}"),
    ]
    assert [name for name in columns_of(tmp_path / "r.csv") if name.startswith("Rank_")] == [
        f"Rank_{metric.name}" for metric in RANKINGS["flare23"].metrics
    ]
    assert "2 cases" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"efficiency.csv": "Name,Time,AUC_GPU_Time\na,quick,1\n"}, "'quick' in column Time"),
        ({"efficiency.csv": "Name,Time\na,1\n"}, "no efficiency table"),
        ({"scores.csv": "Name,Height\na,1\n"}, "no score table"),
        ({"second.csv": "Name,Time,AUC_GPU_Time\na,1,1\n"}, "2 efficiency tables"),
        ({"scores.csv": "Name,Liver_DSC\na,1\n"}, "scores.csv: "),
        ({"efficiency.csv": "Name,Time,AUC_GPU_Time\na,1\n"}, "efficiency.csv: "),
    ],
)
def test_tables_that_do_not_serve(tmp_path, capsys, change, said):
    team = submission(tmp_path / "team", {"a": 0.9}, {"a": cost()})
    for name, text in change.items():
        (team / name).write_text(text)
    with pytest.raises(JudgingError, match=said):
        read_results(team, RANKINGS["flare23"])
    assert_refused(capsys, ("rank", team, "--output", tmp_path / "r.csv"), said, str(team))
    assert not (tmp_path / "r.csv").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none", "--output", "r.csv"), "none: no such folder"),
        (("team", "twin/team", "--output", "r.csv"), "two folders are called team"),
        (("failed", "--output", "r.csv"), "ended well"),
        (("team", "--output", "team/scores.csv"), "exists already"),
        (("team", "--output", "none/r.csv"), "no such folder"),
        (("team", "--output", "r.csv", "--rules", "flare99"), "flare99"),
        (("team",), "--output"),
        (("--output", "r.csv"), "RESULTS_DIR"),
    ],
)
def test_wrong_calls(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "twin").mkdir()
    for folder in ("team", "twin/team"):
        submission(tmp_path / folder, {"a": 0.9}, {"a": cost()})
    submission(tmp_path / "failed", {"a": 0.9}, {"a": cost(Status="failed")})
    before = files_in(tmp_path)
    assert_refused(capsys, ("rank", *words), said)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("case", ["a", "b"])
@pytest.mark.parametrize(
    ("table", "column", "cell", "must"),
    [
        ("scores", "Liver_DSC", "95", "must be 0 to 1; is it a percentage?"),
        ("scores", "Tumor_NSD", "-0.2", "must be 0 to 1"),
        ("scores", "Spleen_DSC", "inf", "must be 0 to 1"),
        ("efficiency", "Time", "-100", "must be 0 or more"),
        ("efficiency", "AUC_GPU_Time", "-1", "must be 0 or more"),
        ("efficiency", "GPU_Above4GB_MBs", "-0.5", "must be 0 or more"),
    ],
)
def test_no_place_is_won_with_what_cannot_be(tmp_path, capsys, case, table, column, cell, must):
    costs = {name: cost(GPU_Above4GB_MBs=0) for name in ("a", "b")}
    folder = submission(tmp_path / "team", {"a": 0.9, "b": 0.8}, costs)
    path = folder / f"{table}.csv"
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    lines[1 + "ab".index(case)][lines[0].index(column)] = cell
    path.write_text("\n".join(map(",".join, lines)) + "\n")
    refused = assert_refused(capsys, ("rank", folder, "--output", tmp_path / "r.csv"), f"{path}: {case}")
    assert f"has {cell} in column {column}, {must}" in refused


def test_distances_are_not_negative_and_digits_of_rounding_no_fault(tmp_path):
    """Of FLARE21, DSC and NSD a little above 1, as sums of floats are; HD95 1 mm, then -1."""
    columns = [f"{organ}_{kind}" for kind in ("DSC", "NSD", "HD95_mm") for organ in SHORT_21]
    path = tmp_path / "scores.csv"
    path.write_text(f"Name,{','.join(columns)}\na,{','.join(['1.0000000002'] * 12)}\n")
    assert read_scores(path).values["liver", Metric.DSC].tolist() == [1.0000000002]
    path.write_text(path.read_text(encoding="utf-8").rstrip().removesuffix("1.0000000002") + "-1\n")
    with pytest.raises(JudgingError, match=f"a has -1 in column {columns[-1]}, must be 0 or more"):
        read_scores(path)
