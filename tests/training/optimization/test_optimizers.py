"""Optimizers do what their section says."""

import pytest
import torch
from torch import nn

from training.optimization.optimizers import make_optimizer, moments_of
from training.recipes.optimizer_options import AdamWOptimizer, RMSPropOptimizer, SGDOptimizer


def test_a_first_step_of_adamw_by_hand():
    """The first step moves each weight by the learning rate against its gradient's sign, after the decay."""
    weight = nn.Parameter(torch.tensor([2.0, 2.0]))
    optimizer = make_optimizer([weight], AdamWOptimizer(learning_rate=0.1, weight_decay=0.5))
    weight.grad = torch.tensor([3.0, -0.01])
    optimizer.step()
    # 2 · (1 - 0.1 · 0.5) = 1.9, then 0.1 down or up.
    assert weight.tolist() == pytest.approx([1.8, 2.0], abs=1e-4)


def values_after(options, gradients):
    """A weight that starts at 1, after each of some gradients."""
    weight = nn.Parameter(torch.tensor([1.0]))
    optimizer, found = make_optimizer([weight], options), []
    for gradient in gradients:
        weight.grad = torch.tensor([gradient])
        optimizer.step()
        found.append(weight.item())
    return found, optimizer.state[weight]


def test_two_steps_of_nesterov_momentum_by_hand():
    options = SGDOptimizer(learning_rate=0.1, momentum=0.5, weight_decay=0)
    # Momentum 1, then 0.5 · 1 + 2 = 2.5; each step takes gradient + 0.5 · momentum: 1.5, then 3.25.
    assert values_after(options, [1.0, 2.0])[0] == pytest.approx([0.85, 0.525])


def test_two_steps_of_heavy_ball_momentum_by_hand():
    options = SGDOptimizer(learning_rate=0.1, momentum=0.5, nesterov=False, weight_decay=0)
    assert values_after(options, [1.0, 2.0])[0] == pytest.approx([0.9, 0.65])


def test_weight_decay_of_sgd_is_part_of_the_gradient():
    options = SGDOptimizer(learning_rate=0.1, momentum=0, nesterov=False, weight_decay=0.5)
    assert values_after(options, [1.0])[0] == pytest.approx([1 - 0.1 * (1 + 0.5 * 1)])


def test_two_steps_of_rmsprop_by_hand():
    options = RMSPropOptimizer(learning_rate=0.1, smoothing=0.75)
    # Mean squares 0.25 · 4 = 1, then 0.75 · 1 + 0.25 · 9 = 3; steps of 0.1 · 2 / 1, then 0.1 · 3 / √3.
    assert values_after(options, [2.0, 3.0])[0] == pytest.approx([0.8, 0.8 - 0.1 * 3**0.5], abs=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        AdamWOptimizer(),
        SGDOptimizer(),
        SGDOptimizer(momentum=0, nesterov=False),
        RMSPropOptimizer(),
        RMSPropOptimizer(momentum=0.9),
    ],
)
def test_all_that_an_optimizer_remembers_is_named(options):
    _, state = values_after(options, [1.0])
    remembered = {name for name, value in state.items() if torch.is_tensor(value) and name != "step"}
    assert remembered == set(moments_of(options))


def test_a_first_step_that_the_scaler_leaves_out_leaves_no_momentum():
    """fp16 begins so as a rule. Memory that was just freed would show: it holds 123."""
    weight = nn.Parameter(torch.ones(1000))
    optimizer = make_optimizer([weight], SGDOptimizer(learning_rate=0.1, momentum=0.9, weight_decay=0.0))
    scaler = torch.amp.GradScaler("cpu")
    for first in (torch.inf, 1.0):
        freed = [torch.full((1000,), 123.0) for _ in range(50)]
        del freed
        weight.grad = scaler.scale(torch.full((1000,), first))
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    # Nesterov: 1 - 0.1 · (1 + 0.9 · 1)
    assert weight.detach().numpy() == pytest.approx(0.81)
