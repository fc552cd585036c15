"""Layers that the U-Nets are made of.

Shapes: (batch, channels, z, y, x), float.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.arrays import Zyx
from model.networks.levels import FULL_RESOLUTION
from model.networks.unet_specs import GROUPS, Norm

SLOPE = 0.01
"""Slope of leaky ReLU below 0."""


def norm_layer(norm: Norm, channels: int) -> nn.Module:
    """A normalization with a learned scale and shift for each channel."""
    if norm == "instance":
        return nn.InstanceNorm3d(channels, affine=True)
    return nn.GroupNorm(GROUPS, channels) if norm == "group" else nn.BatchNorm3d(channels)


class ConvNorm(nn.Module):
    """Convolution, normalization and, if `activate`, leaky ReLU; sides are divided by the stride."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_zyx: Zyx = (3, 3, 3),
        stride_zyx: Zyx = FULL_RESOLUTION,
        *,
        norm: Norm = "instance",
        bias: bool = True,
        activate: bool = True,
    ) -> None:
        super().__init__()
        z, y, x = (side // 2 for side in kernel_zyx)
        self.convolution = nn.Conv3d(
            in_channels, out_channels, kernel_zyx, stride_zyx, padding=(z, y, x), bias=bias
        )
        self.norm = norm_layer(norm, out_channels)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Features of the shrunk grid."""
        features: Tensor = self.activation(self.norm(self.convolution(x)))
        return features


def stacked(
    count: int, in_channels: int, out_channels: int, kernel_zyx: Zyx, stride_zyx: Zyx = FULL_RESOLUTION
) -> nn.Sequential:
    """Several convolutions of which the first one shrinks."""
    first = ConvNorm(in_channels, out_channels, kernel_zyx, stride_zyx)
    return nn.Sequential(first, *(ConvNorm(out_channels, out_channels, kernel_zyx) for _ in range(count - 1)))


class ResidualBlock(nn.Module):
    """Two convolutions beside a path that averages blocks of voxels and, where needed, projects channels.

    nnU-Net's `BasicBlockD`, after He et al., "Bag of tricks" (2019), ResNet-D.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_zyx: Zyx, stride_zyx: Zyx) -> None:
        super().__init__()
        self.first = ConvNorm(in_channels, out_channels, kernel_zyx, stride_zyx)
        self.second = ConvNorm(out_channels, out_channels, kernel_zyx, activate=False)
        shrinks = stride_zyx != FULL_RESOLUTION
        self.shrink = nn.AvgPool3d(stride_zyx, stride_zyx) if shrinks else nn.Identity()
        self.project: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.project = ConvNorm(in_channels, out_channels, (1, 1, 1), bias=False, activate=False)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the shrunk grid."""
        features: Tensor = self.activation(self.second(self.first(x)) + self.project(self.shrink(x)))
        return features


class SqueezeExcitation(nn.Module):
    """Each channel times a factor between 0 and 1 that the means of all channels decide (Hu et al. 2018)."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        narrow = max(1, channels // reduction)
        self.squeeze = nn.Conv3d(channels, narrow, 1)
        self.excite = nn.Conv3d(narrow, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The channels, weighted."""
        means = x.mean(dim=(2, 3, 4), keepdim=True)
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))


def initialize(modules: Sequence[nn.Module]) -> None:
    """Draw weights after He et al. for leaky ReLU, biases 0 (nnU-Net), from torch's global generator."""
    for module in modules:
        if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
