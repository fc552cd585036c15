"""The loss of a recipe: its terms, summed over the levels of deep supervision.

Shapes: `logits` (batch, channels, z, y, x), float; `target` (batch, z, y, x), integer channel of each voxel;
`annotated` (batch, channels) bool, whether the case annotates that channel's structure, None for all of them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from model.arrays import Zyx
from training.losses.scores import LossSetting, score
from training.losses.terms import TERMS
from training.recipes.loss_options import Loss

ALONE = LossSetting()
"""One device, and channels that need no names."""


def sum_of_terms(
    logits: Tensor,
    target: Tensor,
    loss: Loss,
    annotated: Tensor | None = None,
    setting: LossSetting = ALONE,
) -> Tensor:
    """Weighted sum of the loss's terms at one level; a scalar."""
    scores = score(logits, target, loss, annotated, setting)
    total = torch.zeros((), device=logits.device)
    for term in loss.terms:
        total = total + term.weight * TERMS[term.kind](scores, term)
    return total


def deep_supervision_loss(
    levels: Sequence[Tensor],
    target: Tensor,
    loss: Loss,
    strides_zyx: Sequence[Zyx],
    annotated: Tensor | None = None,
    setting: LossSetting = ALONE,
) -> Tensor:
    """Sum of `sum_of_terms` over the levels, each with its weight; a scalar.

    Args:
        levels: logits, full resolution first.
        target: channel of each voxel at full resolution, shrunk here by nearest neighbour.
        loss: terms and weights.
        strides_zyx: by how much each level is coarser than full resolution (`Levels.output_strides_zyx`).
        annotated: which structures each case annotates.
        setting: names of channels, and how sums are added up over devices.
    """
    total = torch.zeros((), device=target.device)
    weights = loss.weights_of(len(levels))
    for logits, weight, (z, y, x) in zip(levels, weights, strides_zyx, strict=True):
        if weight:
            shrunk = target[:, ::z, ::y, ::x]
            total = total + weight * sum_of_terms(logits, shrunk, loss, annotated, setting)
        else:
            # A gradient of 0 instead of none, which optimizers and processes that share gradients ask for.
            total = total + 0.0 * logits.float().nan_to_num(0.0, 0.0, 0.0).sum()
    return total
