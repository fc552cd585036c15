"""Data parallelism: every process has the whole network and its share of each batch and of each validation.

Gradients are averaged by torch's `DistributedDataParallel`. A loss whose sums go through `Ranks.sum` is that
of the whole batch on every process; so is, then, its averaged gradient.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from training.distributed.ranks import Ranks
from training.training_errors import RecipeError

T = TypeVar("T")


def wrap(network: nn.Module, ranks: Ranks, device: torch.device) -> nn.Module:
    """What a training step calls instead of the network; the network itself where there is one process.

    Weights are those of the first process from here on. Keep the network itself for checkpoints, export and
    validation: what is returned shares its weights. On GPUs batch norm takes its statistics over all
    processes; on CPUs torch has no such thing, and each process keeps its own.
    """
    if ranks.world == 1:
        return network
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(network, device_ids=[device], gradient_as_bucket_view=True)
    _lay_gradients_as_weights(network)
    return DistributedDataParallel(network, gradient_as_bucket_view=True)


def _lay_gradients_as_weights(network: nn.Module) -> None:
    """Have gradients state their weights' strides, by which torch knows where they go in an exchange.

    Of a kernel of 1×1×1, or of one input channel, the layout with the channels last is the other one, too:
    the bytes are the same, and only the strides say another thing. Which ones a gradient has depends on the
    kernel that computed it, in float32 on whether there is more than one patch.
    """
    for weight in network.parameters():
        if weight.ndim > 1 and weight.is_contiguous():
            weight.register_hook(partial(_with_strides, strides=weight.stride()))  # type: ignore[no-untyped-call]


def _with_strides(gradient: Tensor, strides: tuple[int, ...]) -> Tensor:
    return gradient.as_strided(gradient.shape, strides) if gradient.is_contiguous() else gradient


def without_exchange(wrapped: nn.Module) -> AbstractContextManager[None]:
    """Context of a backward pass whose gradients only add up here, as between accumulated micro-batches."""
    return wrapped.no_sync() if isinstance(wrapped, DistributedDataParallel) else nullcontext()


def share_of_batch(
    batch_size: int, ranks: Ranks, called: str = "processes", field: str = "sampling.batch_size"
) -> range:
    """Which patches of a batch are this process's, by their number within the whole batch.

    Since a patch depends on its number alone, any count of processes sees the same patches.

    Args:
        batch_size: of the whole batch.
        ranks: among which it is shared.
        called: what those are, for messages.
        field: of the recipe that states the size, for messages.

    Raises:
        RecipeError: the batch cannot be shared out evenly.
    """
    if batch_size % ranks.world:
        raise RecipeError(
            f"{field}: {batch_size} patches cannot be shared evenly among {ranks.world} {called}"
            f"; make it a multiple of {ranks.world}"
        )
    return ranks.share(batch_size)


def joined(own: Mapping[int, T], ranks: Ranks) -> list[T]:
    """Results of all processes in the order of what they are of; the same list everywhere.

    Args:
        own: number of a case, by `Ranks.share`, to this process's result.
        ranks: all processes.
    """
    found = {number: result for part in ranks.gather(dict(own)) for number, result in part.items()}
    return [found[number] for number in sorted(found)]
