"""Lesions of a few voxels in a row, counted by hand; and the matrix of which structure is taken for which."""

import math

import numpy as np
import pytest

from eval.scoring.confusion import confusion_ml, mistaken
from eval.scoring.lesions import Kind, LesionRule, detection, find_lesions
from model.labels import FLARE22, LabelSet
from tests.eval.command_line import assert_refused, call, rows_of
from tests.eval.made import write

MM = (10.0, 10.0, 10.0)
"""Voxels of 1 ml."""


def row(*runs: tuple[int, int], label: int = 14) -> np.ndarray:
    labels = np.zeros((1, 1, 40), np.uint8)
    for start, stop in runs:
        labels[..., start:stop] = label
    return labels


def lesions(prediction, truth, **rule):
    return find_lesions(prediction, truth, 14, "tumor", MM, LesionRule(**rule))


def kinds(found) -> list[str]:
    return [str(lesion.kind) for lesion in found]


def test_found_missed_and_false():
    found = lesions(row((2, 6), (20, 23)), row((0, 4), (10, 12)))
    assert kinds(found) == ["found", "missed", "false"]
    hit, miss, false = found
    # 2 of 6 voxels in common.
    assert hit.iou == pytest.approx(2 / 6)
    assert (hit.truth_ml, hit.prediction_ml, hit.centre_zyx) == (4.0, 4.0, (0.0, 0.0, 1.5))
    assert (miss.truth_ml, miss.prediction_ml, miss.centre_zyx[2]) == (2.0, 0.0, 10.5)
    assert (false.truth_ml, false.prediction_ml, false.centre_zyx[2]) == (0.0, 3.0, 21.0)
    counts = detection(found)
    assert (counts.found, counts.missed, counts.false) == (1, 1, 1)
    assert (counts.sensitivity, counts.f1) == (0.5, 0.5)
    assert counts.panoptic_quality == pytest.approx(0.5 * 2 / 6)
    assert (counts.false_ml, counts.missed_ml) == (3.0, 2.0)


@pytest.mark.parametrize(("least_iou", "expected"), [(0.33, ["found"]), (0.34, ["missed", "false"])])
def test_the_threshold_is_the_overlap_that_it_says(least_iou, expected):
    found = lesions(row((2, 6)), row((0, 4)), least_iou=least_iou)
    assert kinds(found) == expected
    # What touches a true lesion is no false volume, as with autoPET, even where it does not match.
    assert detection(found).false_ml == 0.0


def test_one_large_prediction_finds_one_lesion_and_not_two():
    assert kinds(lesions(row((0, 12)), row((0, 5), (8, 12)))) == ["found", "missed"]


def test_the_best_overlap_is_taken_first():
    """The prediction overlaps the first lesion by 1 of 6 and the second by 3 of 5."""
    found = lesions(row((3, 8)), row((0, 4), (5, 8)))
    assert kinds(found) == ["missed", "found"]
    assert found[1].iou == pytest.approx(3 / 5)


def test_lesions_that_share_a_corner_are_one():
    truth = np.zeros((2, 2, 2), np.uint8)
    truth[0, 0, 0] = truth[1, 1, 1] = 14
    assert kinds(lesions(np.zeros_like(truth), truth)) == ["missed"]


def test_small_ones_are_left_out_on_both_sides():
    assert kinds(lesions(row((20, 22)), row((0, 2), (10, 13)), least_ml=3.0)) == ["missed"]


def test_a_lesion_of_just_the_least_volume_stays_whatever_rounding_does():
    """22 voxels of 0.00245 ml are 0.0539 ml; computed, 0.0539 / 0.00245 is 22.000000000000004."""
    labels = row((0, 22))
    rule = LesionRule(least_ml=0.0539)
    assert len(find_lesions(labels, labels, 14, "tumor", (0.7, 0.7, 5.0), rule)) == 1


@pytest.mark.parametrize(
    ("prediction", "truth", "f1", "sensitivity"),
    [
        (row(), row(), 1.0, math.nan),
        (row((0, 3)), row(), 0.0, math.nan),
        (row(), row((0, 3)), 0.0, 0.0),
        (row((0, 3)), row((0, 3)), 1.0, 1.0),
    ],
)
def test_cases_without_lesions(prediction, truth, f1, sensitivity):
    counts = detection(lesions(prediction, truth))
    assert counts.f1 == f1
    assert counts.panoptic_quality == f1
    assert counts.sensitivity == pytest.approx(sensitivity, nan_ok=True)


