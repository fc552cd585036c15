"""From a `NetworkSpec` to a torch module: the registry of networks.

Every network maps (batch, in_channels, z, y, x) to logits (batch, out_channels, z, y, x) in evaluation, and
in training to a list of logits, full resolution first, whose sides are those of the window divided by
`spec.output_strides_zyx` (deep supervision). To add a network: a class in `model.networks.spec`, a function
that builds it, a line in `BUILDERS`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from model.networks.segresnet import segresnet
from model.networks.spec import NetworkSpec
from model.networks.unet import plain_unet, residual_unet, seunet

BUILDERS: Mapping[str, Callable[[Any], nn.Module]] = MappingProxyType(
    {"segresnet": segresnet, "plain_unet": plain_unet, "residual_unet": residual_unet, "seunet": seunet}
)
"""What builds each kind of network from its own class of specification."""


def build(spec: NetworkSpec) -> nn.Module:
    """Build a network with freshly initialised weights, drawn from torch's global generator."""
    return BUILDERS[spec.kind](spec)
