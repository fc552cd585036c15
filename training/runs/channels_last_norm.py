"""Instance norm for activations that lie in memory with their channels last, as a CPU wants them.

torch's own takes such activations into the other layout and back, forward and backward: measured, a third of
a step's time. Batch norm of a batch of one patch is instance norm, and is computed where the activations lie.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LAYOUT = torch.channels_last_3d
TYPES = (torch.float32, torch.bfloat16)
MOST_VOXELS = 2**22
"""Voxels of a patch at most: sums over them are added up one by one, in float32."""


def normalize_channels_last(network: nn.Module) -> None:
    """Let a network's instance norms leave activations in their layout while it trains.

    Losses and gradients stay the same up to rounding, since sums are added up in another order. Weights, and
    what the network computes when it is judged or exported, stay what they were.
    """
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm3d) and module.affine and not module.track_running_stats:
            _replace_forward(module)


def _replace_forward(module: nn.InstanceNorm3d) -> None:
    forward = module.forward

    def in_layout(x: Tensor) -> Tensor:
        fits = x.device.type == "cpu" and x.dtype in TYPES and 1 < x[0, 0].numel() <= MOST_VOXELS
        if not (module.training and fits):
            return forward(x)
        normalized: Tensor = _InstanceNorm.apply(x, module.weight, module.bias, module.eps)  # type: ignore[no-untyped-call]
        return normalized

    module.forward = in_layout  # type: ignore[method-assign]


class _InstanceNorm(torch.autograd.Function):
    """Input and output (b, c, z, y, x), weight and bias (c,) float32; b batch norms of one patch each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:  # noqa: ANN401
        x = x.contiguous(memory_format=LAYOUT)
        normalized = torch.empty_like(x)
        means, deviations = (x.new_empty(x.shape[:2], dtype=torch.float32) for _ in range(2))
        for one, out, mean, inverse in zip(x.split(1), normalized.split(1), means, deviations, strict=True):
            torch.ops.aten.native_batch_norm.out(
                one, weight, bias, None, None, True, 0.0, eps, out=out, save_mean=mean, save_invstd=inverse
            )
        ctx.save_for_backward(x, weight, means, deviations)
        ctx.eps = eps
        return normalized

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        x, weight, means, deviations = ctx.saved_tensors
        to_x = torch.empty_like(x)
        to_weights, to_biases = torch.empty_like(means), torch.empty_like(means)
        parts: Sequence[Sequence[Tensor]] = (
            *(tensor.split(1) for tensor in (gradient.contiguous(memory_format=LAYOUT), x, to_x)),
            *(list(tensor) for tensor in (means, deviations, to_weights, to_biases)),
        )
        for of_patch, one, out, mean, inverse, to_weight, to_bias in zip(*parts, strict=True):
            torch.ops.aten.native_batch_norm_backward.out(
                *(of_patch, one, weight, None, None, mean, inverse, True, ctx.eps, [True, True, True]),
                out0=out,
                out1=to_weight,
                out2=to_bias,
            )
        return to_x, to_weights.sum(0), to_biases.sum(0), None
