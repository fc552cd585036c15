"""MONAI's `SegResNetDS`, which answers in training as all networks here do."""

from monai.networks.nets import SegResNetDS
from torch import Tensor, nn

from model.networks.spec import SegResNetSpec
from model.networks.unet_specs import GROUPS


class SegResNet(SegResNetDS):  # type: ignore[misc] # MONAI has no types
    """`SegResNetDS` whose training output is a list with one level, too."""

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of a window; in training a list, full resolution first."""
        logits: Tensor | list[Tensor] = super().forward(x)
        return [logits] if self.training and isinstance(logits, Tensor) else logits


def segresnet(spec: SegResNetSpec) -> nn.Module:
    """Build the network with MONAI's own initialization."""
    network: nn.Module = SegResNet(
        spatial_dims=3,
        init_filters=spec.init_filters,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        norm=("group", {"num_groups": GROUPS}) if spec.norm == "group" else spec.norm,
        blocks_down=spec.blocks_down,
        dsdepth=spec.dsdepth,
    )
    return network
