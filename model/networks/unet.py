"""The U-Nets: an encoder that shrinks, a decoder that enlarges, and skip connections between their levels.

Every list is by level, full resolution first: `encoder.0`, `decoder.0` and `heads.0` work at full resolution.
What nnU-Net calls decoder stage s of n is level n - 1 - s here; other differences of names are that its
`convs.c.conv` is `c.convolution` here.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.arrays import Zyx
from model.networks.layers import (
    SLOPE,
    ConvNorm,
    ResidualBlock,
    SqueezeExcitation,
    initialize,
    stacked,
)
from model.networks.levels import FULL_RESOLUTION
from model.networks.unet_specs import PlainUNetSpec, ResidualUNetSpec, SEUNetSpec


class UpLevel(nn.Module):
    """One level of a decoder: enlarges what comes from below, joins the skip connection, and convolves."""

    def __init__(self, below: int, channels: int, stride_zyx: Zyx, block: nn.Module) -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(below, channels, stride_zyx, stride_zyx)
        self.block = block

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features of the level, from (batch, below, …) and (batch, channels, …)."""
        features: Tensor = self.block(torch.cat([self.up(x), skip], dim=1))
        return features


class UNet(nn.Module):
    """Encoder, decoder and heads; (batch, in_channels, z, y, x) to logits (batch, out_channels, z, y, x).

    Training gives a list of logits, full resolution first, one for each head; evaluation the first alone.

    Args:
        stem: before the first level.
        encoder: levels, each from the one before it.
        decoder: levels, one fewer than the encoder's.
        heads: from a level's features to logits, for as many levels as are supervised.
    """

    def __init__(
        self,
        stem: nn.Module,
        encoder: Sequence[nn.Module],
        decoder: Sequence[UpLevel],
        heads: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        self.stem = stem
        self.encoder = nn.ModuleList(encoder)
        self.decoder = nn.ModuleList(decoder)
        self.heads = nn.ModuleList(heads)
        initialize(list(self.modules()))

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """Logits of a window."""
        x = self.stem(image)
        skips = []
        for level in self.encoder:
            x = level(x)
            skips.append(x)
        logits: list[Tensor] = []
        for index in reversed(range(len(self.decoder))):
            x = self.decoder[index](x, skips[index])
            if index == 0 or (self.training and index < len(self.heads)):
                logits.insert(0, self.heads[index](x))
        return logits if self.training else logits[0]


def plain_unet(spec: PlainUNetSpec) -> nn.Module:
    """nnU-Net's `PlainConvUNet`."""
    channels, kernels = spec.features, spec.kernels_zyx
    strides = (FULL_RESOLUTION, *spec.strides_zyx)
    sources = (spec.in_channels, *channels)
    encoder = [
        stacked(spec.in_encoder[i], sources[i], channels[i], kernels[i], strides[i])
        for i in range(len(channels))
    ]
    return UNet(nn.Identity(), encoder, _decoder(spec, spec.in_decoder), _heads(spec))


def residual_unet(spec: ResidualUNetSpec) -> nn.Module:
    """nnU-Net's `ResidualEncoderUNet`, without stochastic depth and squeeze-and-excitation."""
    channels, kernels = spec.features, spec.kernels_zyx
    strides = (FULL_RESOLUTION, *spec.strides_zyx)
    sources = (channels[0], *channels)
    encoder = []
    for i, count in enumerate(spec.encoder_blocks):
        first = ResidualBlock(sources[i], channels[i], kernels[i], strides[i])
        others = (
            ResidualBlock(channels[i], channels[i], kernels[i], FULL_RESOLUTION) for _ in range(count - 1)
        )
        encoder.append(nn.Sequential(first, *others))
    stem = ConvNorm(spec.in_channels, channels[0], kernels[0])
    return UNet(stem, encoder, _decoder(spec, spec.in_decoder), _heads(spec))


def seunet(spec: SEUNetSpec) -> nn.Module:
    """U-Net with squeeze-and-excitation after each block."""
    channels, strides = spec.features, (spec.stem_stride, *spec.strides_zyx)
    sources = (spec.in_channels, *channels)
    encoder = [_excited(spec, sources[i], channels[i], strides[i]) for i in range(spec.levels)]
    decoder = [
        UpLevel(channels[i + 1], channels[i], strides[i + 1], _excited(spec, 2 * channels[i], channels[i]))
        for i in range(spec.levels - 1)
    ]
    heads: list[nn.Module] = [
        nn.Conv3d(channels[i], spec.out_channels, 1) for i in range(spec.deep_supervision)
    ]
    if spec.stem_stride != FULL_RESOLUTION:
        narrow = max(1, min(32, channels[0] // 2))
        heads[0] = nn.Sequential(
            nn.ConvTranspose3d(channels[0], narrow, spec.stem_stride, spec.stem_stride),
            nn.LeakyReLU(SLOPE),
            nn.Conv3d(narrow, spec.out_channels, 3, padding=1),
        )
    return UNet(nn.Identity(), encoder, decoder, heads)


def _excited(
    spec: SEUNetSpec, in_channels: int, out_channels: int, stride_zyx: Zyx = FULL_RESOLUTION
) -> nn.Module:
    return nn.Sequential(
        ConvNorm(in_channels, out_channels, stride_zyx=stride_zyx, norm=spec.norm),
        ConvNorm(out_channels, out_channels, norm=spec.norm),
        SqueezeExcitation(out_channels, spec.reduction),
    )


def _decoder(spec: PlainUNetSpec | ResidualUNetSpec, convolutions: Sequence[int]) -> list[UpLevel]:
    """nnU-Net's decoder; its convolutions have the kernel of the level that they work at."""
    channels, kernels = spec.features, spec.kernels_zyx
    return [
        UpLevel(
            channels[i + 1],
            channels[i],
            spec.strides_zyx[i],
            stacked(convolutions[i], 2 * channels[i], channels[i], kernels[i]),
        )
        for i in range(len(channels) - 1)
    ]


def _heads(spec: PlainUNetSpec | ResidualUNetSpec) -> list[nn.Module]:
    return [nn.Conv3d(spec.features[i], spec.out_channels, 1) for i in range(spec.outputs)]
