"""Convolutions of one small patch by the CPU's fast kernels, from which torch's rule of thumb keeps them.

In float32 torch (`use_mkldnn` in its Convolution.cpp) computes a convolution of one patch by its plain
kernels, several times as slow as oneDNN's, where channels × z × y are no more than 20480. x does not count:
turned so that its shortest side comes last, a patch in the lower levels of a network may be beyond that
limit.
"""

from types import MethodType

import torch
from torch import Tensor, nn

LARGEST_PLAIN = 20480
"""Channels × z × y up to which torch takes its plain kernels for one patch."""


def turn_convolutions(network: nn.Module) -> None:
    """Let a network's convolutions of one patch be computed by fast kernels while it trains on a CPU.

    Losses and gradients stay the same up to rounding, since products are added up in another order. Weights,
    and what the network computes when it is judged or exported, stay what they were.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and _can_be_turned(module):
            module.forward = MethodType(_turned, module)  # type: ignore[method-assign]


def _can_be_turned(module: nn.Conv3d) -> bool:
    return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _turned(module: nn.Conv3d, x: Tensor) -> Tensor:
    order = _better_order(x) if module.training else None
    if order is None:
        return nn.Conv3d.forward(module, x)
    there = (0, 1, *(2 + axis for axis in order))
    back = (0, 1, *(2 + order.index(axis) for axis in range(3)))
    turned_x, weight = x.permute(there), module.weight.permute(there)
    stride, padding, dilation = (
        tuple(int(by_axis[axis]) for axis in order)
        for by_axis in (module.stride, module.padding, module.dilation)
    )
    return torch.conv3d(turned_x, weight, module.bias, stride, padding, dilation).permute(back)


def _better_order(x: Tensor) -> tuple[int, int, int] | None:
    """Spatial axes of an image (b, c, z, y, x), the shortest last; None where it crosses no limit."""
    one_in_fp32 = x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[0] == 1
    if not one_in_fp32 or torch.is_autocast_enabled("cpu"):
        return None
    _, channels, *sides = x.shape
    longest, middle, shortest = sorted(range(3), key=lambda axis: sides[axis], reverse=True)
    as_it_lies = channels * sides[0] * sides[1]
    turned = channels * sides[longest] * sides[middle]
    return (longest, middle, shortest) if as_it_lies <= LARGEST_PLAIN < turned else None