def test_against_a_brute_force_count():
    """Random maps: every true lesion of which no prediction takes a tenth is missed, and the counts add
    up."""
    generator = np.random.default_rng(4)
    for _ in range(20):
        truth, prediction = (
            (generator.random((6, 8, 8)) < share).astype(np.uint8) * 14 for share in (0.08, 0.1)
        )
        found = lesions(prediction, truth)
        counts = detection(found)
        alone = detection(lesions(np.zeros_like(truth), truth))
        assert counts.found + counts.missed == alone.missed
        assert sum(lesion.truth_ml for lesion in found) == np.count_nonzero(truth)
        false = detection(lesions(prediction, np.zeros_like(truth)))
        assert counts.found + counts.false == false.false
        assert all(lesion.iou >= 0.1 for lesion in found if lesion.kind is Kind.FOUND)


def test_a_map_of_27_000_specks_is_matched_speck_by_speck():
    """One voxel in eight, none beside another. What takes a look at the whole map, or at all others, for each
    of them takes minutes and gigabytes."""
    truth = np.zeros((60, 60, 60), np.uint8)
    truth[::2, ::2, ::2] = 14
    prediction = truth.copy()
    prediction[0] = 0
    prediction[0, 59, 59] = 14
    found = lesions(prediction, truth)
    assert kinds(found) == 900 * ["missed"] + 26_100 * ["found"] + ["false"]
    assert {lesion.iou for lesion in found if lesion.kind is Kind.FOUND} == {1.0}
    assert [found[n].centre_zyx for n in (0, 900, -2, -1)] == [
        (0, 0, 0), (2, 0, 0), (58, 58, 58), (0, 59, 59),
    ]  # fmt: skip


def test_swapped_kidneys_are_shown_as_swapped():
    truth, prediction = np.zeros((2, 1, 1, 40), np.uint8)
    for start, true, said in ((0, 2, 13), (10, 13, 2), (20, 1, 1)):
        truth[..., start : start + 8], prediction[..., start : start + 8] = true, said
    prediction[..., 27:30] = 3
    matrix = confusion_ml(prediction, truth, MM, FLARE22)
    place = {name: i for i, name in enumerate(("background", *FLARE22.names))}
    assert matrix[place["right kidney"], place["left kidney"]] == 8.0
    assert matrix[place["liver"], place["liver"]] == 7.0
    assert matrix[place["liver"], place["spleen"]] == 1.0
    assert matrix[0, place["spleen"]] == 2.0
    assert matrix[0, 0] == 0.0
    assert matrix.sum() == 8 + 8 + 8 + 2
    assert mistaken(matrix, FLARE22) == [
        "100% of right kidney is called left kidney",
        "100% of left kidney is called right kidney",
        "12% of liver is called spleen",
    ]


def test_what_is_mistaken_is_a_share_of_the_true_structure_the_largest_first():
    """A fifth of 100 ml of liver is called spleen, nine tenths of 1000 ml of spleen liver."""
    matrix = np.array([[0.0, 0.0, 0.0], [0.0, 80.0, 20.0], [0.0, 900.0, 100.0]])
    assert mistaken(matrix, LabelSet(name="two", ids={"liver": 1, "spleen": 2})) == [
        "90% of spleen is called liver",
        "20% of liver is called spleen",
    ]


def test_an_empty_pair_confuses_nothing():
    empty = np.zeros((2, 2, 2), np.uint8)
    assert confusion_ml(empty, empty, MM, LabelSet(name="own", ids={"a": 1})).sum() == 0


def score(folder, *more, labels="flare23"):
    paths = ("--pred", folder / "pred", "--truth", folder / "truth", "--output", folder / "s.csv")
    return call("score", *paths, "--labels", labels, "--jobs", 1, "--no-hd95", *more)


