import csv
import math

import numpy as np
import pytest

from eval.__main__ import main
from eval.comparing.ranking import case_ranks, places, rank
from eval.comparing.ranking_rules import RankedMetric, RankingRules
from eval.files import case_of
from eval.scoring.challenges import CHALLENGES

DSC = RankedMetric(name="DSC", weight=1.0, better="more")
TIME = RankedMetric(name="Time", weight=1.0, better="less")
FLARE23 = CHALLENGES["flare23"].short_names.values()


def test_ties_share_a_rank_and_missing_cases_come_last():
    values = np.array([[0.9, 0.5], [0.8, math.nan], [0.8, 0.0]])
    assert case_ranks(values, True).tolist() == [[1, 1], [2.5, 3], [2.5, 2]]
    assert case_ranks(values, False).tolist() == [[3, 2], [1.5, 3], [1.5, 1]]


def test_ties_share_the_better_place():
    assert places(np.array([2.0, 1.5, 2.0, 3.0])).tolist() == [2, 1, 2, 4]


def test_a_ranking_that_a_reader_can_check():
    """Ranks in DSC 1, 2 and 2, 1; in time 1, 2 twice: means 1.25 and 1.75."""
    values = {"DSC": np.array([[0.9, 0.7], [0.8, 0.8]]), "Time": np.array([[10.0, 10.0], [20.0, 20.0]])}
    first, second = rank(["a", "b"], values, RankingRules(metrics=(DSC, TIME))).placings
    assert (first.submission, first.place, first.score) == ("a", 1, 1.25)
    assert (second.submission, second.place, second.score) == ("b", 2, 1.75)
    assert first.ranks == {"DSC": 1.5, "Time": 1.0}


def test_weights_decide():
    values = {"DSC": np.array([[0.9], [0.8]]), "Time": np.array([[20.0], [10.0]])}
    half = RankedMetric(name="Time", weight=0.5, better="less")
    assert [p.place for p in rank(["a", "b"], values, RankingRules(metrics=(DSC, TIME))).placings] == [1, 1]
    assert [
        (p.submission, round(p.score, 4))
        for p in rank(["a", "b"], values, RankingRules(metrics=(DSC, half))).placings
    ] == [
        ("a", 1.3333),
        ("b", 1.6667),
    ]


def test_a_place_won_everywhere_is_firm_and_one_won_by_chance_is_not():
    generator = np.random.default_rng(7)
    values = {
        "DSC": np.stack([np.full(30, 0.95), generator.uniform(0.5, 0.9, 30), generator.uniform(0.5, 0.9, 30)])
    }
    first, second, third = rank(["best", "x", "y"], values, RankingRules(metrics=(DSC,))).placings
    assert (first.submission, first.place_low, first.place_high, first.first_share) == ("best", 1, 1, 1)
    assert (second.place_low, third.place_high) == (2, 3)
    assert (second.place_high, third.place_low) == (3, 2)


def test_places_are_those_of_95_percent_of_the_resamples():
    """The first is ahead in 12 of 17 cases, and in 8 or fewer of the 17 that are drawn in 3.6 % of the
    resamples: more than the 2.5 % that are left out at either end, less than 5 %.
    """
    behind = sum(math.comb(17, n) * (12 / 17) ** n * (5 / 17) ** (17 - n) for n in range(9))
    assert behind == pytest.approx(0.036, abs=0.001)
    values = {"DSC": np.array([[1.0] * 12 + [0.0] * 5, [0.0] * 12 + [1.0] * 5])}
    first, second = rank(["a", "b"], values, RankingRules(metrics=(DSC,))).placings
    assert (first.submission, first.place_low, first.place_high) == ("a", 1, 2)
    assert (second.place_low, second.place_high) == (1, 2)


@pytest.mark.parametrize("name", ["a.nii.gz", "a_0000.nii.gz", "a.nii", "a"])
def test_cases_are_found_by_any_name(name):
    assert case_of(name) == "a"


def submission(folder, scores: dict[str, float], seconds: float, gpu: str, status: str = "") -> str:
    folder.mkdir()
    columns = [f"{name}_{metric}" for metric in ("DSC", "NSD") for name in FLARE23]
    lines = [
        ",".join(["Name", *columns]),
        *(",".join([f"{case}.nii.gz", *[str(s)] * len(columns)]) for case, s in scores.items()),
    ]
    (folder / "dsc.csv").write_text("\n".join(lines) + "\n")
    rows = [f"{case}_0000.nii.gz,{seconds},5000,{gpu},50,100,9000,90000,{status or 'ok'}" for case in scores]
    header = "Name,Time,MaxGPU_Mem,AUC_GPU_Time,MaxCPU_Utilization,AUC_CPU_Time,MaxRAM,AUC_RAM_Time,Status"
    (folder / "team_Efficiency.csv").write_text("\n".join([header, *rows]) + "\n")
    return str(folder)


def table(path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_tolerances_make_ties(tmp_path, capsys):
    """12 s and 14 s both cost nothing, 60 000 MB·s are less than 4096 MB for 15 s."""
    one = submission(tmp_path / "one", {"a": 0.9, "b": 0.9}, 12, "40000")
    two = submission(tmp_path / "two", {"a": 0.9, "b": 0.9}, 14, "50000")
    assert main(["rank", one, two, "--output", str(tmp_path / "ranking.csv")]) == 0
    assert [
        (row["Place"], row["Score"], row["Rank_Time"], row["Rank_AUC_GPU"])
        for row in table(tmp_path / "ranking.csv")
    ] == [("1", "1.5000", "1.5000", "1.5000")] * 2
    assert "2 cases" in capsys.readouterr().out
    assert (
        main(["rank", one, two, "--output", str(tmp_path / "ranking.csv"), "--rules", "flare22", "--force"])
        == 0
    )
    assert [(row["Submission"], row["Rank_Time"]) for row in table(tmp_path / "ranking.csv")] == [
        ("one", "1.0000"),
        ("two", "2.0000"),
    ]


def test_failed_and_absent_cases_come_last_and_are_named(tmp_path, capsys):
    good = submission(tmp_path / "good", {"a": 0.5, "b": 0.5}, 100, "")
    short = submission(tmp_path / "short", {"a": 0.9}, 1, "")
    failed = submission(tmp_path / "failed", {"a": 0.9, "b": 0.9}, 1, "", "timeout")
    (tmp_path / "cases.csv").write_text("Name\na.nii.gz\nb.nii.gz\n")
    call = ["rank", good, short, failed, "--output", str(tmp_path / "ranking.csv")]
    assert main(call) == 2
    assert "b is only in" in capsys.readouterr().err
    assert main([*call, "--cases", str(tmp_path / "cases.csv")]) == 1
    rows = {row["Submission"]: row for row in table(tmp_path / "ranking.csv")}
    assert [rows[name]["Missing"] for name in ("good", "short", "failed")] == ["0", "1", "2"]
    assert rows["failed"]["Place"] == "3"
    err = capsys.readouterr().err
    assert "AUC_GPU is left out" in err
    assert "failed: 2 of 2 cases missing or failed" in err


@pytest.mark.parametrize("missing", ["dsc.csv", "team_Efficiency.csv"])
def test_a_folder_without_its_tables_is_one_line(tmp_path, capsys, missing):
    one = submission(tmp_path / "one", {"a": 0.9}, 12, "40000")
    (tmp_path / "one" / missing).unlink()
    assert main(["rank", one, "--output", str(tmp_path / "ranking.csv")]) == 2
    assert "it must hold one" in capsys.readouterr().err
    assert not (tmp_path / "ranking.csv").exists()
