"""Where a network is: in every process as a whole, or cut into stages; a training step works on either.

A process's parameters are those of its own blocks, by the names that they have in the whole network. What a
step does with them is the same everywhere: gradients are added up, their norm is taken over the whole
network, each process changes its own weights.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from model.arrays import U8
from training.distributed.batch_loss import Loss
from training.distributed.blocks import Autocast
from training.distributed.data_parallel import without_exchange, wrap
from training.distributed.ranks import ALONE, Ranks


class Placement:
    """How batches go through a network and back.

    Args:
        replicas: processes that share each batch and each validation.
        stages: processes that share the network.
    """

    windows_at_a_time = 1
    """How many windows `for_windows` had best be given together."""

    def __init__(self, replicas: Ranks = ALONE, stages: Ranks = ALONE) -> None:
        self.replicas, self.stages = replicas, stages

    def add_gradients(self, images: Tensor, loss: Loss, *, complete: bool) -> Tensor:
        """Add the gradients of a loss to those that the parameters have; the loss, the same everywhere.

        Args:
            images: this replica's, (batch, channels, z, y, x), on the device.
            loss: of their logits, a list, full resolution first.
            complete: whether these are the last ones before the weights change.
        """
        raise NotImplementedError

    def gradient_norm(self, parameters: Sequence[nn.Parameter]) -> Tensor:
        """Norm of the whole network's gradient; `parameters` are this process's."""
        own = torch.nn.utils.get_total_norm(
            [parameter.grad for parameter in parameters if parameter.grad is not None]
        )
        return own if self.stages.world == 1 else self.stages.sum(own.square()).sqrt()

    def for_windows(self, network: nn.Module) -> nn.Module:
        """What gives the logits of windows, from a network whose weights are placed as the trained one's."""
        return network

    def agreed(self, prediction: U8) -> U8:
        """The prediction that `for_windows` led to in the process that has the logits."""
        return prediction

    def collected(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The whole network's tensors, from those of each process; only in the first of all processes.

        Args:
            tensors: this process's, by names of the whole network's.
        """
        return self.stages.collected(tensors) if self.replicas.is_first else {}

    def plan(self) -> list[str]:
        """What the first process says of it before a run, a line each."""
        return []

    def report(self) -> list[str]:
        """What the first process says of the steps since the last report; all processes call it."""
        return []


class WholePlacement(Placement):
    """Every process has the whole network, and its share of each batch."""

    def __init__(
        self,
        network: nn.Module,
        ranks: Ranks,
        device: torch.device,
        autocast: Autocast,
        scaler: torch.amp.GradScaler,
    ) -> None:
        super().__init__(replicas=ranks)
        self._trained, self._autocast, self._scaler = wrap(network, ranks, device), autocast, scaler

    def add_gradients(self, images: Tensor, loss: Loss, *, complete: bool) -> Tensor:
        """Add the gradients of a loss to those that the parameters have."""
        # Processes exchange gradients once, when they are complete.
        with nullcontext() if complete else without_exchange(self._trained):
            with self._autocast():
                levels = self._trained(images)
            value = loss(levels)
            self._scaler.scale(value).backward()  # type: ignore[no-untyped-call]
        return value.detach()
