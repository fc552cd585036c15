"""The challenges' rules, one by one, each on a case that can be drawn.

A structure is a bar of voxels along x, the prediction a little further on than the truth.
"""

import math

import numpy as np
import pytest

from eval.scoring.challenges import CHALLENGES, LabelPair, Rules, score_case, score_structure

CUBE = (1.0, 1.0, 1.0)
SLICED = ("aorta", "inferior vena cava", "esophagus")
ALL_STRUCTURES = [(name, each) for name, challenge in CHALLENGES.items() for each in challenge.labels.names]
RULES = list(Rules)


def bar(start: int, stop: int) -> np.ndarray:
    mask = np.zeros((1, 1, 60), bool)
    mask[..., start:stop] = True
    return mask


def column(label: int, *slices: int, depth: int = 10) -> np.ndarray:
    """A structure of 2×2 voxels in some slices."""
    labels = np.zeros((depth, 4, 4), np.uint8)
    labels[list(slices), 1:3, 1:3] = label
    return labels


def scored(prediction, truth, challenge="flare23", rules=Rules.STRICT, head_axis=0, **more):
    pair = LabelPair(prediction=prediction, truth=truth, spacing_zyx_mm=CUBE, head_axis=head_axis)
    return score_case(pair, CHALLENGES[challenge], rules, **more)


def of(structure: str, prediction, truth, challenge="flare23", **more):
    return scored(prediction, truth, challenge, **more)[structure]


@pytest.mark.parametrize(
    ("challenge", "structures", "least_dice", "sliced"),
    [
        ("flare21", 4, 0.0, ()),
        ("flare22", 13, 0.2, SLICED),
        ("flare23", 14, 0.2, SLICED),
        ("amos22", 15, 0.0, ()),
    ],
)
def test_what_each_challenge_asks_for(challenge, structures, least_dice, sliced):
    found = CHALLENGES[challenge]
    assert len(found.labels.names) == len(found.tolerances_mm) == len(found.short_names) == structures
    assert found.least_dice == least_dice
    assert sorted(found.sliced) == sorted(sliced)


@pytest.mark.parametrize(("challenge", "structure"), ALL_STRUCTURES)
def test_an_error_of_just_the_tolerance_is_none(challenge, structure):
    found = CHALLENGES[challenge]
    label, tolerance = found.labels.ids[structure], int(found.tolerances_mm[structure])
    truth = (bar(0, 40) * label).astype(np.uint8)
    for shift, perfect in ((tolerance, True), (tolerance + 1, False)):
        prediction = (bar(shift, 40 + shift) * label).astype(np.uint8)
        assert (of(structure, prediction, truth, challenge).nsd == pytest.approx(1.0)) is perfect


@pytest.mark.parametrize(
    ("prediction", "truth", "expected_dice", "least_dice", "nsd_counts"),
    [
        ((0, 9), (8, 9), 2 * 1 / 10, 0.2, True),  # exactly 0.2 is not below
        ((0, 10), (9, 10), 2 * 1 / 11, 0.2, False),
        ((0, 10), (9, 10), 2 * 1 / 11, 0.0, True),
        ((0, 10), (9, 29), 2 * 1 / 30, 0.2, False),
        ((0, 10), (0, 10), 1.0, 0.2, True),
    ],
)
def test_nsd_is_0_where_dsc_is_below_a_fifth(prediction, truth, expected_dice, least_dice, nsd_counts):
    for with_hd95 in (False, True):
        score = score_structure(
            bar(*prediction), bar(*truth), CUBE, 5.0, least_dice=least_dice, with_hd95=with_hd95
        )
        assert score.dice == pytest.approx(expected_dice)
        assert (score.nsd > 0) is nsd_counts
        assert math.isfinite(score.hd95_mm) is with_hd95


@pytest.mark.parametrize("challenge", CHALLENGES)
def test_the_rule_of_a_fifth_came_with_flare22(challenge):
    structure, label = next(iter(CHALLENGES[challenge].labels.ids.items()))
    prediction, truth = ((bar(*ends) * label).astype(np.uint8) for ends in ((0, 30), (29, 30)))
    score = of(structure, prediction, truth, challenge)
    assert score.dice == pytest.approx(2 / 31)
    assert (score.nsd == 0.0) is challenge.startswith(("flare22", "flare23", "flare24"))


@pytest.mark.parametrize("rules", [Rules.STRICT, Rules.OFFICIAL])
@pytest.mark.parametrize(
    ("predicted", "true", "dice", "nsd", "hd95", "volume_ml"),
    [
        (0, 0, 1.0, 1.0, 0.0, 0.0),
        (20, 0, 0.0, 0.0, math.inf, 0.02),
        (0, 20, 0.0, 0.0, math.inf, -0.02),
        (20, 20, 1.0, 1.0, 0.0, 0.0),
    ],
    ids=["in neither", "only predicted", "only in the truth", "in both"],
)
def test_structures_that_a_map_lacks(rules, predicted, true, dice, nsd, hd95, volume_ml):
    prediction, truth = (bar(0, count).astype(np.uint8) for count in (predicted, true))
    score = of("liver", prediction, truth, rules=rules, with_hd95=True)
    assert (score.dice, score.nsd, score.hd95_mm) == (dice, nsd, hd95)
    assert score.volume_difference_ml == pytest.approx(volume_ml)


