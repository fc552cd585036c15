"""The loss of a recipe: its terms, summed over the levels of deep supervision.

Shapes: `logits` (batch, channels, z, y, x), float; `target` (batch, z, y, x), integer channel of each voxel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from model.arrays import Zyx
from training.losses.terms import TERMS
from training.recipes.loss_options import Loss


def sum_of_terms(logits: Tensor, target: Tensor, loss: Loss) -> Tensor:
    """Weighted sum of the loss's terms at one level; a scalar."""
    log_probability = functional.log_softmax(logits.float(), dim=1)
    truth = target.long().unsqueeze(1)
    total = torch.zeros((), device=logits.device)
    for term in loss.terms:
        total = total + term.weight * TERMS[term.kind](log_probability, truth, term)
    return total


def deep_supervision_loss(
    levels: Sequence[Tensor], target: Tensor, loss: Loss, strides_zyx: Sequence[Zyx]
) -> Tensor:
    """Sum of `sum_of_terms` over the levels, each with its weight; a scalar.

    Args:
        levels: logits, full resolution first.
        target: channel of each voxel at full resolution, shrunk here by nearest neighbour.
        loss: terms and weights.
        strides_zyx: by how much each level is coarser than full resolution (`Levels.output_strides_zyx`).
    """
    total = torch.zeros((), device=target.device)
    weights = loss.weights_of(len(levels))
    for logits, weight, (z, y, x) in zip(levels, weights, strides_zyx, strict=True):
        if weight:
            total = total + weight * sum_of_terms(logits, target[:, ::z, ::y, ::x], loss)
    return total
