"""Score tables from end to end: what is written for which files, and that everything else reads it back."""

import csv
import gzip
import json
import math
import struct

import numpy as np
import pytest

from eval.comparing.paired_tests import compare
from eval.scoring.challenges import CHALLENGES, Rules
from eval.scoring.columns import column, metrics_of, score_columns
from eval.scoring.score_table import read_scores
from eval.scoring.structure_scores import TRUTH_VOLUME, Metric
from tests.eval.command_line import call, columns_of, files_in, rows_of
from tests.eval.made import write

CUBE = (1.0, 1.0, 1.0)
LIVER, KIDNEY, SPLEEN, PANCREAS = 1, 2, 3, 4


def row_of_voxels(*runs: tuple[int, int, int], length: int = 40) -> np.ndarray:
    """A 1×1×N label map; each run is (label, start, stop)."""
    labels = np.zeros((1, 1, length), np.uint8)
    for label, start, stop in runs:
        labels[..., start:stop] = label
    return labels


def score(folder, *more, labels="flare21", output="scores.csv", jobs=1):
    paths = ("--pred", folder / "pred", "--truth", folder / "truth", "--output", folder / output)
    return call("score", *paths, "--labels", labels, "--jobs", jobs, *more)


def write_pair(folder, name, prediction, truth, **geometry):
    for side, labels in (("pred", prediction), ("truth", truth)):
        if labels is not None:
            write(folder / side / name, labels, CUBE, **(geometry if side == "pred" else {}))


def test_every_cell_of_a_table_by_hand(tmp_path):
    # Liver of 20 voxels moved by 5 along x: DSC 2·15/40. The ends are 5 mm off and the tolerance is 1 mm:
    # of the 21 places along x in each of the two maps, 16 are on the other and one more is 1 mm from it.
    # Kidney twice as long as it is, spleen only predicted, pancreas in neither map. The last place of a bar
    # has less than a twentieth of its surface, so that HD95 is the distance of the last but one.
    prediction = row_of_voxels((LIVER, 5, 25), (KIDNEY, 26, 34), (SPLEEN, 35, 36))
    truth = row_of_voxels((LIVER, 0, 20), (KIDNEY, 26, 30))
    write_pair(tmp_path, "a.nii.gz", prediction, truth)
    assert score(tmp_path) == 0
    (row,) = rows_of(tmp_path / "scores.csv")
    cells = {name: row[name] for name in row if name.endswith("_DSC")}
    assert cells == {"Liver_DSC": "0.75", "Kidney_DSC": "0.6667", "Spleen_DSC": "0.0", "Pancreas_DSC": "1.0"}
    assert (row["Liver_HD95_mm"], row["Kidney_HD95_mm"]) == ("4.0", "3.0")
    assert (row["Spleen_HD95_mm"], row["Pancreas_HD95_mm"]) == ("inf", "0.0")
    # In thousandths of a ml: 20 − 20, 8 − 4, 1 − 0, 0 − 0.
    volumes = [row[f"{organ}_VolumeDifference_ml"] for organ in ("Liver", "Kidney", "Spleen", "Pancreas")]
    assert [float(cell) for cell in volumes] == [0.0, 0.004, 0.001, 0.0]
    # A place between two voxels has four edges of √2/2 mm², one at an end four corners of √3/8 mm².
    middle, end = 4 * math.sqrt(2) / 2, math.sqrt(3) / 2
    near, every = 2 * (16 * middle + end), 2 * (19 * middle + 2 * end)
    assert float(row["Liver_NSD"]) == pytest.approx(near / every, abs=1e-4)
    assert row["Error"] == ""


