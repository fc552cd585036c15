"""Losses of two voxels, worked out by hand.

With all logits 0 each of two channels has probability 1/2. Two voxels of which the second is channel 1:
Dice = 2·(1/2) / ((1/2 + 1/2) + 1) = 1/2; cross entropy = ln 2 at each voxel; focal (gamma 2) = (1/2)²·ln 2.
"""

import math

import pytest
import torch

from model.schema import kind_of, union_members
from training.losses.softmax_sums import channel_sums
from training.losses.supervision import sum_of_terms
from training.losses.terms import TERMS
from training.recipes.loss_options import (
    CrossEntropyTerm,
    DiceTerm,
    FocalTerm,
    Loss,
    LossTerm,
    PerimeterTerm,
    TopKTerm,
)

UNDECIDED = torch.zeros(1, 2, 1, 1, 2)
SECOND = torch.tensor([0, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)
CROSS_ENTROPY = CrossEntropyTerm()
BOTH = Loss()


def value(logits, target, *terms):
    return sum_of_terms(logits, target, Loss(terms=terms)).item()


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([DiceTerm()], 0.5),
        ([DiceTerm(weight=3)], 1.5),
        ([CROSS_ENTROPY], math.log(2)),
        ([FocalTerm(gamma=0)], math.log(2)),
        ([DiceTerm(background=True)], 0.5),
        ([FocalTerm()], math.log(2) / 4),
        ([FocalTerm(gamma=1, weight=2)], math.log(2)),
        ([DiceTerm(), FocalTerm()], 0.5 + math.log(2) / 4),
        ([DiceTerm(), DiceTerm()], 1.0),
    ],
)
def test_two_undecided_voxels(terms, expected):
    assert value(UNDECIDED, SECOND, *terms) == pytest.approx(expected, abs=1e-4)


def test_there_is_a_function_for_each_kind_of_term():
    assert set(TERMS) == {kind_of(cls) for cls in union_members(LossTerm)}


def test_certain_and_right_costs_nothing():
    logits = torch.tensor([[50.0, -50.0], [-50.0, 50.0]]).reshape(1, 2, 1, 1, 2)
    assert sum_of_terms(logits, SECOND, BOTH).item() == pytest.approx(0, abs=1e-4)


def test_certain_and_wrong_costs_the_whole_dice_and_the_logit_gap():
    logits = torch.tensor([[-5.0, 5.0], [5.0, -5.0]]).reshape(1, 2, 1, 1, 2)
    assert value(logits, SECOND, DiceTerm(), CROSS_ENTROPY) == pytest.approx(1 + 10, abs=1e-2)


def test_a_channel_that_the_target_lacks_does_not_count_in_the_dice_term():
    # Three channels at 1/3: Dice of channel 1 is 2·(1/3) / (2/3 + 1) = 0.4; channel 2 is not there.
    assert value(torch.zeros(1, 3, 1, 1, 2), SECOND, DiceTerm()) == pytest.approx(0.6, abs=1e-4)


@pytest.mark.parametrize("batch", [True, False])
def test_a_channel_that_the_target_lacks_counts_in_the_mean_over_all(batch):
    # 1 - 0.4 of channel 1 and, but for a hundredth of a thousandth, 1 of channel 2: their mean is 0.8.
    term = DiceTerm(mean_over="all", batch=batch)
    assert value(torch.zeros(1, 3, 1, 1, 2), SECOND, term) == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize("partial", ["marginal", "ignore"])
def test_a_channel_that_nobody_annotates_never_counts(partial):
    loss = Loss(terms=(DiceTerm(mean_over="all"),), partial=partial)
    annotated = torch.tensor([[True, True, False]])
    without = torch.zeros(1, 3, 1, 1, 2)
    # Channel 1 has 1/3 of either voxel: Dice 0.4; channel 2 is no case's.
    assert sum_of_terms(without, SECOND, loss, annotated).item() == pytest.approx(0.6, abs=1e-4)


def test_dice_is_taken_over_the_batch_and_not_case_by_case():
    # Channel 1 fills one voxel of the first case and none of the second: Σpy = 1/2, Σp = 2, Σy = 1.
    batch = torch.cat([SECOND, torch.zeros_like(SECOND)])
    assert value(torch.zeros(2, 2, 1, 1, 2), batch, DiceTerm()) == pytest.approx(1 - 1 / 3, abs=1e-4)


