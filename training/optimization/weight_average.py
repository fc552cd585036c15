"""An exponential moving average of a network's weights."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def average_decay(decay: float, updates: int) -> float:
    """Share of the average that the update after `updates` others keeps.

    With a decay of 0.999: 0.1, 2/11, 3/12 … and from update 8991 on 0.999.
    """
    return min(decay, (1 + updates) / (10 + updates))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the average towards the network's weights; what is no weight, as counts of steps, is copied."""
    kept, new = list(_floats(average)), list(_floats(network))
    torch._foreach_lerp_(kept, new, 1 - decay)
    for old, fresh in zip(average.buffers(), network.buffers(), strict=True):
        if not old.is_floating_point():
            old.copy_(fresh)


def _floats(network: nn.Module) -> Iterable[Tensor]:
    yield from network.parameters()
    yield from (buffer for buffer in network.buffers() if buffer.is_floating_point())