@pytest.mark.parametrize(
    ("labels", "rules"), [(labels, rules) for labels in CHALLENGES for rules in Rules], ids=str
)
def test_a_table_of_any_challenge_and_rules_is_read_back(tmp_path, labels, rules):
    challenge = CHALLENGES[labels]
    length = 3 * len(challenge.labels.ids)
    runs = [(label, 3 * i, 3 * i + 2) for i, label in enumerate(challenge.labels.ids.values())]
    truth = np.repeat(row_of_voxels(*runs, length=length), 3, axis=0)
    write_pair(tmp_path, "a.nii.gz", np.roll(truth, 1, axis=2), truth)
    write_pair(tmp_path, "b.nii.gz", truth, truth)
    assert score(tmp_path, "--rules", rules, labels=labels) == 0
    metrics = metrics_of(rules, with_hd95=True)
    assert columns_of(tmp_path / "scores.csv")[1:] == [
        *score_columns(challenge, metrics if rules is Rules.OFFICIAL else (*metrics, TRUTH_VOLUME), rules),
        *([] if rules is Rules.OFFICIAL else ["Diagonal_mm", "Error"]),
    ]
    table = read_scores(tmp_path / "scores.csv")
    assert table.names == ("a.nii.gz", "b.nii.gz")
    assert {key[0] for key in table.values} == set(challenge.labels.names)
    assert {key[1] for key in table.values} == set(metrics)
    rows = rows_of(tmp_path / "scores.csv")
    for (structure, metric), values in table.values.items():
        header = column(challenge, structure, metric, rules)
        assert values.tolist() == [float(row[header]) for row in rows]
    # Two voxels moved by one: half of them are in common.
    assert {values[0] for (_, metric), values in table.values.items() if metric is Metric.DSC} == {0.5}
    assert {values[1] for (_, metric), values in table.values.items() if metric is Metric.DSC} == {1.0}
    assert {row.difference for row in compare(table, table, metrics)} == {0.0}


GOOD = row_of_voxels((LIVER, 0, 10), (SPLEEN, 20, 30))


@pytest.mark.parametrize(
    ("prediction", "geometry", "words"),
    [
        (None, {}, "missing"),
        (row_of_voxels((LIVER, 0, 10), (77, 20, 30)), {}, "label 77"),
        (row_of_voxels((LIVER, 0, 10), length=39), {}, "sizes differ"),
        (GOOD, {"origin_xyz_mm": (-100.0, -80.0, 41.0)}, "1.00 mm apart"),
        (GOOD.astype(np.int16) * -1, {}, "is this an image"),
        (GOOD.astype(np.float32) / 2, {}, "whole numbers"),
    ],
    ids=["missing", "foreign label", "other size", "other place", "negative", "fractions"],
)
@pytest.mark.parametrize(
    ("rules", "cells"),
    [("strict", ["0.0", "0.0", "0.0", "0.0"]), ("partial", ["0.0", "", "0.0", ""])],
)
def test_a_case_in_error_loses_what_its_rules_count(
    tmp_path, capsys, prediction, geometry, words, rules, cells
):
    write_pair(tmp_path, "a.nii.gz", GOOD, GOOD)
    write_pair(tmp_path, "b.nii.gz", prediction, GOOD, **geometry)
    assert score(tmp_path, "--rules", rules) == 1
    good, bad = rows_of(tmp_path / "scores.csv")
    assert (good["Liver_DSC"], good["Error"]) == ("1.0", "")
    assert [bad[f"{organ}_DSC"] for organ in ("Liver", "Kidney", "Spleen", "Pancreas")] == cells
    assert words in bad["Error"]
    err = capsys.readouterr().err
    assert "b.nii.gz" in err
    assert words in err


def test_a_prediction_without_a_truth_is_named_and_left_out(tmp_path, capsys):
    write_pair(tmp_path, "a.nii.gz", GOOD, GOOD)
    write_pair(tmp_path, "b.nii.gz", GOOD, None)
    assert score(tmp_path) == 1
    assert [row["Name"] for row in rows_of(tmp_path / "scores.csv")] == ["a.nii.gz"]
    assert "left out: b.nii.gz: there is no truth of this name" in capsys.readouterr().err


