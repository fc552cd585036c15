"""Networks that compute their activations again for the gradients instead of keeping them all."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import MethodType
from typing import Any

import torch
from monai.networks.nets.segresnet_ds import SegResBlock
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from model.networks.unet import UNet


def recompute_activations(network: nn.Module) -> None:
    """Let a network keep only what enters its levels or blocks; all that it computes stays the same."""
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
    norms = [each for each in module.modules() if isinstance(each, _BatchNorm) and each.track_running_stats]
    # No layer here draws random numbers, so their state need not be kept.
    if not norms:
        return checkpoint(forward, module, *inputs, use_reentrant=False, preserve_rng_state=False)
    contexts = partial(_contexts, norms)  # torch.compile takes none: recipes with both are refused.
    return checkpoint(
        forward, module, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts
    )


def _contexts(norms: list[_BatchNorm]) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Where activations are computed first, and where they are computed again."""
    return nullcontext(), _seen_before(norms)


@contextmanager
def _seen_before(norms: list[_BatchNorm]) -> Iterator[None]:
    """Let batch norms compute a batch again without counting it in their running means a second time."""
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = (
            None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
        )
    try:
        yield
    finally:
        for norm, momentum, batches in before:
            norm.momentum, norm.num_batches_tracked = momentum, batches