def test_tables_of_lesions_and_of_confusion(tmp_path, capsys):
    for name, prediction, truth in (
        ("a", row((2, 6), (20, 23)), row((0, 4), (10, 12))),
        ("b", None, row((0, 4))),
        ("c", row(), row()),
    ):
        write(tmp_path / "truth" / f"{name}.nii.gz", truth, MM)
        if prediction is not None:
            write(tmp_path / "pred" / f"{name}.nii.gz", prediction, MM)
    assert score(tmp_path, "--lesions", "--confusion") == 1
    rows = rows_of(tmp_path / "s_lesions.csv")
    assert [(each["Name"], each["Kind"]) for each in rows] == [
        ("a.nii.gz", "found"), ("a.nii.gz", "missed"), ("a.nii.gz", "false"), ("b.nii.gz", "missed"),
    ]  # fmt: skip
    # 1.5 voxels of 10 mm from the first one, which lies at -100, -80, 40.
    assert [float(rows[0][f"{axis}_mm"]) for axis in "XYZ"] == [-85.0, -80.0, 40.0]
    cases = rows_of(tmp_path / "s_lesion_cases.csv")
    assert [each["F1"] for each in cases] == ["0.5", "0.0", "1.0"]
    assert [each["Sensitivity"] for each in cases] == ["0.5", "0.0", ""]
    tumor = next(each for each in rows_of(tmp_path / "s_confusion.csv") if each["Truth_ml"] == "tumor")
    assert (float(tumor["tumor"]), float(tumor["background"])) == (2.0, 8.0)
    out = capsys.readouterr().out
    assert "lesions: 1 of 3 found (sensitivity 0.333), 1 false (0.33 a case, 1.00 ml a case" in out


def test_tables_of_an_earlier_run_do_not_stay_beside_the_scores_of_another(tmp_path, capsys):
    """The lesion is found first, then missed: a table that says `found` beside new scores would lie."""
    write(tmp_path / "truth" / "a.nii.gz", row((0, 4)), MM)
    write(tmp_path / "pred" / "a.nii.gz", row((0, 4)), MM)
    assert score(tmp_path, "--lesions", "--confusion") == 0
    write(tmp_path / "pred" / "a.nii.gz", row(), MM)
    (tmp_path / "s.csv").unlink()
    (tmp_path / "s_summary.csv").unlink()
    (tmp_path / "s_run.json").unlink()
    assert score(tmp_path) == 2
    assert "s_lesions.csv: exists already" in capsys.readouterr().err
    assert score(tmp_path, "--confusion", "--force") == 0
    tables = ["s.csv", "s_confusion.csv", "s_run.json", "s_summary.csv"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == tables
    # Scores in a file of such a name are another run's, and stay.
    (tmp_path / "s_lesions.csv").write_text("Name,Lesion_DSC\na.nii.gz,1\n")
    assert score(tmp_path, "--force") == 0
    assert (tmp_path / "s_lesions.csv").exists()
    assert not (tmp_path / "s_confusion.csv").exists()


@pytest.mark.parametrize(
    ("rules", "f1", "missed", "said"),
    [
        # b is missing and has no true lesion, c is missing and has one.
        ("strict", ["1.0", "0.0", "0.0"], ["0", "0", "1"], "F1 0.000 over all, 0.333 as mean of cases"),
        ("partial", ["1.0", "", "0.0"], ["0", "0", "1"], "F1 0.000 over all, 0.500 as mean of cases"),
        ("official", ["1.0", "", ""], ["0", "0", "0"], "F1 1.000 over all, 1.000 as mean of cases"),
    ],
)
def test_a_case_in_error_without_a_true_lesion_is_no_success(tmp_path, capsys, rules, f1, missed, said):
    write(tmp_path / "pred" / "a.nii.gz", row(), MM)
    for name, truth in (("a", row()), ("b", row()), ("c", row((0, 4)))):
        write(tmp_path / "truth" / f"{name}.nii.gz", truth, MM)
    assert score(tmp_path, "--lesions", "--rules", rules) == 1
    cases = rows_of(tmp_path / "s_lesion_cases.csv")
    assert [each["F1"] for each in cases] == [each["PanopticQuality"] for each in cases] == f1
    assert [each["Missed"] for each in cases] == missed
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "labels", "said"),
    [
        (("--lesions", "--lesion-iou", "0"), "flare23", "least_iou is 0"),
        (("--lesions", "--lesion-ml", "-1"), "flare23", "least_ml is -1"),
        (("--lesions",), "flare22", "flare22 has no lesions"),
    ],
)
def test_rules_for_lesions_that_are_none(tmp_path, capsys, more, labels, said):
    for folder in ("pred", "truth"):
        write(tmp_path / folder / "a.nii.gz", row(), MM)
    words = ("score", "--pred", tmp_path / "pred", "--truth", tmp_path / "truth", "--labels", labels)
    assert_refused(capsys, (*words, "--output", tmp_path / "s.csv", *more), said)