def test_faulty_truths_end_the_run_before_anything_is_scored(tmp_path, capsys):
    write_pair(tmp_path, "a.nii.gz", GOOD, GOOD)
    write_pair(tmp_path, "b.nii.gz", GOOD, row_of_voxels((LIVER, 0, 10), (77, 20, 30)))
    write_pair(tmp_path, "c.nii.gz", GOOD, GOOD)
    broken = tmp_path / "truth" / "c.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-20])
    assert score(tmp_path) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "truth/b.nii.gz: holds label 77" in lines[0]
    assert "truth/c.nii.gz: cannot be read" in lines[1]
    assert lines[2].startswith("error: 2 of 3 truths cannot be used")
    assert len(lines) == 3
    assert not (tmp_path / "scores.csv").exists()


def skewed(path, shear: float) -> None:
    """Let a NIfTI header say that x leans towards y, as the headers of real scans do by a little."""
    header = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<hh", header, 252, 0, 1)
    rows = list(struct.unpack_from("<12f", header, 280))
    rows[1] = shear
    struct.pack_into("<12f", header, 280, *rows)
    path.write_bytes(gzip.compress(header))


@pytest.mark.parametrize("shear", [1e-4, 1e-2])
@pytest.mark.parametrize("labels", ["flare21", "flare22"])
def test_a_header_with_axes_not_at_right_angles_costs_nothing(tmp_path, shear, labels):
    write_pair(tmp_path, "a.nii.gz", GOOD, GOOD)
    for folder in ("pred", "truth"):
        skewed(tmp_path / folder / "a.nii.gz", shear)
    assert score(tmp_path, labels=labels) == 0
    assert rows_of(tmp_path / "scores.csv")[0]["Liver_DSC"] == "1.0"


def test_the_volume_of_the_truth_tells_which_lesions_there_were(tmp_path, capsys):
    """Found, missed, imagined, and none in either map: 1, 0, 0 and 1."""
    tumor, none = row_of_voxels((14, 0, 10)), row_of_voxels()
    for name, prediction, truth in (
        ("a", tumor, tumor),
        ("b", none, tumor),
        ("c", tumor, none),
        ("d", none, none),
    ):
        write_pair(tmp_path, f"{name}.nii.gz", prediction, truth)
    assert score(tmp_path, labels="flare23") == 0
    rows = rows_of(tmp_path / "scores.csv")
    assert [float(row["Tumor_TruthVolume_ml"]) for row in rows] == [0.01, 0.01, 0.0, 0.0]
    summary = {
        row["Structure"]: row for row in rows_of(tmp_path / "scores_summary.csv") if row["Metric"] == "DSC"
    }
    assert (summary["lesion"]["Cases"], summary["lesion"]["Mean"]) == ("4", "0.5")
    assert summary["lesion, where there is one"]["Cases"] == "2"
    assert summary["lesion, where there is one"]["Mean"] == "0.5"
    assert summary["lesion, where there is none"]["Mean"] == "0.5"
    assert "lesion, where there is one" in capsys.readouterr().out


