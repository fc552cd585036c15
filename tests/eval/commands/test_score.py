import csv
import json
import math
import os
import shutil

import numpy as np
import pytest

from eval.__main__ import main
from eval.scoring.score_table import cell
from eval.volumes import read_labels
from tests.eval.made import disturbed, organisers_scores, organs, write

SHORT = [
    "Liver", "RK", "Spleen", "Pancreas", "Aorta", "IVC", "RAG", "LAG", "Gallbladder", "Esophagus", "Stomach",
    "Duodenum", "LK", "Tumor",
]  # fmt: skip
GENERATOR = np.random.default_rng(21)
SPACING_ZYX_MM = (2.5, 0.75, 1.5)


@pytest.fixture
def folders(tmp_path):
    """Three cases with 13 organs; `b` has no prediction."""
    for name in "abc":
        truth = organs(GENERATOR, 13)
        write(tmp_path / "truth" / f"{name}.nii.gz", truth, SPACING_ZYX_MM)
        if name != "b":
            write(tmp_path / "pred" / f"{name}.nii.gz", disturbed(GENERATOR, truth), SPACING_ZYX_MM)
    return tmp_path


def score(folder, *more: str, labels: str = "flare22") -> int:
    paths = [
        "--pred",
        str(folder / "pred"),
        "--truth",
        str(folder / "truth"),
        "--output",
        str(folder / "scores.csv"),
    ]
    return main(["score", *paths, "--labels", labels, "--jobs", "1", *more])


