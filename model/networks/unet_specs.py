"""U-Nets in plain values: nnU-Net's plain and residual ones, and one with squeeze-and-excitation."""

from dataclasses import dataclass
from typing import Literal

from model.arrays import Zyx
from model.checks import check, check_between
from model.networks.levels import FULL_RESOLUTION, MOST_CHANNELS, Levels, check_each, product

Norm = Literal["instance", "group", "batch"]
"""What layers are normalized over; all with a learned scale and shift."""
GROUPS = 8
"""Groups of channels under group norm."""
MOST_LAYERS = 32
"""Convolutions or blocks of one level."""


@dataclass(frozen=True, kw_only=True)
class _UNet(Levels):
    features: tuple[int, ...]
    """Channels of each level, full resolution first."""
    strides: tuple[Zyx, ...]
    """By how much each level after the first is coarser than the one before it, along z, y, x."""
    kernels: tuple[Zyx, ...] | None = None
    """Size of each level's convolutions, full resolution first, odd; missing: 3×3×3."""
    deep_supervision: int = 1
    """Levels with logits of their own in training, from full resolution down; 1 is none but full resolution.
    nnU-Net has one for each level but the coarsest."""

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = len(self.features)
        check(2 <= levels <= 12, f"features: must be of 2 to 12 levels, are {levels}")
        check_each("features", self.features, levels, 1, MOST_CHANNELS)
        check(
            len(self.strides) == levels - 1,
            f"strides: must be one fewer than the {levels} levels, are {len(self.strides)}",
        )
        for index, stride in enumerate(self.strides):
            check_each(f"strides[{index}]", stride, 3, 1, 8)
        if self.kernels is not None:
            check(
                len(self.kernels) == levels, f"kernels: must be a list of {levels}, has {len(self.kernels)}"
            )
            for index, kernel in enumerate(self.kernels):
                check_each(f"kernels[{index}]", kernel, 3, 1, 15)
                check(all(side % 2 for side in kernel), f"kernels[{index}]: must be odd, is {list(kernel)}")
        check_between("deep_supervision", self.deep_supervision, 1, levels - 1)

    @property
    def strides_zyx(self) -> tuple[Zyx, ...]:
        """By how much each level after the first is coarser than the one before it."""
        return self.strides

    @property
    def outputs(self) -> int:
        """Levels with logits of their own in training."""
        return self.deep_supervision

    @property
    def kernels_zyx(self) -> tuple[Zyx, ...]:
        """Size of each level's convolutions."""
        return self.kernels or ((3, 3, 3),) * len(self.features)


@dataclass(frozen=True, kw_only=True)
class PlainUNetSpec(_UNet):
    """nnU-Net's `PlainConvUNet`: convolutions with bias, instance norm and leaky ReLU.

    The first convolution of a level shrinks, transposed convolutions enlarge, skips are concatenated.
    """

    kind: Literal["plain_unet"] = "plain_unet"
    encoder_convolutions: tuple[int, ...] | None = None
    """Convolutions of each encoder level, full resolution first; missing: 2."""
    decoder_convolutions: tuple[int, ...] | None = None
    """Convolutions of each decoder level, full resolution first, one fewer than levels; missing: 2."""

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = len(self.features)
        check_each("encoder_convolutions", self.in_encoder, levels, 1, MOST_LAYERS)
        check_each("decoder_convolutions", self.in_decoder, levels - 1, 1, MOST_LAYERS)

    @property
    def in_encoder(self) -> tuple[int, ...]:
        """Convolutions of each encoder level."""
        return self.encoder_convolutions or (2,) * len(self.features)

    @property
    def in_decoder(self) -> tuple[int, ...]:
        """Convolutions of each decoder level, full resolution first."""
        return self.decoder_convolutions or (2,) * (len(self.features) - 1)


@dataclass(frozen=True, kw_only=True)
class ResidualUNetSpec(_UNet):
    """nnU-Net's `ResidualEncoderUNet`: a convolution, residual blocks (`BasicBlockD`), a plain decoder."""

    kind: Literal["residual_unet"] = "residual_unet"
    encoder_blocks: tuple[int, ...]
    """Residual blocks of each encoder level, full resolution first; 1, 3, 4, 6, 6, 6 in nnU-Net's presets."""
    decoder_convolutions: tuple[int, ...] | None = None
    """Convolutions of each decoder level, full resolution first, one fewer than levels; missing: 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = len(self.features)
        check_each("encoder_blocks", self.encoder_blocks, levels, 1, MOST_LAYERS)
        check_each("decoder_convolutions", self.in_decoder, levels - 1, 1, MOST_LAYERS)

    @property
    def in_decoder(self) -> tuple[int, ...]:
        """Convolutions of each decoder level, full resolution first."""
        return self.decoder_convolutions or (1,) * (len(self.features) - 1)


@dataclass(frozen=True, kw_only=True)
class SEUNetSpec(Levels):
    """U-Net whose blocks end in squeeze-and-excitation (Hu et al. 2018): LAMP's network (Zhu et al. 2020).

    A block is two 3×3×3 convolutions with norm and leaky ReLU, then the excitation. The paper leaves norm and
    reduction open.
    """

    kind: Literal["seunet"] = "seunet"
    init_filters: int = 32
    """Channels of the first block, doubled at each level; 32, 64 or 128 in the paper."""
    levels: int = 5
    """Encoder blocks; there is one decoder block fewer. Resolution halves between levels."""
    stem_stride: Zyx = FULL_RESOLUTION
    """By how much the first block is coarser than the image; (2, 2, 2) in LAMP's published program. The last
    layer enlarges again."""
    reduction: int = 16
    """By how much squeeze-and-excitation narrows its channels, to one at least."""
    norm: Norm = "batch"
    """What layers are normalized over."""
    deep_supervision: int = 1
    """Levels with logits of their own in training, from full resolution down."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("levels", self.levels, 2, 8)
        check_between("init_filters", self.init_filters, 1, MOST_CHANNELS / 2 ** (self.levels - 1))
        check_groups(self.norm, self.init_filters)
        check_each("stem_stride", self.stem_stride, 3, 1, 8)
        check_between("reduction", self.reduction, 1, 256)
        check_between("deep_supervision", self.deep_supervision, 1, self.levels - 1)

    @property
    def features(self) -> tuple[int, ...]:
        """Channels of each level, finest first."""
        return tuple(self.init_filters * 2**level for level in range(self.levels))

    @property
    def normalized_over(self) -> str:
        """What layers are normalized over."""
        return self.norm

    @property
    def strides_zyx(self) -> tuple[Zyx, ...]:
        """By how much each level after the first is coarser than the one before it."""
        return ((2, 2, 2),) * (self.levels - 1)

    @property
    def outputs(self) -> int:
        """Levels with logits of their own in training."""
        return self.deep_supervision

    @property
    def stride_zyx(self) -> Zyx:
        """What every side of an input window must be a multiple of, voxels."""
        return product((self.stem_stride, *self.strides_zyx))

    @property
    def output_strides_zyx(self) -> tuple[Zyx, ...]:
        """By how much each output in training is coarser than the input, full resolution first."""
        coarser = (product((self.stem_stride, *self.strides_zyx[:i])) for i in range(1, self.outputs))
        return (FULL_RESOLUTION, *coarser)


def check_groups(norm: Norm, init_filters: int) -> None:
    """Refuse channels that group norm cannot divide.

    Raises:
        ValueError: they are no multiple of `GROUPS`.
    """
    even = norm != "group" or init_filters % GROUPS == 0
    check(even, f"init_filters: must be a multiple of {GROUPS} under group norm, is {init_filters}")