def test_more_distances_and_the_json_of_others(tmp_path):
    """The liver of 20 voxels is moved by 5: its ends are 5 mm off, the rest of the 21 places on the other."""
    write_pair(tmp_path, "a.nii.gz", row_of_voxels((LIVER, 5, 25)), row_of_voxels((LIVER, 0, 20)))
    write_pair(tmp_path, "b.nii.gz", None, row_of_voxels((LIVER, 0, 20)))
    (tmp_path / "json").mkdir()
    assert score(tmp_path, "--also", "HD", "ASSD", "clDice", "--json", tmp_path / "json") == 1
    first, second = rows_of(tmp_path / "scores.csv")
    # Each bar is its own centre line; 15 of 20 places of each lie in the other.
    assert (first["Liver_clDice"], second["Liver_clDice"], first["Kidney_clDice"]) == ("0.75", "0.0", "1.0")
    assert (first["Liver_HD_mm"], second["Liver_HD_mm"]) == ("5.0", "inf")
    middle, end = 4 * math.sqrt(2) / 2, math.sqrt(3) / 2
    # Five places beyond each end, 1 to 5 mm away, the outermost of which is an end.
    expected = 2 * (middle * (1 + 2 + 3 + 4) + end * 5) / (2 * (19 * middle + 2 * end))
    assert float(first["Liver_ASSD_mm"]) == pytest.approx(expected, abs=1e-4)
    assert read_scores(tmp_path / "scores.csv").metrics == tuple(Metric)
    leaderboard = json.loads((tmp_path / "json" / "metrics.json").read_text(encoding="utf-8"))
    mean = leaderboard["aggregates"]["organ_mean"]["DSC"]["mean"]
    assert mean == pytest.approx((0.375 + 3 * 0.5) / 4, abs=1e-4)
    assert leaderboard["case"]["b.nii.gz"]["liver"]["HD95_mm"] is None
    assert leaderboard["case"]["b.nii.gz"]["error"].startswith("missing")


def test_a_missed_organ_makes_the_mean_distance_worse_and_not_better(tmp_path, capsys):
    """The liver of 10 voxels is 5 voxels off in `a`; in `b` it is missed, and the diagonal stands for it."""
    write_pair(tmp_path, "a.nii.gz", row_of_voxels((LIVER, 5, 15)), row_of_voxels((LIVER, 0, 10)))
    assert score(tmp_path) == 0
    alone = float(rows_of(tmp_path / "scores.csv")[0]["Liver_HD95_mm"])
    write_pair(tmp_path, "b.nii.gz", row_of_voxels(), row_of_voxels((LIVER, 0, 10)))
    assert score(tmp_path, "--force") == 0
    liver = next(
        row
        for row in rows_of(tmp_path / "scores_summary.csv")
        if (row["Structure"], row["Metric"]) == ("liver", "HD95_mm")
    )
    diagonal = float(rows_of(tmp_path / "scores.csv")[1]["Diagonal_mm"])
    assert diagonal == pytest.approx(math.sqrt(40**2 + 2), abs=1e-3)
    assert (liver["Cases"], liver["Infinite"]) == ("2", "1")
    assert float(liver["Mean"]) == pytest.approx((alone + diagonal) / 2, abs=1e-3)
    assert "1 infinite value counted as the image's diagonal" in capsys.readouterr().out


def test_nnunets_summary_has_its_figures_by_its_rules(tmp_path):
    """A liver of 20 voxels is moved by 5 of 40; `b`, a liver and a spleen of 4, has no prediction."""
    (tmp_path / "json").mkdir()
    write_pair(tmp_path, "a.nii.gz", row_of_voxels((LIVER, 5, 25)), row_of_voxels((LIVER, 0, 20)))
    write_pair(tmp_path, "b.nii.gz", None, row_of_voxels((LIVER, 0, 20), (SPLEEN, 30, 34)))
    assert score(tmp_path, "--json", tmp_path / "json") == 1
    summary = json.loads((tmp_path / "json" / "summary.json").read_text(encoding="utf-8"))
    first, second = summary["metric_per_case"]
    assert first["metrics"]["1"] == {
        "Dice": 0.75, "FN": 5, "FP": 5, "IoU": 0.6, "TN": 15, "TP": 15, "n_pred": 20, "n_ref": 20,
    }  # fmt: skip
    # Neither map holds a spleen: no overlap, and it takes no part in the mean over both cases.
    assert (first["metrics"]["3"]["Dice"], first["metrics"]["3"]["TN"]) == (None, 40)
    assert (second["metrics"]["3"]["Dice"], second["metrics"]["3"]["FN"]) == (0, 4)
    assert (second["prediction_file"], second["metrics"]["1"]["Dice"]) == ("", 0)
    assert [summary["mean"][label]["Dice"] for label in ("1", "2", "3", "4")] == [0.375, None, 0, None]
    assert summary["foreground_mean"]["Dice"] == 0.375 / 2


