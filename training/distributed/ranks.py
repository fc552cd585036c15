"""The processes of one training run: which of them this is, and how they put numbers together.

`torchrun` starts the processes and names them in the environment; `join` connects them, gloo between CPUs and
NCCL between GPUs. A run of one process is `ALONE`, for which every operation is the identity.
"""

import gc
import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed
from torch._C._distributed_c10d import PrefixStore
from torch.distributed import ProcessGroup
from torch.distributed.rendezvous import rendezvous

from training.training_errors import TrainingError

T = TypeVar("T")
TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others before it takes them for lost: longer than a validation."""


class _Sum(torch.autograd.Function):
    """Sum over all processes, whose gradient is the sum of the gradients of all processes.

    A loss that every process computes from such sums has, after the mean over processes that
    `DistributedDataParallel` takes, the gradient that one process would have on all samples.
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, group: ProcessGroup | None) -> Tensor:  # noqa: ANN401 - torch has no type for it
        ctx.group = group
        total = tensor.detach().clone()
        distributed.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        total = gradients[0].clone()
        distributed.all_reduce(total, group=ctx.group)
        return total, None


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among all of a run, or some; each must call the same operations in the same order."""

    rank: int = 0
    """Number of this process, from 0."""
    world: int = 1
    """How many processes there are."""
    local_rank: int = 0
    """Number of this process on its machine: which GPU is its own."""
    local_world: int = 1
    """How many processes there are on its machine."""
    group: ProcessGroup | None = None
    """Through what they are connected, where they are not all that torchrun started."""

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """Which of `count` things are this process's: every `world`-th.

        >>> list(Ranks(rank=1, world=3).share(7))
        [1, 4]
        """
        return range(self.rank, count, self.world)

    def sum(self, tensor: Tensor) -> Tensor:
        """Elementwise sum over all processes, differentiable; on a GPU where the tensor is."""
        if self.world == 1:
            return tensor
        total: Tensor = _Sum.apply(tensor, self.group)  # type: ignore[no-untyped-call]
        return total

    def mean(self, value: float) -> float:
        """Mean of a number over all processes."""
        return sum(self.gather(value)) / self.world

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over all processes, in one exchange."""
        if self.world == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat, group=self.group)
        flat /= self.world
        for tensor, mean in zip(
            tensors, torch.split(flat, [tensor.numel() for tensor in tensors]), strict=True
        ):
            tensor.copy_(mean.view_as(tensor))

    def from_last(self, tensor: Tensor) -> Tensor:
        """Fill a tensor, in place, with what the last process has there."""
        if self.world > 1:
            distributed.broadcast(tensor, group=self.group, group_src=self.world - 1)
        return tensor

    def collected(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors of all processes by their names, in the memory of the first one; empty elsewhere."""
        if self.world == 1:
            return dict(tensors)
        own = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        listed = self.gather({name: (tensor.shape, tensor.dtype) for name, tensor in own.items()})
        if self.rank:
            for tensor in own.values():
                distributed.send(tensor, group=self.group, group_dst=0)
            return {}
        for source, names in enumerate(listed[1:], start=1):
            for name, (shape, dtype) in names.items():
                own[name] = torch.empty(shape, dtype=dtype)
                distributed.recv(own[name], group=self.group, group_src=source)
        return own

    def min(self, value: int) -> int:
        """Smallest of a number over all processes."""
        return min(self.gather(value))

    def find_max(self, value: int) -> Callable[[], int]:
        """Begin to find the largest of a number over all processes, beside what else they do.

        Returns:
            What waits for it, and gives it.
        """
        if self.world == 1:
            return lambda: value
        largest = torch.tensor(value)
        exchange = distributed.all_reduce(largest, distributed.ReduceOp.MAX, group=self.group, async_op=True)

        def found() -> int:
            exchange.wait()
            return int(largest)

        return found

    def gather(self, item: T) -> list[T]:
        """What each process hands in, in the order of their numbers; the same list everywhere.

        Args:
            item: anything that pickles, and small.
        """
        if self.world == 1:
            return [item]
        found: list[Any] = [None] * self.world
        distributed.all_gather_object(found, item, group=self.group)
        return found


ALONE = Ranks()
"""A run of one process."""


def join(device: str = "auto") -> Ranks:
    """Connect to the other processes that `torchrun` started; `ALONE` where there are none.

    Args:
        device: cpu, cuda or auto: which GPUs there are decides what connects the processes.

    Raises:
        TrainingError: there are more processes on this machine than GPUs, or the others cannot be reached.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return ALONE
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", os.environ["RANK"]))
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if on_gpu:
        gpus = torch.cuda.device_count()
        if local >= gpus:
            raise TrainingError(
                f"process {local + 1} of this machine has no GPU of its own, there are {gpus}; start "
                f"torchrun with --nproc-per-node {gpus}"
            )
        torch.cuda.set_device(local)
    if not distributed.is_initialized():
        try:
            _connect("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise TrainingError(
                f"rank {rank} of {world}: cannot reach the others ({reason}); are MASTER_ADDR and "
                "MASTER_PORT set, as torchrun does?"
            ) from error
    local_world = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return Ranks(rank=rank, world=world, local_rank=local, local_world=local_world)


def _connect(backends: str) -> None:
    """Make the process group; objects are gathered through gloo, so that they need no GPU memory.

    torchrun keeps its store of addresses when it starts processes again, and torch takes the lost processes'
    for those of the new ones: every start has a part of the store of its own.

    `torch.distributed.nn` keeps the group that there is at its import in the defaults of its functions. The
    first `DistributedDataParallel` imports it: the group would outlive `leave`, and a thread of gloo that
    outlives the interpreter ends the process with an abort.
    """
    importlib.import_module("torch.distributed.nn")
    store, rank, world = next(iter(rendezvous("env://", timeout=TIMEOUT)))
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    distributed.init_process_group(
        backends,
        store=PrefixStore(f"start-{start}", store),
        rank=rank,
        world_size=world,
        timeout=TIMEOUT,
    )


def lost_others(error: BaseException) -> bool:
    """Whether an error says that processes of the run can no longer be reached, as when one has ended."""
    # gloo has no class of its own; its messages name its source.
    return isinstance(error, distributed.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def leave() -> None:
    """Close the connections of `join` and end their threads, where there are any."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
        gc.collect()  # A wrapped network is part of a cycle, and holds the group and its threads.
