"""Two ways to train beside each other, with numbers that can be checked by hand."""

import math

import pytest

from training.comparison.accelerating import accelerated_document, workflow_fields
from training.comparison.held_out_scores import GridScore
from training.comparison.paired_table import ALL, compare, markdown

MISSED = (0.0, math.inf)


def scores(values, structure="liver"):
    """One score a case, in images whose diagonal is 100 mm."""
    return [
        GridScore(case=f"case{index}", structure=structure, dice=dice, hd95_mm=hd95, diagonal_mm=100.0)
        for index, (dice, hd95) in enumerate(values)
    ]


def test_means_are_over_cases_and_seeds():
    baseline = [scores([(0.8, 2.0), (0.6, 4.0)]), scores([(0.9, 2.0), (0.7, 6.0)])]
    accelerated = [scores([(0.9, 1.0), (0.7, 3.0)])] * 2
    liver, everything = compare(baseline, accelerated)
    assert (liver.structure, liver.cases, everything.structure) == ("liver", 2, ALL)
    assert liver.dice == pytest.approx((0.75, 0.8))
    assert liver.hd95_mm == pytest.approx((3.5, 2.0))
    assert liver.found == (2, 2)


def test_a_structure_that_was_missed_counts_as_the_images_diagonal():
    rows = compare([scores([(0.8, 2.0), MISSED, MISSED])], [scores([(0.8, 3.0), (0.5, 9.0), MISSED])])
    assert rows[0].hd95_mm == (pytest.approx(202 / 3), pytest.approx(112 / 3))
    assert rows[0].found == (1, 2)
    assert rows[0].infinite == 2


def test_missing_an_organ_never_looks_better():
    """A spleen at 10 mm beside a liver at 6: without it, the mean would be that of the liver alone."""
    livers = scores([(0.9, 6.0)] * 4)
    found, missed = (scores([value] * 4, "spleen") for value in ((0.6, 10.0), MISSED))
    liver, spleen, everything = compare([livers + found], [livers + missed])
    assert liver.hd95_mm == (6.0, 6.0)
    assert (spleen.hd95_mm, spleen.found) == ((10.0, 100.0), (4, 0))
    assert everything.hd95_mm == (8.0, 53.0)
    assert (liver.infinite, spleen.infinite, everything.infinite) == (0, 4, 4)


def test_a_seed_that_missed_a_structure_counts_too():
    (liver, _) = compare([scores([MISSED]), scores([(0.8, 2.0)])], [scores([(0.8, 3.0)])] * 2)
    assert liver.hd95_mm == (51.0, 3.0)
    assert (liver.found, liver.infinite) == ((1, 1), 1)


def test_the_last_row_takes_each_cases_mean_over_its_structures():
    both = scores([(0.8, 2.0)]) + scores([(0.4, 4.0)], "spleen")
    *_, everything = compare([both], [both])
    assert everything.cases == 1
    assert everything.dice == pytest.approx((0.6, 0.6))
    assert everything.hd95_mm == (3.0, 3.0)


def test_p_of_six_cases_is_exact():
    """Each of the 2^6 signs is as likely; two of them are as extreme. Five cases could not reach 0.05.

    Of equal differences, too: HD95 is 1 mm less in each case.
    """
    dice = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    both = [scores([(0.0, 9.0)] * 6)], [scores([(value, 8.0) for value in dice])]
    liver, everything = compare(*both)
    assert (liver.dice_p, liver.hd95_p) == (2 / 64, 2 / 64)
    assert everything.dice_p == 2 / 64
    assert "| 0.031 |" in markdown([liver])
    assert compare(both[0], both[0])[0].dice_p == 1.0


def test_fewer_than_six_cases_have_no_p():
    liver, _ = compare([scores([(0.0, 9.0)] * 5)], [scores([(0.5, 8.0)] * 5)])
    assert (liver.dice_p, liver.hd95_p) == (None, None)


def test_a_table_has_a_line_a_row():
    rows = compare([scores([(0.8, 2.0)])], [scores([(0.7, 3.0)])])
    assert markdown(rows).splitlines()[2] == ("| liver | 1 | 0.8000 | 0.7000 |  | 2.00 | 3.00 |  | 1, 1 |")
    assert "infinite" not in markdown(rows)
    missed = compare([scores([(0.8, 2.0)])], [scores([MISSED])])
    assert markdown(missed).splitlines()[2:] == [
        "| liver | 1 | 0.8000 | 0.0000 |  | 2.00 | 100.00 |  | 1, 0 |",
        "| all structures | 1 | 0.8000 | 0.0000 |  | 2.00 | 100.00 |  | 1, 0 |",
        "",
        "pairs with an infinite distance: 1 counted as the image's diagonal",
    ]


def test_the_workflow_is_laid_over_a_recipe():
    document = {
        "name": "mine",
        "description": "Mine.",
        "patch_zyx": [8, 8, 8],
        "stopping": {"kind": "epochs", "epochs": 70},
        "sampling": {"batch_size": 2, "epoch": {"kind": "iterations"}},
    }
    changed = accelerated_document(document, 70, 5)
    assert changed["name"] == "mine-accelerated"
    assert changed["patch_zyx"] == [8, 8, 8]
    assert changed["sampling"] == {"batch_size": "auto", "epoch": {"kind": "iterations"}}
    assert changed["stopping"]["kind"] == "converged"
    assert (changed["stopping"]["epochs"], changed["stopping"]["window_epochs"]) == (70, 5)
    assert workflow_fields().keys() == {"precision", "sampling", "stopping", "validation"}