@pytest.mark.parametrize(("rules", "spleen"), [("strict", 0), ("partial", None), ("official", 0)])
def test_nnunets_summary_counts_what_the_rules_score(tmp_path, rules, spleen):
    """A spleen that only `a`'s prediction has; an aorta is cut to the truth's slices in the table alone."""
    (tmp_path / "json").mkdir()
    prediction, truth = (np.zeros((12, 4, 4), np.uint8) for _ in range(2))
    prediction[:, 0, 0], truth[2:6, 0, 0] = 5, 5
    prediction[0, 3, 3] = 3
    write_pair(tmp_path, "a.nii.gz", prediction, truth)
    write_pair(tmp_path, "b.nii.gz", None, truth)
    code = score(tmp_path, "--rules", rules, "--json", tmp_path / "json", labels="flare22")
    assert code == 1
    assert rows_of(tmp_path / "scores.csv")[0]["Aorta_DSC"] == "1.0"
    summary = json.loads((tmp_path / "json" / "summary.json").read_text(encoding="utf-8"))
    first, second = (case["metrics"] for case in summary["metric_per_case"])
    assert (first["5"]["Dice"], first["3"]["Dice"]) == (0.5, spleen)
    assert second["5"]["Dice"] == (None if rules == "official" else 0)


def test_names_that_differ_by_a_comma_have_keys_of_their_own(tmp_path):
    labels = '{"labels": {"Leber, groß": 1, "Leber groß": 2, "error": 3}}'
    (tmp_path / "labels.json").write_text(labels, encoding="utf-8")
    (tmp_path / "json").mkdir()
    write_pair(tmp_path, "a.nii.gz", row_of_voxels((2, 0, 4)), row_of_voxels((1, 0, 4), (2, 0, 4)))
    assert score(tmp_path, "--json", tmp_path / "json", labels=tmp_path / "labels.json") == 0
    document = json.loads((tmp_path / "json" / "metrics.json").read_text(encoding="utf-8"))
    assert set(document["case"]["a.nii.gz"]) == {"error", "Leber_groß", "Leber_groß_2", "error_2"}
    assert {"Leber_groß", "Leber_groß_2", "error_2", "organ_mean"} <= set(document["aggregates"])


def test_a_case_that_failed_lacks_all_of_its_volume(tmp_path):
    """The liver of 20 voxels of 1 mm³ is found to the voxel in `a`; of `b` there is no prediction."""
    write_pair(tmp_path, "a.nii.gz", row_of_voxels((LIVER, 0, 20)), row_of_voxels((LIVER, 0, 20)))
    write_pair(tmp_path, "b.nii.gz", None, row_of_voxels((LIVER, 0, 20)))
    assert score(tmp_path) == 1
    rows = rows_of(tmp_path / "scores.csv")
    assert [row["Liver_VolumeDifference_ml"] for row in rows] == ["0.0", "-0.02"]
    assert [row["Kidney_VolumeDifference_ml"] for row in rows] == ["0.0", "0.0"]
    assert score(tmp_path, "--rules", "partial", "--force") == 1
    rows = rows_of(tmp_path / "scores.csv")
    assert [row["Liver_VolumeDifference_ml"] for row in rows] == ["0.0", "-0.02"]
    assert [row["Kidney_VolumeDifference_ml"] for row in rows] == ["", ""]


