"""Losses of two voxels, worked out by hand.

With all logits 0 each of two channels has probability 1/2. Two voxels of which the second is channel 1:
Dice = 2·(1/2) / ((1/2 + 1/2) + 1) = 1/2; cross entropy = ln 2 at each voxel; focal (gamma 2) = (1/2)²·ln 2.
"""

import math

import pytest
import torch

from training.losses.dice_focal import deep_supervision_loss, dice_focal_loss
from training.recipes.recipe import Loss

UNDECIDED = torch.zeros(1, 2, 1, 1, 2)
SECOND = torch.tensor([0, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (Loss(focal_weight=0), 0.5),
        (Loss(focal_weight=0, dice_weight=3), 1.5),
        (Loss(dice_weight=0, focal_gamma=0), math.log(2)),
        (Loss(dice_weight=0), math.log(2) / 4),
        (Loss(), 0.5 + math.log(2) / 4),
    ],
)
def test_two_undecided_voxels(loss, expected):
    assert dice_focal_loss(UNDECIDED, SECOND, loss).item() == pytest.approx(expected, abs=1e-4)


def test_certain_and_right_costs_nothing():
    logits = torch.tensor([[50.0, -50.0], [-50.0, 50.0]]).reshape(1, 2, 1, 1, 2)
    assert dice_focal_loss(logits, SECOND, Loss()).item() == pytest.approx(0, abs=1e-4)


def test_certain_and_wrong_costs_the_whole_dice_and_the_logit_gap():
    logits = torch.tensor([[-5.0, 5.0], [5.0, -5.0]]).reshape(1, 2, 1, 1, 2)
    assert dice_focal_loss(logits, SECOND, Loss(focal_gamma=0)).item() == pytest.approx(1 + 10, abs=1e-2)


def test_a_channel_that_the_target_lacks_does_not_count_in_the_dice_term():
    # Three channels at 1/3: Dice of channel 1 is 2·(1/3) / (2/3 + 1) = 0.4; channel 2 is not there.
    assert dice_focal_loss(torch.zeros(1, 3, 1, 1, 2), SECOND, Loss(focal_weight=0)).item() == pytest.approx(
        0.6, abs=1e-4
    )


def test_a_target_without_structures_has_the_focal_term_only_and_a_finite_gradient():
    logits = UNDECIDED.clone().requires_grad_()
    loss = dice_focal_loss(logits, torch.zeros_like(SECOND), Loss())
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) / 4, abs=1e-4)
    assert torch.isfinite(logits.grad).all()


def test_levels_weigh_one_and_a_half_and_the_target_keeps_each_first_voxel():
    fine = torch.zeros(1, 2, 2, 2, 2)
    coarse = torch.tensor([-50.0, 50.0]).reshape(1, 2, 1, 1, 1)
    target = torch.zeros(1, 2, 2, 2, dtype=torch.uint8)
    target[0, 0, 0, 0] = 1
    loss = Loss(dice_weight=0, focal_gamma=0)
    # The coarse level is certain of channel 1, which is what voxel (0, 0, 0) says: it costs nothing.
    assert deep_supervision_loss([fine, coarse], target, loss).item() == pytest.approx(math.log(2), abs=1e-4)
    assert deep_supervision_loss([fine, -coarse], target, loss).item() == pytest.approx(
        math.log(2) + 100 / 2, abs=1e-2
    )
