"""The plain U-Net of nnU-Net: two convolutions a level, instance norm, leaky ReLU, transposed convolutions (MONAI `DynUNet`)."""

from dataclasses import dataclass

from monai.networks.nets import DynUNet
from torch import nn

from model.manifest import Zyx


@dataclass(frozen=True, kw_only=True)
class PlainUNetSpec:
    """Size of a plain U-Net."""

    out_channels: int
    """Logits per voxel, background included."""
    filters: tuple[int, ...]
    """Channels of each level, full resolution first."""
    strides_zyx: tuple[Zyx, ...]
    """By how much each level after the first is coarser than the one before it."""

    def __post_init__(self) -> None:
        if len(self.filters) < 3:
            raise ValueError(f"filters: must be of three levels or more, are {len(self.filters)}")
        if len(self.strides_zyx) != len(self.filters) - 1:
            raise ValueError(
                f"strides_zyx: must be one fewer than the {len(self.filters)} filters, are "
                f"{len(self.strides_zyx)}"
            )


FLARE22_SMALL = PlainUNetSpec(
    out_channels=14, filters=(16, 32, 64, 128, 256), strides_zyx=((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
)  # fmt: skip
"""The small network of the FLARE22 winner: windows of 32×128×192, 134 GFLOP each, 5.6 M parameters (5.4 M as
published)."""


def build_plain_unet(spec: PlainUNetSpec) -> nn.Module:
    """Build a network with He-initialised weights, drawn from torch's global generator.

    It maps (batch, 1, z, y, x) to logits (batch, out_channels, z, y, x).
    """
    network: nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=spec.out_channels,
        kernel_size=[3] * len(spec.filters),
        strides=[1, *spec.strides_zyx],
        upsample_kernel_size=spec.strides_zyx,
        filters=spec.filters,
        norm_name=("INSTANCE", {"affine": True}),
    )
    return network
