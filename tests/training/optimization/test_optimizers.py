"""Optimizers do what their section says."""

import pytest
import torch
from torch import nn

from training.optimization.optimizers import make_optimizer
from training.recipes.optimizer_options import AdamWOptimizer


def test_a_first_step_of_adamw_by_hand():
    """The first step moves each weight by the learning rate against its gradient's sign, after the decay."""
    weight = nn.Parameter(torch.tensor([2.0, 2.0]))
    optimizer = make_optimizer([weight], AdamWOptimizer(learning_rate=0.1, weight_decay=0.5))
    weight.grad = torch.tensor([3.0, -0.01])
    optimizer.step()
    # 2 · (1 - 0.1 · 0.5) = 1.9, then 0.1 down or up.
    assert weight.tolist() == pytest.approx([1.8, 2.0], abs=1e-4)
