"""Tables of one submission scored by two rules: whoever reads both says so."""

import json

import numpy as np
import pytest

from eval.scoring.score_rules import scored_differently
from tests.eval.command_line import call
from tests.eval.made import write
from tests.eval.report.reports import data_in, report

SAID = "scored differently, which the scores do not show"


@pytest.fixture
def maps(tmp_path):
    """A label map of one voxel for each structure, as prediction and as truth."""
    labels = np.arange(1, 15, dtype=np.uint8).reshape(1, 1, 14).repeat(3, axis=0)
    for side in ("pred", "truth"):
        write(tmp_path / side / "a.nii.gz", labels, (1.0, 1.0, 1.0))
    return tmp_path


def score(folder, name, *more, labels="flare23"):
    (folder / name).mkdir()
    table = folder / name / "scores.csv"
    paths = ("--pred", folder / "pred", "--truth", folder / "truth", "--output", table)
    assert call("score", *paths, "--labels", labels, "--no-hd95", *more) == 0
    efficiency = "Name,Time,MaxGPU_Mem,AUC_GPU_Time,AUC_CPU_Time\na.nii.gz,1,0,0,1\n"
    (folder / name / "efficiency.csv").write_text(efficiency)
    return table


def test_strict_and_official_tables(maps, capsys):
    strict, official = score(maps, "one"), score(maps, "two", "--rules", "official")
    expected = f"{SAID}: rules: strict in {strict}, official in {official}"
    capsys.readouterr()
    assert call("compare", strict, official) == 0
    assert capsys.readouterr().err.splitlines() == [expected]
    assert call("rank", maps / "one", maps / "two", "--output", maps / "ranking.csv") == 0
    assert expected in capsys.readouterr().err.splitlines()
    assert report(maps, "--compare", official, scores="one/scores.csv") == 0
    said = f"{SAID}: rules: official in {official}, strict in {strict}"
    assert said in capsys.readouterr().err.splitlines()
    assert data_in(maps)["comparison"]["differently"] == [said]


def test_tolerances_of_a_set_of_ones_own(maps):
    tables = []
    for tolerance_mm in (1, 9):
        path = maps / f"labels{tolerance_mm}.json"
        labels = {f"organ {i}": i for i in range(1, 15)}
        path.write_text(json.dumps({"labels": labels, "tolerances_mm": {"organ 1": tolerance_mm}}))
        tables.append(score(maps, f"own{tolerance_mm}", labels=path))
    first, second = tables
    assert scored_differently(tables) == [
        f"{SAID}: tolerance of organ 1: 1.0 mm in {first}, 9.0 mm in {second}"
    ]


def test_whether_predictions_were_resampled(maps):
    first, second = score(maps, "one"), score(maps, "two", "--resample")
    assert scored_differently((first, second)) == [f"{SAID}: resample: False in {first}, True in {second}"]
    assert scored_differently((first, first)) == []


@pytest.mark.parametrize("beside", [None, "[]", '{"rules": "strict"}', '{"tolerances_mm": 3}'])
def test_what_nobody_stated_is_no_difference(maps, beside):
    first, second = score(maps, "one"), score(maps, "two")
    origin = second.with_name("scores_run.json")
    origin.unlink()
    if beside:
        origin.write_text(beside)
    assert scored_differently((first, second)) == []


def test_a_truth_that_was_mended_in_between_is_named(maps, capsys):
    first = score(maps, "one")
    labels = np.arange(1, 15, dtype=np.uint8).reshape(1, 1, 14).repeat(3, axis=0)
    labels[0, 0, 0] = 2
    write(maps / "truth" / "a.nii.gz", labels, (1.0, 1.0, 1.0))
    second = score(maps, "two")
    said = f"{SAID}: other truths of a in {first}, {second}; score them anew by the same"
    capsys.readouterr()
    assert call("compare", first, second) == 0
    assert said in capsys.readouterr().err.splitlines()
    assert call("rank", maps / "one", maps / "two", "--output", maps / "ranking.csv") == 0
    assert said in capsys.readouterr().err.splitlines()
    assert report(maps, "--compare", second, scores="one/scores.csv") == 0
    assert len(data_in(maps)["comparison"]["differently"]) == 1
    assert "truth_sha256" not in json.dumps(data_in(maps)["sources"])


def test_no_more_than_five_truths_are_named(tmp_path):
    tables = []
    for name in ("one", "two"):
        tables.append(tmp_path / f"{name}.csv")
        hashes = {f"c{i}": f"{name}{i}" for i in range(7)} | {"same": "0"}
        (tmp_path / f"{name}_run.json").write_text(json.dumps({"truth_sha256": hashes}))
    (line,) = scored_differently(tables)
    assert f"other truths of c0, c1, c2, c3, c4 and 2 more in {tables[0]}, {tables[1]}" in line
