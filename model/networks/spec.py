"""What a network is, in plain values: enough to build it again from a checkpoint's metadata, and nothing executable."""

from dataclasses import dataclass
from typing import Literal

from model.manifest import Zyx


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A network's family and size; `model.schema.parse` and `dump` take it from and to a plain mapping."""

    family: Literal["segresnet"]
    """`segresnet`: residual encoder, one residual block a level in the decoder (MONAI `SegResNetDS`, instance
    norm)."""
    out_channels: int
    """Logits per voxel, background included under softmax."""
    in_channels: int = 1
    """Images per voxel; 1 for CT."""
    init_filters: int = 32
    """Channels at full resolution, doubled at each level."""
    blocks_down: tuple[int, ...] = (1, 2, 2, 4, 4)
    """Residual blocks of each encoder level; resolution halves between levels."""
    dsdepth: int = 4
    """Decoder levels with an output of their own for deep supervision in training, from full resolution down;
    1 is none."""

    def __post_init__(self) -> None:
        for name in ("out_channels", "in_channels", "init_filters"):
            value = getattr(self, name)
            if not 1 <= value <= 1024:
                raise ValueError(f"{name}: must be 1 to 1024, is {value}")
        if not 2 <= len(self.blocks_down) <= 8 or not all(1 <= blocks <= 16 for blocks in self.blocks_down):
            raise ValueError(
                f"blocks_down: must be 2 to 8 levels of 1 to 16 blocks, is {list(self.blocks_down)}"
            )
        if not 1 <= self.dsdepth <= len(self.blocks_down) - 1:
            raise ValueError(
                f"dsdepth: must be 1 to {len(self.blocks_down) - 1} for {len(self.blocks_down)} levels, is "
                f"{self.dsdepth}"
            )

    @property
    def stride(self) -> int:
        """What every side of an input window must be a multiple of, voxels."""
        return int(2 ** (len(self.blocks_down) - 1))

    def check_window(self, window_zyx: Zyx) -> None:
        """Refuse a window that the network cannot halve often enough.

        Raises:
            ValueError: a side is not a multiple of `stride`.
        """
        if any(side % self.stride for side in window_zyx):
            raise ValueError(
                f"must be multiples of {self.stride} for {len(self.blocks_down)} levels, is "
                f"{list(window_zyx)}"
            )
