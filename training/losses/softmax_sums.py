"""What Dice and voxel-wise losses need of a softmax, in one pass over the logits, and its gradient in one.

Shapes: b patches, c channels, n voxels.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _SoftmaxSums(torch.autograd.Function):
    """`softmax_sums`; its gradient needs the probabilities only, and no one-hot truth."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ANN401
        log_probability = torch.log_softmax(logits.contiguous(), 1)
        log_of_truth = log_probability.gather(1, target.unsqueeze(1)).squeeze(1)
        probability = log_probability.exp_()
        of_truth = log_of_truth.exp()
        ctx.save_for_backward(probability, target, of_truth)
        return log_of_truth, probability.sum(2), channel_sums(of_truth, target, logits.shape[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_log: Tensor, to_sums: Tensor, to_true_sums: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        # With p = softmax(x): d log p_y = [y] - p, and d p_c = p_c · ([c] - p), both along x.
        probability, target, of_truth = ctx.saved_tensors
        along_truth = to_log + to_true_sums.gather(1, target) * of_truth
        common = torch.bmm(to_sums.unsqueeze(1), probability)
        common += along_truth.unsqueeze(1)
        gradient = to_sums.unsqueeze(2) - common
        gradient *= probability
        gradient.scatter_add_(1, target.unsqueeze(1), along_truth.unsqueeze(1))
        return gradient, None


def softmax_sums(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log probability of the true channel, and sums of probabilities over voxels; all differentiable once.

    Args:
        logits: (b, c, n), float32 or float64.
        target: (b, n), int64, the channel of each voxel.

    Returns:
        log of the true channel's probability (b, n); Σp of each channel (b, c); Σp of each channel over the
        voxels that are truly it (b, c).
    """
    found: tuple[Tensor, Tensor, Tensor] = _SoftmaxSums.apply(logits, target)  # type: ignore[no-untyped-call]
    return found


def channel_sums(values: Tensor, target: Tensor, channels: int) -> Tensor:
    """Sum of voxels' values over each channel's own voxels, (b, c); added up in float64.

    Args:
        values: (b, n).
        target: (b, n), int64.
        channels: how many there are.
    """
    patches = len(target)
    first = torch.arange(patches, device=target.device).unsqueeze(1) * channels
    sums = torch.bincount((target + first).flatten(), values.detach().double().flatten(), patches * channels)
    return sums.view(patches, channels).to(values.dtype)


def channel_voxels(target: Tensor, channels: int) -> Tensor:
    """Number of voxels of each channel, (b, c) int64; target (b, n), int64."""
    patches = len(target)
    first = torch.arange(patches, device=target.device).unsqueeze(1) * channels
    return torch.bincount((target + first).flatten(), minlength=patches * channels).view(patches, channels)
