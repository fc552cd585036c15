"""Losses of two voxels, worked out by hand.

With all logits 0 each of two channels has probability 1/2. Two voxels of which the second is channel 1:
Dice = 2·(1/2) / ((1/2 + 1/2) + 1) = 1/2; cross entropy = ln 2 at each voxel; focal (gamma 2) = (1/2)²·ln 2.
"""

import math

import pytest
import torch

from training.losses.supervision import sum_of_terms
from training.losses.terms import TERMS
from training.recipes.loss_options import DiceTerm, FocalTerm, Loss

UNDECIDED = torch.zeros(1, 2, 1, 1, 2)
SECOND = torch.tensor([0, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)
CROSS_ENTROPY = FocalTerm(gamma=0)
BOTH = Loss()


def value(logits, target, *terms):
    return sum_of_terms(logits, target, Loss(terms=terms)).item()


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([DiceTerm()], 0.5),
        ([DiceTerm(weight=3)], 1.5),
        ([CROSS_ENTROPY], math.log(2)),
        ([FocalTerm()], math.log(2) / 4),
        ([FocalTerm(gamma=1, weight=2)], math.log(2)),
        ([DiceTerm(), FocalTerm()], 0.5 + math.log(2) / 4),
        ([DiceTerm(), DiceTerm()], 1.0),
    ],
)
def test_two_undecided_voxels(terms, expected):
    assert value(UNDECIDED, SECOND, *terms) == pytest.approx(expected, abs=1e-4)


def test_there_is_a_function_for_each_kind_of_term():
    assert set(TERMS) == {DiceTerm().kind, FocalTerm().kind}


def test_certain_and_right_costs_nothing():
    logits = torch.tensor([[50.0, -50.0], [-50.0, 50.0]]).reshape(1, 2, 1, 1, 2)
    assert sum_of_terms(logits, SECOND, BOTH).item() == pytest.approx(0, abs=1e-4)


def test_certain_and_wrong_costs_the_whole_dice_and_the_logit_gap():
    logits = torch.tensor([[-5.0, 5.0], [5.0, -5.0]]).reshape(1, 2, 1, 1, 2)
    assert value(logits, SECOND, DiceTerm(), CROSS_ENTROPY) == pytest.approx(1 + 10, abs=1e-2)


def test_a_channel_that_the_target_lacks_does_not_count_in_the_dice_term():
    # Three channels at 1/3: Dice of channel 1 is 2·(1/3) / (2/3 + 1) = 0.4; channel 2 is not there.
    assert value(torch.zeros(1, 3, 1, 1, 2), SECOND, DiceTerm()) == pytest.approx(0.6, abs=1e-4)


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


@pytest.mark.parametrize("term", [DiceTerm(), FocalTerm(), CROSS_ENTROPY, FocalTerm(gamma=3)])
def test_gradients_are_those_of_finite_differences(term):
    torch.manual_seed(0)
    target = torch.tensor([0, 1, 2, 1]).reshape(1, 1, 1, 1, 4)
    logits = torch.randn(1, 3, 1, 1, 4, dtype=torch.float64, requires_grad=True)

    def loss(logits):
        return TERMS[term.kind](torch.log_softmax(logits, dim=1), target, term)

    assert torch.autograd.gradcheck(loss, logits)


def test_half_precision_logits_are_summed_in_fp32():
    logits = UNDECIDED.half()
    assert sum_of_terms(logits, SECOND, BOTH).dtype == torch.float32
