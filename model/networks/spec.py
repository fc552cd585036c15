"""What a network is, in plain values from which a checkpoint's network is built again; nothing executable.

A `NetworkSpec` is one class for each kind of network; `model.schema.parse` and `dump` take it from and to a
plain mapping, and `model.networks.build` makes the torch module.

| kind | source | used by |
|---|---|---|
| `segresnet` | MONAI `SegResNetDS` | FLARE23 low-resource ensemble, MONAI Auto3DSeg |
| `plain_unet` | nnU-Net `PlainConvUNet` | nnU-Net, FLARE22 winner, AMOS22 |
| `residual_unet` | nnU-Net `ResidualEncoderUNet` | nnU-Net's residual encoder presets |
| `seunet` | LAMP | whole-volume segmentation |
"""

from dataclasses import dataclass
from typing import Literal

from model.arrays import Zyx
from model.checks import check, check_between
from model.networks.levels import MOST_CHANNELS, Levels, check_each
from model.networks.unet_specs import (
    Norm,
    PlainUNetSpec,
    ResidualUNetSpec,
    SEUNetSpec,
    check_groups,
)


@dataclass(frozen=True, kw_only=True)
class SegResNetSpec(Levels):
    """MONAI's `SegResNetDS`: residual encoder, one residual block a decoder level, skips are added."""

    kind: Literal["segresnet"] = "segresnet"
    init_filters: int = 32
    """Channels at full resolution, doubled at each level."""
    blocks_down: tuple[int, ...] = (1, 2, 2, 4, 4)
    """Residual blocks of each encoder level; resolution halves between levels."""
    norm: Norm = "instance"
    """What layers are normalized over; batches here hold one or two patches, too few for `batch`."""
    dsdepth: int = 4
    """Decoder levels with logits of their own in training, from full resolution down; 1 is none but that."""

    def __post_init__(self) -> None:
        super().__post_init__()
        levels = len(self.blocks_down)
        check(2 <= levels <= 8, f"blocks_down: must be of 2 to 8 levels, is {list(self.blocks_down)}")
        check_each("blocks_down", self.blocks_down, levels, 1, 16)
        check_between("init_filters", self.init_filters, 1, MOST_CHANNELS / 2 ** (levels - 1))
        check_between("dsdepth", self.dsdepth, 1, levels - 1)
        check_groups(self.norm, self.init_filters)

    @property
    def normalized_over(self) -> str:
        """What layers are normalized over."""
        return self.norm

    @property
    def strides_zyx(self) -> tuple[Zyx, ...]:
        """By how much each level after the first is coarser than the one before it."""
        return ((2, 2, 2),) * (len(self.blocks_down) - 1)

    @property
    def outputs(self) -> int:
        """Levels with logits of their own in training."""
        return self.dsdepth


NetworkSpec = SegResNetSpec | PlainUNetSpec | ResidualUNetSpec | SEUNetSpec
"""Any of the networks."""
