"""Networks that compute their activations again for the gradients instead of keeping them all."""

from collections.abc import Iterator
from types import MethodType
from typing import Any

import torch
from monai.networks.nets.segresnet_ds import SegResBlock
from torch import nn
from torch.utils.checkpoint import checkpoint

from model.networks.unet import UNet


def recompute_activations(network: nn.Module) -> None:
    """Let a network keep only what enters its levels or blocks; losses and gradients stay the same."""
    for part in list(_parts(network)):
        _recompute(part)


def _parts(network: nn.Module) -> Iterator[nn.Module]:
    if isinstance(network, UNet):
        yield from (*network.encoder, *network.decoder)
    else:
        yield from (module for module in network.modules() if isinstance(module, SegResBlock))


def _recompute(module: nn.Module) -> None:
    # Bound to the module, so that a copy of the network computes with its own weights.
    module.forward = MethodType(_saving, module)


def _saving(module: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401 - whatever the module takes and gives
    forward = type(module).forward
    if not torch.is_grad_enabled():
        return forward(module, *inputs)
    # No layer here draws random numbers, so their state need not be kept.
    return checkpoint(forward, module, *inputs, use_reentrant=False, preserve_rng_state=False)