def test_a_prediction_on_another_grid_is_compared_in_physical_space_when_asked(tmp_path, capsys):
    # The truth's voxels are twice as long along x: 10 of its voxels are 20 of the prediction's.
    write(tmp_path / "pred" / "a.nii.gz", row_of_voxels((LIVER, 0, 20)), CUBE, (0.5, 0.5, 0.5))
    write(
        tmp_path / "truth" / "a.nii.gz", row_of_voxels((LIVER, 0, 10), length=20), (1, 1, 2), (1.0, 0.5, 0.5)
    )
    assert score(tmp_path) == 1
    assert "--resample compares" in capsys.readouterr().err
    for name in ("--resample", "--resample-truth"):
        assert score(tmp_path, name, "--force") == 0
        (row,) = rows_of(tmp_path / "scores.csv")
        assert (row["Liver_DSC"], row["Liver_TruthVolume_ml"]) == ("1.0", "0.02")


def test_without_hd95_its_columns_are_not_there(tmp_path):
    write_pair(tmp_path, "a.nii.gz", GOOD, GOOD)
    assert score(tmp_path, "--no-hd95") == 0
    assert not [name for name in columns_of(tmp_path / "scores.csv") if "HD95" in name]
    assert {row["Metric"] for row in rows_of(tmp_path / "scores_summary.csv")} == {
        "DSC", "NSD", "VolumeDifference_ml", "AbsoluteVolumeDifference_ml",
    }  # fmt: skip


def test_the_order_of_rows_is_that_of_names_however_many_work(tmp_path):
    for name in ("c.nii.gz", "a.nii", "b.nii.gz"):
        write_pair(tmp_path, name, GOOD, GOOD)
    assert score(tmp_path, "--no-hd95", jobs=2) == 0
    assert [row["Name"] for row in rows_of(tmp_path / "scores.csv")] == ["a.nii", "b.nii.gz", "c.nii.gz"]


def test_the_summary_of_two_cases_by_hand(tmp_path):
    # Liver DSC 1 and 2·5/20; two cases have no interval.
    write_pair(tmp_path, "a.nii.gz", GOOD, GOOD)
    write_pair(tmp_path, "b.nii.gz", row_of_voxels((LIVER, 5, 15), (SPLEEN, 20, 30)), GOOD)
    assert score(tmp_path, "--no-hd95") == 0
    rows = {(row["Structure"], row["Metric"]): row for row in rows_of(tmp_path / "scores_summary.csv")}
    liver = rows["liver", "DSC"]
    assert [liver[name] for name in ("Cases", "Mean", "Median", "CI95_low", "CI95_high")] == [
        "2", "0.75", "0.75", "", "",
    ]  # fmt: skip
    assert liver["SD"] == str(round(0.5 / math.sqrt(2), 4))
    # Kidney and pancreas, in no map, are 1 in every case: (0.75 + 1 + 1 + 1) / 4.
    assert rows["organ mean", "DSC"]["Mean"] == "0.9375"
    assert ("lesion", "DSC") not in rows


def test_a_truth_without_structures_leaves_partial_rules_nothing_to_say(tmp_path, capsys):
    write_pair(tmp_path, "a.nii.gz", row_of_voxels(), row_of_voxels())
    assert score(tmp_path, "--rules", "partial") == 0
    (row,) = rows_of(tmp_path / "scores.csv")
    said = {name for name in row if row[name]}
    assert said == {"Name", "Diagonal_mm", *(name for name in row if name.endswith("TruthVolume_ml"))}
    out, err = capsys.readouterr()
    assert "not scored" in out
    assert "not scored" in err


def test_tables_are_plain_csv_of_unix_lines(tmp_path):
    write_pair(tmp_path, "a, b.nii.gz", GOOD, GOOD)
    assert score(tmp_path) == 0
    raw = (tmp_path / "scores.csv").read_bytes()
    assert b"\r" not in raw
    assert raw.endswith(b"\n")
    assert next(csv.DictReader(raw.decode().splitlines()))["Name"] == "a, b.nii.gz"
    assert files_in(tmp_path) == [
        "pred/a, b.nii.gz", "scores.csv", "scores_run.json", "scores_summary.csv", "truth/a, b.nii.gz",
    ]  # fmt: skip
