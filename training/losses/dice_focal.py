"""Dice + focal loss with deep supervision (FLARE23 low-resource ensemble).

Shapes: `logits` (batch, channels, z, y, x), float; `target` (batch, z, y, x), integer channel of each voxel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from training.recipes.recipe import Loss

SMOOTH = 1e-5
"""Voxels added to the sums of the Dice term, so that empty ones do not divide by zero."""


def dice_focal_loss(logits: Tensor, target: Tensor, loss: Loss) -> Tensor:
    """Dice loss of the structures that are in the batch, plus focal loss of all voxels; a scalar.

    Dice, 1 - 2·Σpy / (Σp + Σy), is averaged over the foreground channels that the target holds: a channel
    that is absent would add a constant near 1 and no direction. Where it is predicted all the same, the focal
    term says so. Of a target without any structure only the focal term remains.
    """
    log_probability = functional.log_softmax(logits.float(), dim=1)
    target = target.long().unsqueeze(1)
    log_of_truth = log_probability.gather(1, target)
    focal = (1 - log_of_truth.exp()).pow(loss.focal_gamma) if loss.focal_gamma else 1.0
    focal_loss = (focal * -log_of_truth).mean()

    probability = log_probability.exp().transpose(0, 1).flatten(1)
    channels = torch.arange(logits.shape[1], device=logits.device).unsqueeze(1)
    truth = (target.flatten().unsqueeze(0) == channels).to(probability.dtype)
    size = truth.sum(1)
    dice = (2 * (probability * truth).sum(1) + SMOOTH) / (probability.sum(1) + size + SMOOTH)
    present = (size > 0).to(dice.dtype)
    present[0] = 0
    dice_loss = ((1 - dice) * present).sum() / present.sum().clamp(min=1)
    return loss.dice_weight * dice_loss + loss.focal_weight * focal_loss


def deep_supervision_loss(levels: Sequence[Tensor], target: Tensor, loss: Loss) -> Tensor:
    """Sum of `dice_focal_loss` over the levels i = 0, 1, … with weight 1/2^i; a scalar.

    Args:
        levels: logits at full resolution, half of it, a quarter, …
        target: channel of each voxel at full resolution, shrunk here by nearest neighbour.
        loss: weights of the terms.
    """
    total = torch.zeros((), device=target.device)
    for i, logits in enumerate(levels):
        stride = 2**i
        total = total + dice_focal_loss(logits, target[:, ::stride, ::stride, ::stride], loss) / stride
    return total