@pytest.mark.parametrize(("challenge", "structure"), ALL_STRUCTURES)
def test_only_long_structures_are_cut_to_the_slices_of_the_truth(challenge, structure):
    label = CHALLENGES[challenge].labels.ids[structure]
    score = of(structure, column(label, *range(10)), column(label, *range(3, 7)), challenge)
    sliced = challenge in ("flare22", "flare23") and structure in SLICED
    assert score.dice == pytest.approx(1.0 if sliced else 2 * 4 / 14)


@pytest.mark.parametrize("structure", SLICED)
@pytest.mark.parametrize(
    ("predicted", "rules", "dice"),
    [
        # The truth is on slices 3 to 6; the organisers look at 3 to 5.
        ((3, 4, 5, 6), Rules.STRICT, 1.0),
        ((3, 4, 5), Rules.STRICT, 2 * 3 / 7),
        ((3, 4, 5), Rules.PARTIAL, 2 * 3 / 7),
        ((3, 4, 5), Rules.OFFICIAL, 1.0),
        ((4, 5, 6), Rules.STRICT, 2 * 3 / 7),
        ((4, 5, 6), Rules.OFFICIAL, 2 * 2 / 5),
        ((6,), Rules.STRICT, 2 * 1 / 5),
        ((6,), Rules.OFFICIAL, 0.0),
        ((8, 9), Rules.STRICT, 0.0),
    ],
)
def test_the_top_slice_of_a_long_structure(structure, predicted, rules, dice):
    label = CHALLENGES["flare23"].labels.ids[structure]
    score = of(structure, column(label, *predicted), column(label, 3, 4, 5, 6), rules=rules)
    assert score.dice == pytest.approx(dice)


@pytest.mark.parametrize("structure", SLICED)
def test_slices_that_the_truth_skips_count(structure):
    # From the first to the last annotated slice, those between included: 3 to 7 with nothing on 5.
    label = CHALLENGES["flare23"].labels.ids[structure]
    score = of(structure, column(label, *range(10)), column(label, 3, 4, 6, 7))
    assert score.dice == pytest.approx(2 * 4 / (5 + 4))


@pytest.mark.parametrize(
    ("rules", "expected"), [(Rules.STRICT, 1.0), (Rules.PARTIAL, 1.0), (Rules.OFFICIAL, math.nan)]
)
def test_a_long_structure_on_one_slice_is_more_than_the_organisers_can_score(rules, expected):
    label = CHALLENGES["flare23"].labels.ids["aorta"]
    score = of("aorta", column(label, 4, 5, 6), column(label, 5), rules=rules)
    assert score.dice == pytest.approx(expected, nan_ok=True)
    assert score.nsd == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_lie_across_the_head_axis(axis):
    label = CHALLENGES["flare23"].labels.ids["aorta"]
    prediction, truth = (np.moveaxis(column(label, *slices), 0, axis) for slices in (range(10), (3, 4, 5, 6)))
    assert of("aorta", prediction, truth, head_axis=axis).dice == 1.0
    # Taken across another axis, the cut removes nothing: 10 slices against 4.
    assert of("aorta", prediction, truth, head_axis=(axis + 1) % 3).dice == pytest.approx(2 * 4 / 14)


def test_partial_truths_judge_only_what_they_hold():
    liver = CHALLENGES["flare23"].labels.ids["liver"]
    spleen = CHALLENGES["flare23"].labels.ids["spleen"]
    truth = column(liver, 2, 3)
    prediction = column(liver, 2, 3)
    prediction[8, 0, 0] = spleen
    strict, partial = (scored(prediction, truth, rules=rules) for rules in (Rules.STRICT, Rules.PARTIAL))
    assert strict["spleen"].dice == 0.0
    assert strict["pancreas"].dice == 1.0
    assert math.isnan(partial["spleen"].dice)
    assert math.isnan(partial["pancreas"].dice)
    assert partial["liver"] == strict["liver"]


@pytest.mark.parametrize("rules", RULES)
def test_every_structure_has_its_place_in_the_order_of_ids(rules):
    nothing = np.zeros((2, 2, 2), np.uint8)
    for name, challenge in CHALLENGES.items():
        names = list(scored(nothing, nothing, name, rules))
        assert names == sorted(challenge.labels.ids, key=lambda structure: challenge.labels.ids[structure])


def test_structures_are_judged_each_for_itself():
    # Liver and spleen have changed places: both are lost, and the pancreas does not notice.
    truth, prediction = np.zeros((1, 1, 30), np.uint8), np.zeros((1, 1, 30), np.uint8)
    truth[..., :10], truth[..., 10:20], truth[..., 20:] = 1, 3, 4
    prediction[..., :10], prediction[..., 10:20], prediction[..., 20:] = 3, 1, 4
    scores = scored(prediction, truth)
    assert {name: scores[name].dice for name in ("liver", "spleen", "pancreas")} == {
        "liver": 0.0,
        "spleen": 0.0,
        "pancreas": 1.0,
    }
