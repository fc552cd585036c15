"""From a `NetworkSpec` to a torch module.

Every network maps (batch, in_channels, z, y, x) to logits (batch, out_channels, z, y, x) in evaluation, and
in training to a list of logits, full resolution first, each next one with half the sides (deep supervision);
with `dsdepth` 1 the list's only item comes bare, as in evaluation.
"""

from monai.networks.nets import SegResNetDS
from torch import nn

from model.networks.spec import NetworkSpec


def build(spec: NetworkSpec) -> nn.Module:
    """Build a network with freshly initialised weights, drawn from torch's global generator."""
    # Instance norm: the batch holds one or two patches, and group norm has no CUDA kernel in onnxruntime.
    network: nn.Module = SegResNetDS(
        spatial_dims=3,
        init_filters=spec.init_filters,
        in_channels=spec.in_channels,
        out_channels=spec.out_channels,
        norm="instance",
        blocks_down=spec.blocks_down,
        dsdepth=spec.dsdepth,
    )
    return network
