import math

import numpy as np
import pytest

from eval.scoring.challenges import (
    CHALLENGES,
    LabelPair,
    Rules,
    StructureScore,
    annotated_slices,
    mean_scores,
    score_case,
)
from model.labels import LabelSet
from tests.eval.made import SPACING_ZYX_MM, disturbed, organisers_scores, organs

FLARE22, FLARE23 = CHALLENGES["flare22"], CHALLENGES["flare23"]
AORTA, ESOPHAGUS, LIVER = 5, 10, 1


def scores_of(prediction, truth, challenge=FLARE23, rules=Rules.STRICT, **more) -> dict[str, StructureScore]:
    return score_case(
        LabelPair(prediction=prediction, truth=truth, spacing_zyx_mm=SPACING_ZYX_MM), challenge, rules, **more
    )


def block(label: int, z: slice) -> np.ndarray:
    labels = np.zeros((12, 10, 10), np.uint8)
    labels[z, 3:7, 3:7] = label
    return labels


def test_tolerances_are_the_challenges():
    assert list(FLARE23.tolerances_mm.values()) == [5, 3, 3, 5, 2, 2, 2, 2, 2, 3, 5, 7, 3, 2]
    assert set(CHALLENGES["flare21"].tolerances_mm.values()) == {1.0}
    assert FLARE22.tolerances_mm == {name: FLARE23.tolerances_mm[name] for name in FLARE22.labels.names}


@pytest.mark.parametrize("seed", range(4))
def test_official_scores_are_the_organisers(seed):
    generator = np.random.default_rng(seed)
    truth = organs(generator, 14)
    prediction = disturbed(generator, truth)
    prediction[prediction == 3] = 0  # only in the truth
    truth[truth == 7] = 0  # only in the prediction
    prediction[prediction == 9] = truth[truth == 9] = 0  # in neither
    prediction[truth == 8] = np.where(np.arange(np.count_nonzero(truth == 8)) % 12, 0, 8)  # DSC below 0.2
    scores = scores_of(prediction, truth, rules=Rules.OFFICIAL)
    assert [(round(s.dice, 4), round(s.nsd, 4)) for s in scores.values()] == organisers_scores(
        prediction, truth, SPACING_ZYX_MM, 14
    )


@pytest.mark.parametrize("rules", [Rules.STRICT, Rules.OFFICIAL])
def test_structures_in_neither_or_one_of_the_maps(rules):
    nothing, liver = block(0, slice(0, 0)), block(LIVER, slice(2, 6))
    assert all((s.dice, s.nsd) == (1.0, 1.0) for s in scores_of(nothing, nothing, rules=rules).values())
    for prediction, truth in ((nothing, liver), (liver, nothing)):
        score = scores_of(prediction, truth, rules=rules, with_hd95=True)["liver"]
        assert (score.dice, score.nsd, score.hd95_mm) == (0.0, 0.0, math.inf)
        assert abs(score.volume_difference_ml) == pytest.approx(64 * 1.8 / 1000)


def test_nsd_is_0_below_a_dsc_of_a_fifth():
    # Slices 0-9 of the prediction, 9-11 of the truth: DSC 2·1/(10+3) = 0.154, though much of it is within 5
    # mm.
    truth, prediction = block(LIVER, slice(9, 12)), block(LIVER, slice(0, 10))
    score = scores_of(prediction, truth)["liver"]
    assert score.dice == pytest.approx(2 / 13)
    assert score.nsd == 0.0
    assert scores_of(prediction, truth, CHALLENGES["amos22"])["spleen"].nsd > 0.0
    # A DSC of exactly 0.2 is not below: 1 slice in common of 1 and 9.
    assert scores_of(block(LIVER, slice(0, 9)), block(LIVER, slice(0, 1)))["liver"].nsd > 0.0


def test_long_structures_are_scored_on_the_slices_of_the_truth():
    truth, prediction = block(AORTA, slice(4, 8)), block(AORTA, slice(0, 12))
    for rules in Rules:
        assert scores_of(prediction, truth, rules=rules)["aorta"].dice == 1.0
    liver = scores_of(
        np.where(prediction > 0, LIVER, 0).astype(np.uint8), np.where(truth > 0, LIVER, 0).astype(np.uint8)
    )["liver"]
    assert liver.dice == pytest.approx(2 * 4 / 16)


