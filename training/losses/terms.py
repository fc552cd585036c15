"""The terms that a loss is made of, one function for each kind, and a table of them.

To add a loss: a class in `training.recipes.loss_options`, a function here, a line in `TERMS`.

Shapes: log probabilities (batch, channels, z, y, x) float32; target (batch, 1, z, y, x) int64, the channel of
each voxel. Every term is a scalar.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from training.recipes.loss_options import DiceTerm, FocalTerm

SMOOTH = 1e-5
"""Voxels added to the sums of the Dice term, so that empty ones do not divide by zero."""


def dice(log_probability: Tensor, target: Tensor, term: DiceTerm) -> Tensor:
    """1 - 2·Σpy / (Σp + Σy), averaged over the foreground channels that the target holds.

    A channel that is absent would add a constant near 1 and no direction; where it is predicted nevertheless,
    voxel-wise terms say so. A target without any structure gives 0. Sums run over the whole batch.
    """
    probability = log_probability.exp().transpose(0, 1).flatten(1)
    channels = torch.arange(log_probability.shape[1], device=log_probability.device).unsqueeze(1)
    truth = (target.flatten().unsqueeze(0) == channels).to(probability.dtype)
    size = truth.sum(1)
    scores = (2 * (probability * truth).sum(1) + SMOOTH) / (probability.sum(1) + size + SMOOTH)
    present = (size > 0).to(scores.dtype)
    present[0] = 0
    return ((1 - scores) * present).sum() / present.sum().clamp(min=1)


def focal(log_probability: Tensor, target: Tensor, term: FocalTerm) -> Tensor:
    """Mean over voxels of -(1 - p)^gamma · log p, p the probability of the true channel."""
    log_of_truth = log_probability.gather(1, target)
    factor = (1 - log_of_truth.exp()).pow(term.gamma) if term.gamma else 1.0
    return (factor * -log_of_truth).mean()


TERMS: Mapping[str, Callable[[Tensor, Tensor, Any], Tensor]] = MappingProxyType(
    {"dice": dice, "focal": focal}
)
"""What computes each kind of term."""
