"""Deep supervision: which voxels each level is held against, and how much it counts."""

import math

import pytest
import torch

from training.losses.supervision import deep_supervision_loss
from training.recipes.loss_options import FocalTerm, Loss

CROSS_ENTROPY = Loss(terms=(FocalTerm(gamma=0),))
HALVES = ((1, 1, 1), (2, 2, 2))


def corner():
    """Eight voxels of which the first is channel 1."""
    target = torch.zeros(1, 2, 2, 2, dtype=torch.uint8)
    target[0, 0, 0, 0] = 1
    return target


def test_levels_weigh_one_and_a_half_and_the_target_keeps_each_first_voxel():
    fine = torch.zeros(1, 2, 2, 2, 2)
    coarse = torch.tensor([-50.0, 50.0]).reshape(1, 2, 1, 1, 1)
    # The coarse level is certain of channel 1, which is what voxel (0, 0, 0) says: it costs nothing.
    right = deep_supervision_loss([fine, coarse], corner(), CROSS_ENTROPY, HALVES)
    assert right.item() == pytest.approx(math.log(2), abs=1e-4)
    wrong = deep_supervision_loss([fine, -coarse], corner(), CROSS_ENTROPY, HALVES)
    assert wrong.item() == pytest.approx(math.log(2) + 100 / 2, abs=1e-2)


def test_the_target_follows_the_networks_own_strides():
    """A level that is coarser in the plane only sees every slice."""
    target = torch.zeros(1, 2, 2, 2, dtype=torch.uint8)
    target[0, 1, 0, 0] = 1
    coarse = torch.tensor([[50.0, -50.0], [-50.0, 50.0]]).reshape(1, 2, 2, 1, 1)
    fine = torch.zeros(1, 2, 2, 2, 2)
    loss = deep_supervision_loss([fine, coarse], target, CROSS_ENTROPY, ((1, 1, 1), (1, 2, 2)))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-4)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [((1.0, 0.0), math.log(2)), ((0.5, 1.0), 1.5 * math.log(2)), (None, 1.5 * math.log(2))],
)
def test_weights_of_levels_can_be_stated(weights, expected):
    loss = Loss(terms=(FocalTerm(gamma=0),), level_weights=weights)
    levels = [torch.zeros(1, 2, 2, 2, 2), torch.zeros(1, 2, 1, 1, 1)]
    found = deep_supervision_loss(levels, corner(), loss, HALVES).item()
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_level_without_weight_may_be_anything():
    loss = Loss(terms=(FocalTerm(gamma=0),), level_weights=(1.0, 0.0))
    broken = torch.full((1, 2, 1, 1, 1), float("nan"))
    found = deep_supervision_loss([torch.zeros(1, 2, 2, 2, 2), broken], corner(), loss, HALVES)
    assert found.item() == pytest.approx(math.log(2), abs=1e-4)


def test_a_level_without_weight_has_a_gradient_of_zero_and_not_none():
    loss = Loss(terms=(FocalTerm(gamma=0),), level_weights=(1.0, 0.0))
    fine, coarse = (torch.zeros(1, 2, n, n, n, requires_grad=True) for n in (2, 1))
    deep_supervision_loss([fine, coarse], corner(), loss, HALVES).backward()
    assert coarse.grad is not None
    assert not coarse.grad.any()
    assert fine.grad.any()


def test_levels_and_strides_must_be_as_many():
    with pytest.raises(ValueError, match="longer"):
        deep_supervision_loss([torch.zeros(1, 2, 2, 2, 2)], corner(), CROSS_ENTROPY, HALVES)
