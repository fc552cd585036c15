"""Convolutions of small patches on a CPU, by its fast kernels.

In float32 torch (`use_mkldnn` in its Convolution.cpp) computes a convolution of one patch by its plain
kernels, several times as slow as oneDNN's, where channels × z × y are no more than 20480. x does not count:
turned so that its shortest side comes last, a patch in the lower levels of a network may be beyond that
limit. Which kernels torch would take is asked of torch, whose rule also looks at the kernel's size, the
number of threads and whether oneDNN is there.

In bfloat16 nothing is turned; what is too small for it is taken in float32 (`sound_convolutions`).
"""

from collections.abc import Sequence
from types import MethodType

import torch
from torch import Tensor, nn

from training.runs.sound_convolutions import sound_convolution


def turn_convolutions(network: nn.Module) -> None:
    """Let a network's convolutions be computed by fast kernels while it trains on a CPU.

    Losses and gradients stay the same up to rounding, since products are added up in another order. Weights,
    and what the network computes when it is judged or exported, stay what they were.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and _can_be_turned(module):
            module.forward = MethodType(_turned, module)  # type: ignore[method-assign]


def _can_be_turned(module: nn.Conv3d) -> bool:
    torchs_own = type(module).forward is nn.Conv3d.forward
    return torchs_own and module.padding_mode == "zeros" and not isinstance(module.padding, str)


def _turned(module: nn.Conv3d, x: Tensor) -> Tensor:
    if not module.training or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return sound_convolution(module, x)
    longest_first = sorted(range(3), key=lambda axis: x.shape[2 + axis], reverse=True)
    as_it_lies, turned = _arguments(module, x, range(3)), _arguments(module, x, longest_first)
    if _fast(as_it_lies) or not _fast(turned):
        return nn.Conv3d.forward(module, x)
    back = (0, 1, *(2 + longest_first.index(axis) for axis in range(3)))
    return torch.conv3d(*turned).permute(back)


Sizes = tuple[int, ...]
Arguments = tuple[Tensor, Tensor, Tensor | None, Sizes, Sizes, Sizes, int]
"""Image, weight, bias, stride, padding, dilation, groups."""


def _arguments(module: nn.Conv3d, x: Tensor, order: Sequence[int]) -> Arguments:
    """What a convolution is given, its spatial axes in some order."""
    there = (0, 1, *(2 + axis for axis in order))
    stride, padding, dilation = (
        tuple(int(by_axis[axis]) for axis in order)
        for by_axis in (module.stride, module.padding, module.dilation)
    )
    return (
        x.permute(there),
        module.weight.permute(there),
        module.bias,
        stride,
        padding,
        dilation,
        module.groups,
    )


def _fast(arguments: Arguments) -> bool:
    """Whether torch would take oneDNN's kernels."""
    *given, groups = arguments
    transposed, output_padding = False, (0, 0, 0)
    taken = torch._C._select_conv_backend(*given, transposed, output_padding, groups)
    return str(taken.name) == "Mkldnn"
