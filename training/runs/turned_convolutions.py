"""Convolutions of one small patch by the CPU's fast kernels, from which torch's rule of thumb keeps them.

In float32 torch (`use_mkldnn` in its Convolution.cpp) computes a convolution of one patch by its plain
kernels, several times as slow as oneDNN's, where channels × z × y are no more than 20480. x does not count:
turned so that its shortest side comes last, a patch in the lower levels of a network is beyond that limit.
"""

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
        if isinstance(module, nn.Conv3d) and _is_plain(module):
            _replace_forward(module)


def _is_plain(module: nn.Conv3d) -> bool:
    return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _replace_forward(module: nn.Conv3d) -> None:
    forward = module.forward

    def turned(x: Tensor) -> Tensor:
        order = _better_order(x) if module.training else None
        if order is None:
            return forward(x)
        there = (0, 1, *(2 + axis for axis in order))
        back = (0, 1, *(2 + order.index(axis) for axis in range(3)))
        turned_x, weight = x.permute(there), module.weight.permute(there)
        stride, padding, dilation = (
            tuple(int(by_axis[axis]) for axis in order)
            for by_axis in (module.stride, module.padding, module.dilation)
        )
        return torch.conv3d(turned_x, weight, module.bias, stride, padding, dilation).permute(back)

    module.forward = turned  # type: ignore[assignment, method-assign]


def _better_order(x: Tensor) -> tuple[int, int, int] | None:
    """Spatial axes of an image (b, c, z, y, x), the shortest last; None where this changes no kernel."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.shape[0] != 1:
        return None
    if torch.is_autocast_enabled("cpu"):
        return None
    _, channels, *sides = x.shape
    longest, middle, shortest = sorted(range(3), key=lambda axis: sides[axis], reverse=True)
    given, turned = (channels * a * b for a, b in ((sides[0], sides[1]), (sides[longest], sides[middle])))
    return (longest, middle, shortest) if given <= LARGEST_PLAIN < turned else None