def table(path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_an_extra_prediction_is_named_whatever_its_name_is(folders, capsys):
    extra = os.fsdecode(b"\xffx\n[4 of 4] d.nii.gz")
    shutil.copyfile(folders / "pred" / "a.nii.gz", folders / "pred" / extra)
    assert score(folders) == 1
    assert json.loads((folders / "scores_run.json").read_text(encoding="utf-8"))["left_out"] == [extra]
    said = capsys.readouterr().err.splitlines()
    assert "left out: \\udcffx\\n[4 of 4] d.nii.gz: there is no truth of this name" in said


def test_strict_scores(folders, capsys):
    assert score(folders) == 1
    rows = table(folders / "scores.csv")
    assert [row["Name"] for row in rows] == ["a.nii.gz", "b.nii.gz", "c.nii.gz"]
    kinds = ("DSC", "NSD", "HD95_mm", "VolumeDifference_ml", "TruthVolume_ml")
    assert list(rows[0]) == [
        "Name",
        *(f"{organ}_{kind}" for kind in kinds for organ in SHORT[:13]),
        "Diagonal_mm",
        "Error",
    ]
    assert rows[1]["Error"].startswith("missing")
    assert {rows[1][f"{organ}_DSC"] for organ in SHORT[:13]} == {"0.0"}
    assert rows[1]["Liver_HD95_mm"] == "inf"
    out, err = capsys.readouterr()
    assert "organ mean" in out
    assert "lesion" not in out
    assert "[3/3]" in err
    assert "b.nii.gz: missing" in err


def test_of_one_case_there_is_no_spread(folders, capsys):
    for name in "bc":
        (folders / "truth" / f"{name}.nii.gz").unlink()
    (folders / "pred" / "c.nii.gz").unlink()
    assert score(folders) == 0
    liver = next(row for row in table(folders / "scores_summary.csv") if row["Structure"] == "liver")
    assert [liver[column] for column in ("Cases", "SD", "CI95_low", "CI95_high")] == ["1", "", "", ""]
    out = capsys.readouterr().out
    assert f"{float(liver['Mean']):.4f} ± –" in out
    assert "one case: no standard deviation" in out


def test_the_summary_is_that_of_the_table(folders):
    score(folders)
    rows = table(folders / "scores.csv")
    summary = {(row["Structure"], row["Metric"]): row for row in table(folders / "scores_summary.csv")}
    liver = [float(row["Liver_DSC"]) for row in rows]
    assert float(summary["liver", "DSC"]["Mean"]) == pytest.approx(np.mean(liver), abs=1e-4)
    assert float(summary["liver", "DSC"]["SD"]) == pytest.approx(np.std(liver, ddof=1), abs=1e-4)
    assert float(summary["liver", "DSC"]["Median"]) == np.median(liver)
    assert (summary["liver", "DSC"]["CI95_low"], summary["liver", "DSC"]["CI95_high"]) == ("", "")
    assert (summary["liver", "HD95_mm"]["Cases"], summary["liver", "HD95_mm"]["Infinite"]) == ("3", "1")
    every = [float(row[f"{organ}_NSD"]) for row in rows for organ in SHORT[:13]]
    assert float(summary["organ mean", "NSD"]["Mean"]) == pytest.approx(np.mean(every), abs=1e-4)


def test_official_scores_and_columns(folders):
    (folders / "truth" / "b.nii.gz").unlink()
    assert score(folders, "--rules", "official") == 0
    rows = table(folders / "scores.csv")
    assert list(rows[0]) == [
        "Name",
        *(f"{organ}_DSC" for organ in SHORT[:13]),
        *(f"{organ}_NSD" for organ in SHORT[:13]),
    ]
    for row in rows:
        maps = [read_labels(folders / folder / row["Name"]).labels for folder in ("pred", "truth")]
        found = [(float(row[f"{organ}_DSC"]), float(row[f"{organ}_NSD"])) for organ in SHORT[:13]]
        assert found == organisers_scores(*maps, SPACING_ZYX_MM, 13)


def test_official_scores_of_a_missing_case_are_empty_and_it_is_named(folders):
    assert score(folders, "--rules", "official") == 1
    rows = table(folders / "scores.csv")
    assert rows[1]["Liver_DSC"] == ""
    assert rows[1]["Error"].startswith("missing")


def test_official_columns_of_the_first_challenge(tmp_path):
    for folder in ("pred", "truth"):
        write(tmp_path / folder / "a.nii.gz", organs(GENERATOR, 4))
    score(tmp_path, "--rules", "official", labels="flare21")
    assert list(table(tmp_path / "scores.csv")[0]) == [
        "Name",
        *(f"{kind}_{i}" for i in (1, 2, 3, 4) for kind in ("DSC", "NSD-1mm")),
    ]


def test_the_lesion_stands_apart(tmp_path, capsys):
    truth = organs(GENERATOR, 14)
    write(tmp_path / "truth" / "a.nii.gz", truth)
    write(tmp_path / "pred" / "a.nii.gz", np.where(truth == 14, 0, truth).astype(np.uint8))
    assert score(tmp_path, "--no-hd95", labels="flare23") == 0
    summary = {(row["Structure"], row["Metric"]): row for row in table(tmp_path / "scores_summary.csv")}
    assert (summary["organ mean", "DSC"]["Mean"], summary["lesion", "DSC"]["Mean"]) == ("1.0", "0.0")
    assert not any("HD95" in name for name in table(tmp_path / "scores.csv")[0])
    assert "lesion DSC 0.0000" in capsys.readouterr().err


def test_nothing_is_overwritten_unless_asked(folders, capsys):
    (folders / "scores_summary.csv").write_text("mine")
    assert score(folders) == 2
    assert "--force" in capsys.readouterr().err
    assert (folders / "scores_summary.csv").read_text(encoding="utf-8") == "mine"
    assert not (folders / "scores.csv").exists()
    assert score(folders, "--force") == 1
    assert sorted(path.name for path in folders.iterdir()) == [
        "pred",
        "scores.csv",
        "scores_run.json",
        "scores_summary.csv",
        "truth",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"--pred": "none"}, "none: no such folder"),
        ({"--output": "none/scores.csv"}, "none: no such folder; create it"),
        ({"--output": "pred"}, "is a folder"),
        ({"--jobs": "0"}, "--jobs is 0"),
    ],
)
def test_wrong_input_gives_one_line_and_2(folders, capsys, change, words):
    options = {"--pred": "pred", "--truth": "truth", "--output": "scores.csv", "--jobs": "1", **change}
    argv = [
        part
        for name, value in options.items()
        for part in (name, value if name == "--jobs" else str(folders / value))
    ]
    assert main(["score", *argv, "--labels", "flare22"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


def test_help_tells_what_it_does(capsys):
    commands = {
        "score": "official",
        "compare": "Wilcoxon",
        "picture": "axial",
        "benchmark": "whole pipelines",
    }
    for argv, words in [
        (["--help"], "COMMAND"),
        *(([name, "--help"], words) for name, words in commands.items()),
    ]:
        with pytest.raises(SystemExit) as stop:
            main(argv)
        assert stop.value.code == 0
        assert words in capsys.readouterr().out


def test_an_unknown_label_set_is_refused(folders, capsys):
    assert score(folders, labels="flare99") == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "flare99: no label set of this name and no file; known are flare21" in err


def test_nan_is_an_empty_cell():
    assert cell(math.nan) == ""
    assert cell(math.inf) == "inf"
    assert cell(0.123456) == "0.1235"