def test_a_target_without_structures_has_the_focal_term_only_and_a_finite_gradient():
    logits = UNDECIDED.clone().requires_grad_()
    loss = sum_of_terms(logits, torch.zeros_like(SECOND), BOTH)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) / 4, abs=1e-4)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_logits_are_summed_in_fp32():
    logits = UNDECIDED.half()
    assert sum_of_terms(logits, SECOND, BOTH).dtype == torch.float32


def column(*probabilities):
    """Logits (1, channels, 1, 1, n) of voxels whose probabilities are stated, one tuple a voxel."""
    return torch.tensor(probabilities).log().T.reshape(1, len(probabilities[0]), 1, 1, len(probabilities))


def row(*channels):
    return torch.tensor(channels, dtype=torch.uint8).reshape(1, 1, 1, len(channels))


def test_dice_of_each_patch_by_itself_is_the_mean_over_structures_that_are_there():
    # Patch 1 has channel 1 at one voxel of two: Dice 1/2. Patch 2 has it at both: 2·1 / (1 + 2) = 2/3.
    batch = torch.cat([row(0, 1), row(1, 1)])
    found = value(torch.zeros(2, 2, 1, 1, 2), batch, DiceTerm(batch=False))
    assert found == pytest.approx((1 / 2 + 1 / 3) / 2, abs=1e-4)
    # A patch without it does not count.
    batch = torch.cat([row(0, 1), row(0, 0)])
    assert value(torch.zeros(2, 2, 1, 1, 2), batch, DiceTerm(batch=False)) == pytest.approx(1 / 2, abs=1e-4)


def test_dice_with_background_averages_over_it_too():
    logits = column((0.75, 0.25), (0.75, 0.25))
    background = 2 * 0.75 / (1.5 + 1)
    structure = 2 * 0.25 / (0.5 + 1)
    expected = 1 - (background + structure) / 2
    assert value(logits, SECOND, DiceTerm(background=True)) == pytest.approx(expected, abs=1e-4)


def test_topk_takes_the_hardest_voxels_only():
    # True probabilities 1/2, 1/4, 1/8 and 1/16: the hardest half has ln 8 and ln 16.
    logits = column(*((1 - p, p) for p in (1 / 2, 1 / 4, 1 / 8, 1 / 16)))
    target = row(1, 1, 1, 1)
    expected = (math.log(8) + math.log(16)) / 2
    assert value(logits, target, TopKTerm(percent=50)) == pytest.approx(expected, abs=1e-5)
    assert value(logits, target, TopKTerm(percent=1)) == pytest.approx(math.log(16), abs=1e-5)
    assert value(logits, target, TopKTerm(percent=100)) == pytest.approx(
        value(logits, target, CROSS_ENTROPY), abs=1e-6
    )


def test_perimeter_of_five_voxels_in_a_row():
    # One true voxel in the middle of five: max - min over three is 1 at it and at its two neighbours, 3 in
    # all. Predicted is the same with probability 1/2 at it and 0 elsewhere: 3/2.
    tiny = 1e-12
    logits = column(*((1 - p, p) for p in (tiny, tiny, 0.5, tiny, tiny)))
    target = row(0, 0, 1, 0, 0)
    assert value(logits, target, PerimeterTerm()) == pytest.approx((1.5 / 4.5) ** 2, abs=1e-5)
    found = value(logits, target, PerimeterTerm(relative_to="voxels"))
    assert found == pytest.approx((1.5 / 5) ** 2, abs=1e-5)


def test_perimeter_of_a_structure_among_others_leaves_the_background_out():
    """The same row, where channel 2 has as much as channel 1 and is not there. The background's perimeter is
    right, 3 of 3, which a mean over it too would halve.
    """
    tiny = 1e-12
    outside = (1 - 2 * tiny, tiny, tiny)
    logits = column(outside, outside, (tiny, 0.5, 0.5), outside, outside)
    found = value(logits, row(0, 0, 1, 0, 0), PerimeterTerm())
    assert found == pytest.approx((1.5 / 4.5) ** 2, abs=1e-4)


def test_sums_of_many_voxels_do_not_run_out_of_digits():
    """Added up one by one in float32, 2**24 ones and more stay 2**24."""
    voxels = 2**24 + 2**20
    of_truth = torch.ones(1, 1).expand(1, voxels)
    assert channel_sums(of_truth, torch.zeros(1, voxels, dtype=torch.int64), 2).tolist() == [[voxels, 0]]
