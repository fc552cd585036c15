"""Convolutions in bf16 on a CPU whose gradients are those of the data, on every processor.

On a processor with AVX-512 and without AMX (AMD EPYC, torch 2.13 and its oneDNN) the gradient of the weights
can be made of whatever lay in memory where the image has a side that is shorter than the kernel's: of a
kernel of 3 voxels a side, over 2 slices in 20 of 20 tries, with a stride of 2 over 1 row or 1 column in 19 or
20 of them; for some such images the process aborts, since freed memory is written to. Among kernels of 2, 3
and 5 voxels over all images of 1 to 6 voxels a side, none was wrong without such a side. These are the lowest
levels of networks for small patches, which take no time: they are convolved in float32, also where
`torch.compile` fuses the rest.
"""

from types import MethodType

import torch
from torch import Tensor, nn


def convolve_soundly(network: nn.Module) -> None:
    """Let a network's convolutions take images that are too small for bf16 in float32 while it trains.

    Weights, and what the network computes when it is judged or exported, stay what they were.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and type(module).forward is nn.Conv3d.forward:
            module.forward = MethodType(sound_convolution, module)  # type: ignore[method-assign]


def sound_convolution(module: nn.Conv3d, x: Tensor) -> Tensor:
    """What torch's own convolution gives, of which no gradient is made of garbage.

    Args:
        module: a convolution with torch's own `forward`.
        x: image (b, c, z, y, x).
    """
    in_bf16 = module.training and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    sides = zip(x.shape[2:], module.kernel_size, strict=True)
    if not in_bf16 or all(side >= kernel for side, kernel in sides):
        return nn.Conv3d.forward(module, x)
    with torch.autocast("cpu", enabled=False):
        return nn.Conv3d.forward(module, x.float())
