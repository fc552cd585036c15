"""Scores of label maps on the images' own grids: counted are structures that a case annotates and holds."""

import math
from dataclasses import replace

import numpy as np
import pytest

from model.labels import FLARE21
from tests.training.tiny import tiny_recipe, write_case
from training.case_scores import Score
from training.data.folders import labelled_cases
from training.data.preparing import prepare
from training.folds.fold_scores import raw_files, read_scores, score_labels, write_scores
from training.training_errors import DataError

LIVER, KIDNEY, SPLEEN = (FLARE21.ids[name] for name in ("liver", "kidney", "spleen"))


def write_prediction(folder, name, labels):
    """A label map as the engine writes it."""
    write_case(folder, name, labels.astype(np.int16), labels)
    (folder / "labelsTr" / f"{name}.nii.gz").rename(folder / f"{name}.nii.gz")


@pytest.fixture
def data(tmp_path):
    """A liver of 4 voxels and a spleen of 2; of the liver half is found, of the spleen all, and a kidney."""
    truth = np.zeros((4, 4, 4), np.uint8)
    truth[0, 0, :] = LIVER
    truth[2, 2, :2] = SPLEEN
    found = truth.copy()
    found[0, 0, 2:] = 0
    found[3, 3, 3] = KIDNEY
    write_case(tmp_path / "data", "a", truth.astype(np.int16), truth)
    write_prediction(tmp_path / "labels", "a", found)
    return tmp_path


def dice_of(scores):
    return {score.structure: score.dice for score in scores}


def test_dice_by_hand(data):
    cases = labelled_cases(data / "data")
    scores = score_labels(cases, data / "labels", FLARE21)
    # Liver: 2 · 2 / (4 + 2). The kidney is not in the truth and does not count.
    assert dice_of(scores) == {"liver": pytest.approx(2 / 3), "spleen": 1.0}
    assert {score.case for score in scores} == {"a"}
    assert [score.hd95_mm for score in scores if score.structure == "spleen"] == [0.0]


def test_what_a_case_does_not_annotate_does_not_count(data):
    cases = [replace(case, annotated=("spleen", "kidney")) for case in labelled_cases(data / "data")]
    assert dice_of(score_labels(cases, data / "labels", FLARE21)) == {"spleen": 1.0}


def test_what_a_bundle_filled_in_does_not_count(data):
    """People annotated the spleen alone; the liver is a pseudo-label."""
    (case,) = labelled_cases(data / "data")
    filled = replace(case, annotated=("liver", "spleen"), given=("spleen",))
    assert dice_of(score_labels([filled], data / "labels", FLARE21)) == {"spleen": 1.0}


def test_a_structure_that_was_not_found_counts_as_0(data):
    write_prediction(data / "labels", "a", np.zeros((4, 4, 4), np.uint8))
    scores = score_labels(labelled_cases(data / "data"), data / "labels", FLARE21)
    assert dice_of(scores) == {"liver": 0.0, "spleen": 0.0}
    assert all(math.isinf(score.hd95_mm) for score in scores)


def test_label_maps_on_another_grid_and_missing_ones_are_refused_by_name(data):
    cases = labelled_cases(data / "data")
    write_prediction(data / "labels", "a", np.zeros((4, 4, 5), np.uint8))
    with pytest.raises(DataError, match=r"labels/a\.nii\.gz: size .* differs from that of its truth"):
        score_labels(cases, data / "labels", FLARE21)
    (data / "labels" / "a.nii.gz").unlink()
    with pytest.raises(DataError, match=r"labels/a\.nii\.gz"):
        score_labels(cases, data / "labels", FLARE21)


def test_scores_come_back_to_the_last_bit(tmp_path):
    scores = [
        Score(case="a, b", structure="liver", dice=1 / 3, hd95_mm=math.inf),
        Score(case="c", structure="spleen", dice=0.1 + 0.2, hd95_mm=2.5),
    ]
    write_scores(tmp_path / "scores.csv", scores)
    assert read_scores(tmp_path / "scores.csv") == scores


@pytest.mark.parametrize("text", ["case,structure\na,liver\n", "case,structure,dice,hd95_mm\na,liver,x,1\n"])
def test_a_damaged_file_of_scores_is_named(tmp_path, text):
    (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(DataError, match=r"scores\.csv: is damaged"):
        read_scores(tmp_path / "scores.csv")


def test_prepared_cases_are_scored_on_the_images_that_they_were_made_from(data):
    (case,) = labelled_cases(data / "data")
    prepare(data / "store", [case], tiny_recipe(), "cubes")
    (prepared,) = labelled_cases(data / "store")
    raw = raw_files(replace(prepared, annotated=("liver",)))
    assert (raw.images, raw.labels) == (case.images, case.labels)
    assert raw.annotated == ("liver",)
    assert raw_files(case) == case
    case.images[0].unlink()
    with pytest.raises(DataError, match=r"a_0000\.nii\.gz: case a was prepared from it and is validated on"):
        raw_files(prepared)