def test_the_topmost_slice_counts_but_not_for_the_organisers():
    # The truth lies on slices 4-7, the prediction misses slice 7.
    truth, prediction = block(AORTA, slice(4, 8)), block(AORTA, slice(4, 7))
    assert scores_of(prediction, truth, rules=Rules.OFFICIAL)["aorta"].dice == 1.0
    assert scores_of(prediction, truth)["aorta"].dice == pytest.approx(2 * 3 / 7)
    box = (slice(0, 12), slice(3, 7), slice(3, 7))
    truth_box = (slice(4, 8), slice(3, 7), slice(3, 7))
    assert annotated_slices(box, truth_box, Rules.OFFICIAL)[0] == slice(4, 7)
    assert annotated_slices(box, truth_box, Rules.STRICT) == truth_box
    assert annotated_slices(box, truth_box, Rules.STRICT, head_axis=2)[0] == slice(0, 12)


def test_a_structure_of_one_slice():
    truth, prediction = block(ESOPHAGUS, slice(5, 6)), block(ESOPHAGUS, slice(5, 7))
    assert scores_of(prediction, truth)["esophagus"].dice == 1.0
    official = scores_of(prediction, truth, rules=Rules.OFFICIAL)["esophagus"]
    assert math.isnan(official.dice)
    assert math.isnan(official.nsd)
    # Without a prediction the organisers' program does not get that far.
    assert scores_of(block(0, slice(0, 0)), truth, rules=Rules.OFFICIAL)["esophagus"].dice == 0.0


def test_a_prediction_beside_the_slices_of_the_truth():
    score = scores_of(block(AORTA, slice(0, 3)), block(AORTA, slice(6, 9)))["aorta"]
    assert (score.dice, score.nsd) == (0.0, 0.0)


def test_partial_rules_leave_out_what_the_truth_does_not_hold():
    truth = block(LIVER, slice(2, 6))
    prediction = truth.copy()
    prediction[8:10, :2, :2] = 3
    scores = scores_of(prediction, truth, rules=Rules.PARTIAL)
    assert scores["liver"].dice == 1.0
    assert [name for name, score in scores.items() if not math.isnan(score.dice)] == ["liver"]
    assert scores_of(np.zeros_like(truth), truth, rules=Rules.PARTIAL)["liver"].dice == 0.0


def test_threads_change_nothing():
    generator = np.random.default_rng(2)
    truth = organs(generator, 14)
    prediction = disturbed(generator, truth)
    assert scores_of(prediction, truth, with_hd95=True, threads=3) == scores_of(
        prediction, truth, with_hd95=True
    )


def test_without_hd95_the_rest_is_the_same():
    generator = np.random.default_rng(3)
    truth = organs(generator, 14)
    prediction = disturbed(generator, truth)
    full, quick = scores_of(prediction, truth, with_hd95=True), scores_of(prediction, truth)
    assert [(s.dice, s.nsd) for s in full.values()] == [(s.dice, s.nsd) for s in quick.values()]
    assert all(math.isnan(score.hd95_mm) for score in quick.values())


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        LabelPair(
            prediction=np.zeros((2, 2, 2), np.uint8),
            truth=np.zeros((2, 2, 3), np.uint8),
            spacing_zyx_mm=SPACING_ZYX_MM,
        )


def test_organ_mean_and_lesion_stand_apart():
    scores = {"liver": 0.9, "spleen": 0.7, "pancreas": math.nan, "tumor": 0.1}
    organ, lesion = mean_scores(scores, FLARE23.labels)
    assert organ == pytest.approx(0.8)
    assert lesion == 0.1
    assert all(math.isnan(mean) for mean in mean_scores({"liver": math.nan}, FLARE23.labels))
    own = LabelSet(name="own", ids={"liver": 1, "cyst": 2, "metastasis": 3}, lesions=("cyst", "metastasis"))
    assert mean_scores({"liver": 1.0, "cyst": 0.25, "metastasis": 0.75}, own) == (1.0, 0.5)
