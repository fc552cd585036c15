"""Instance norm for activations that lie in memory with their channels last, as a CPU wants them.

torch's own takes such activations into the other layout and back, forward and backward: measured, a third of
a step's time. Batch norm of a batch of one patch is instance norm, and is computed where the activations lie.
"""

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LAYOUT = torch.channels_last_3d
TYPES = (torch.float32, torch.bfloat16)
SLAB_VOXELS = 2**13
"""About as many voxels are added up at a time."""


def normalize_channels_last(network: nn.Module) -> None:
    """Let a network's instance norms leave activations in their layout while it trains.

    Losses and gradients stay the same up to rounding, since sums are added up in another order. Weights, and
    what the network computes when it is judged or exported, stay what they were.
    """
    for module in network.modules():
        if isinstance(module, nn.InstanceNorm3d) and module.affine and not module.track_running_stats:
            module.forward = MethodType(_in_layout, module)  # type: ignore[method-assign]


def _in_layout(module: nn.InstanceNorm3d, x: Tensor) -> Tensor:
    fits = x.device.type == "cpu" and x.dtype in TYPES and x[0, 0].numel() > 1
    if not (module.training and fits):
        return nn.InstanceNorm3d.forward(module, x)
    normalized: Tensor = _InstanceNorm.apply(x, module.weight, module.bias, module.eps)  # type: ignore[no-untyped-call]
    return normalized


class _InstanceNorm(torch.autograd.Function):
    """Input and output (b, c, z, y, x), weight and bias (c,) float32; b batch norms of one patch each."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:  # noqa: ANN401
        x = x.contiguous(memory_format=LAYOUT)
        normalized = torch.empty_like(x)
        means, inverses = (x.new_empty(x.shape[:2], dtype=torch.float32) for _ in range(2))
        parts = (x.split(1), normalized.split(1), means, inverses)  # type: ignore[no-untyped-call]
        for one, out, mean, inverse in zip(*parts, strict=True):
            found, variance = _mean_and_variance(one)
            mean.copy_(found)
            inverse.copy_((variance + eps).rsqrt())
            torch.ops.aten.native_batch_norm.out(
                *(one, weight, bias, found, variance, False, 0.0, eps),
                out=out,
                save_mean=weight.new_empty(0),
                save_invstd=weight.new_empty(0),
            )
        ctx.save_for_backward(x, weight, means, inverses)
        ctx.eps = eps
        return normalized

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        x, weight, means, inverses = ctx.saved_tensors
        to_x = torch.empty_like(x)
        to_weights, to_biases = torch.empty_like(means), torch.empty_like(means)
        parts: Sequence[Sequence[Tensor]] = (
            *(tensor.split(1) for tensor in (gradient.contiguous(memory_format=LAYOUT), x, to_x)),
            *(list(tensor) for tensor in (means, inverses, to_weights, to_biases)),
        )
        for of_patch, one, out, mean, inverse, to_weight, to_bias in zip(*parts, strict=True):
            torch.ops.aten.native_batch_norm_backward.out(
                *(of_patch, one, weight, None, None, mean, inverse, True, ctx.eps, [True, True, True]),
                out0=out,
                out1=to_weight,
                out2=to_bias,
            )
        return to_x, to_weights.sum(0), to_biases.sum(0), None


def _mean_and_variance(one: Tensor) -> tuple[Tensor, Tensor]:
    """Of each channel of a patch (1, c, z, y, x); float32, (c,) each.

    Taken of slabs and put together: torch adds voxels up one by one, in float32, which over a whole patch of
    96³ is off by 2e-4.
    """
    depth = max(1, SLAB_VOXELS // one[0, 0, 0].numel())
    slabs = one.split(depth, 2)  # type: ignore[no-untyped-call]
    # Of float32, for a result in float32 also of bfloat16; a momentum of 0 leaves them as they are.
    unused = one.new_zeros(one.shape[1], dtype=torch.float32)
    found = [torch.batch_norm_update_stats(slab, unused, unused, 0.0) for slab in slabs]
    means, variances = (torch.stack(values).double() for values in zip(*found, strict=True))
    share = means.new_tensor([slab.shape[2] / one.shape[2] for slab in slabs]).unsqueeze(1)
    mean = (share * means).sum(0)
    variance = (share * (variances + (means - mean).square())).sum(0)
    return mean.float(), variance.float()
