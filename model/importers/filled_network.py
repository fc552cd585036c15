"""A network of ours with the weights of another program's checkpoint, each of which must have its place."""

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from model.model_errors import RefusedModelError

T = TypeVar("T")
WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")
"""What DDP and `torch.compile` put before each name."""


def plain_names(weights: Mapping[str, T]) -> dict[str, T]:
    """The same weights under the names of a network that is neither distributed nor compiled."""
    return {WRAPPERS.sub("", str(name)): tensor for name, tensor in weights.items()}


def filled(
    network: nn.Module,
    weights: Mapping[str, object],
    name_of: Callable[[str], str],
    checkpoint: object,
    described_by: object,
) -> nn.Module:
    """The network with the checkpoint's parameters and buffers, in evaluation mode.

    Args:
        network: is changed.
        weights: by the checkpoint's `plain_names`; tensors of the network's shapes.
        name_of: what the checkpoint calls a name of the network's `state_dict`.
        checkpoint: where the weights are from, for messages.
        described_by: where it stands what network it is, for messages.

    Raises:
        RefusedModelError: a tensor is missing, of another shape, or left over: it is another network; or one
            holds NaN or infinity.
    """
    left = dict(weights)
    with torch.no_grad():
        for ours, place in network.state_dict().items():
            name = name_of(ours)
            given = left.pop(name, None)
            if not isinstance(given, Tensor):
                raise RefusedModelError(
                    f"{checkpoint}: has no {name}, so it is not the network of {described_by}"
                )
            if given.shape != place.shape:
                shapes = f"{list(given.shape)}, the network wants {list(place.shape)}"
                raise RefusedModelError(f"{checkpoint}: {name} is {shapes} by {described_by}")
            _check_finite(name, given, checkpoint)
            place.copy_(given)
    if left:
        raise RefusedModelError(
            f"{checkpoint}: holds {min(left)}, which the network of {described_by} has not"
        )
    return network.eval()


def _check_finite(name: str, tensor: Tensor, checkpoint: object) -> None:
    """Nobody should find out by an export that fails."""
    if bool(torch.isfinite(tensor).all()):
        return
    what = "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
    raise RefusedModelError(
        f"{checkpoint}: {name} holds {what}: its training diverged; take another checkpoint, or train anew"
    )
