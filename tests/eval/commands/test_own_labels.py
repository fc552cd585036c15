"""A label set of the user's own, from label maps to score tables, comparison, picture and report."""

import csv
import json

import numpy as np
import pytest

from eval.__main__ import main
from eval.report.page_data import Tables, page_data
from eval.scoring.own_labels import find_challenge
from eval.scoring.score_table import read_scores
from tests.eval.made import write

SPACING_ZYX_MM = (1.0, 1.0, 1.0)


def block(label: int, z: slice, y: slice = slice(2, 6)) -> np.ndarray:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[z, y, 2:6] = label
    return labels


@pytest.fixture
def folder(tmp_path):
    """Two cases: in `a` half of the liver is missing, `b` is perfect. Cyst and stent are alike everywhere."""
    (tmp_path / "labels.json").write_text(
        json.dumps({
            "name": "mine", "labels": {"liver": 1, "cyst": 5, "stent": 9}, "lesions": ["cyst"],
            "tolerances_mm": {"liver": 1},
        })
    )  # fmt: skip
    others = block(5, slice(9, 11)) + block(9, slice(9, 11), slice(7, 10))
    truth = block(1, slice(0, 8)) + others
    for name, prediction in (("a", block(1, slice(0, 4)) + others), ("b", truth)):
        write(tmp_path / "truth" / f"{name}.nii.gz", truth, SPACING_ZYX_MM)
        write(tmp_path / "pred" / f"{name}.nii.gz", prediction, SPACING_ZYX_MM)
        write(tmp_path / "images" / f"{name}_0000.nii.gz", (truth * 20).astype(np.int16), SPACING_ZYX_MM)
    return tmp_path


def score(folder, *more: str) -> int:
    options = {"--pred": "pred", "--truth": "truth", "--labels": "labels.json", "--output": "scores.csv"}
    argv = [part for name, value in options.items() for part in (name, str(folder / value))]
    return main(["score", *argv, "--jobs", "1", *more])


def table(path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_from_label_maps_to_a_page(folder):
    assert score(folder) == 0
    first, second = table(folder / "scores.csv")
    # 4 of 8 slices of the liver: DSC 2·4 / (4 + 8).
    assert [first[f"{name}_DSC"] for name in ("liver", "cyst", "stent")] == ["0.6667", "1.0", "1.0"]
    assert [second[f"{name}_NSD"] for name in ("liver", "cyst", "stent")] == ["1.0", "1.0", "1.0"]
    summary = {(row["Structure"], row["Metric"]): row for row in table(folder / "scores_summary.csv")}
    assert float(summary["organ mean", "DSC"]["Mean"]) == pytest.approx((1.6667 / 2 + 1) / 2, abs=1e-4)
    assert summary["lesion", "DSC"]["Mean"] == "1.0"

    challenge = find_challenge(str(folder))
    data = page_data(Tables(scores=read_scores(folder / "scores.csv", challenge)), "title")
    assert data["challenge"] == "mine"
    assert [(s["name"], s["id"], s["tolerance_mm"]) for s in data["structures"]] == [
        ("liver", 1, 1.0),
        ("cyst", 5, 2.0),
        ("stent", 9, 2.0),
    ]
    assert len({s["colour"] for s in data["structures"]}) == 3
    assert data["lesion"] == "lesion"
    assert [case["lesion_DSC"] for case in data["cases"]] == [1.0, 1.0]
    assert data["cases"][0]["organ_DSC"] == pytest.approx((0.6667 + 1) / 2)


def test_report_compare_and_rank_take_the_set(folder, capsys):
    score(folder)
    scores, labels = str(folder / "scores.csv"), ["--labels", str(folder)]
    shown = [part for name in ("images", "pred", "truth") for part in (f"--{name}", str(folder / name))]
    report = ["report", "--scores", scores, "--compare", scores, "--output", str(folder / "report"), *shown]
    assert main([*report, *labels, "--jobs", "1"]) == 0
    assert sorted(path.name for path in (folder / "report" / "cases").iterdir()) == ["0001.js", "0002.js"]
    assert main(["compare", scores, scores, *labels]) == 0
    assert "stent" in capsys.readouterr().out
    submission = folder / "submission"
    submission.mkdir()
    (submission / "scores.csv").write_bytes((folder / "scores.csv").read_bytes())
    times = "Name,Time,AUC_GPU_Time\na.nii.gz,12,\nb.nii.gz,13,\n"
    (submission / "efficiency.csv").write_text(times)
    assert main(["rank", str(submission), "--output", str(folder / "ranking.csv"), *labels]) == 0
    assert table(folder / "ranking.csv")[0]["Missing"] == "0"


def test_a_picture_takes_the_set(folder):
    image, labels = folder / "images" / "a_0000.nii.gz", folder / "pred" / "a.nii.gz"
    command = ["picture", "--image", str(image), "--labels", str(labels), "--output", str(folder / "a.png")]
    assert main([*command, "--label-set", str(folder / "labels.json")]) == 0
    assert (folder / "a.png").stat().st_size > 1000


def test_labels_between_those_of_the_set_are_foreign(folder, capsys):
    write(folder / "pred" / "a.nii.gz", block(3, slice(0, 4)), SPACING_ZYX_MM)
    assert score(folder) == 1
    assert "holds label 3, mine has 0 to 1, 5, 9; choose another --labels" in capsys.readouterr().err
    image, labels = folder / "images" / "a_0000.nii.gz", folder / "pred" / "a.nii.gz"
    command = ["picture", "--image", str(image), "--labels", str(labels), "--output", str(folder / "a.png")]
    assert main([*command, "--label-set", str(folder)]) == 2
    assert "holds label 3, mine has 0 to 1, 5, 9; choose another --label-set" in capsys.readouterr().err


def refused(capsys) -> str:
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


def test_wrong_input_gives_one_line_and_2(folder, capsys):
    assert score(folder, "--rules", "official") == 2
    assert "--rules official" in refused(capsys)
    (folder / "labels.json").write_text('{"labels": {"liver": 0}}')
    assert score(folder) == 2
    assert "labels.json: label set" in refused(capsys)
    (folder / "labels.json").write_text("no JSON")
    assert score(folder) == 2
    assert "cannot be read as JSON" in refused(capsys)
    assert not (folder / "scores.csv").exists()


def test_a_table_of_an_unnamed_set_asks_for_it(folder, capsys):
    score(folder)
    capsys.readouterr()
    scores = str(folder / "scores.csv")
    assert main(["compare", scores, scores]) == 2
    assert "name a label set of your own with --labels" in refused(capsys)
    assert main(["compare", scores, scores, "--labels", "flare21"]) == 2
    assert "has not the columns of a score table of flare21" in refused(capsys)
