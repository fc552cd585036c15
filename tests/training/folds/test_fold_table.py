"""Means and deviations over folds, by hand."""

import csv
import math

import pytest

from training.case_scores import Score
from training.folds.fold_table import draw_folds, fold_markdown, fold_rows, write_fold_table

STRUCTURES = ("liver", "spleen", "tumor", "bladder")


def scores(**dice):
    """E.g. `a_liver=0.5`: Dice of the liver in case a."""
    return [
        Score(case=name.split("_")[0], structure=name.split("_")[1], dice=value, hd95_mm=1.0)
        for name, value in dice.items()
    ]


FOLDS = [
    scores(a_liver=0.9, a_spleen=0.5, b_liver=0.7),
    scores(c_liver=1.0, d_liver=0.8, d_tumor=0.25),
]
"""Two folds of two cases; only case d has a tumor, only case a a spleen, none a bladder."""


def test_rows_by_hand():
    liver, spleen, tumor, every = fold_rows(FOLDS, STRUCTURES)
    assert (liver.structure, liver.cases) == ("liver", 4)
    assert liver.dice == pytest.approx((0.8, 0.9))
    assert liver.mean == pytest.approx(0.85)
    assert liver.deviation == pytest.approx(0.1 / math.sqrt(2))  # n - 1: (0.05² + 0.05²) / 1.
    assert (spleen.cases, tumor.cases) == (1, 1)
    assert spleen.mean == 0.5
    assert math.isnan(spleen.dice[1])
    assert math.isnan(spleen.deviation)
    assert (every.structure, every.cases) == ("mean of structures", 4)
    assert every.dice == pytest.approx(((0.8 + 0.5) / 2, (0.9 + 0.25) / 2))
    assert every.mean == pytest.approx((0.65 + 0.575) / 2)


def test_a_fold_that_found_no_structure_at_all_has_no_mean():
    rows = fold_rows([FOLDS[0], []], STRUCTURES)
    assert rows[-1].mean == pytest.approx(0.65)
    assert fold_markdown(rows).splitlines()[-1] == "| mean of structures | 2 | 65.00 | – | 65.00 ± – |"


def test_no_scores_at_all_give_one_empty_row():
    (row,) = fold_rows([[], []], STRUCTURES)
    assert fold_markdown([row]).splitlines()[-1] == "| mean of structures | 0 | – | – | – ± – |"


def test_the_table_as_text():
    assert fold_markdown(fold_rows(FOLDS, STRUCTURES)).splitlines() == [
        "| structure | cases | fold 0 | fold 1 | mean ± deviation |",
        "|---|---|---|---|---|",
        "| liver | 4 | 80.00 | 90.00 | 85.00 ± 7.07 |",
        "| spleen | 1 | 50.00 | – | 50.00 ± – |",
        "| tumor | 1 | – | 25.00 | 25.00 ± – |",
        "| mean of structures | 4 | 65.00 | 57.50 | 61.25 ± 5.30 |",
    ]


def test_the_table_as_csv(tmp_path):
    write_fold_table(tmp_path / "folds.csv", fold_rows(FOLDS, STRUCTURES))
    with (tmp_path / "folds.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["structure", "cases", "fold_0", "fold_1", "mean", "deviation"]
    assert float(rows[0]["mean"]) == pytest.approx(0.85)
    assert (rows[1]["fold_1"], rows[1]["deviation"]) == ("", "")


def test_the_picture_is_drawn_with_and_without_deviations(tmp_path):
    for name, folds in (("two", FOLDS), ("one", [FOLDS[0], []]), ("none", [[], []])):
        draw_folds(fold_rows(folds, STRUCTURES), "tiny", tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
