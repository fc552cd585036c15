"""What each block of a network costs in training, and where a network is cut so that parts cost alike.

Memory is counted on a network without weights (torch's fake tensors), which takes a fraction of a second,
needs no device and gives every process the same; time is measured, block by block.
"""

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from training.distributed.blocks import Autocast, Block, Carried, Part, blocks_of
from training.training_errors import RecipeError

Shape = tuple[int, ...]
LAYOUT = {"cpu": torch.channels_last_3d}
"""Layout of tensors inside a network, by the kind of device; the plain one elsewhere. Measured: on CPUs a
step is up to a third faster so; on GPUs instance norm gets slower."""

LOSS_COPIES = 5
"""How often logits are there while the loss goes back: those of the micro-batches, joined, as probabilities,
and twice as gradients."""


def layout_of(device: torch.device) -> torch.memory_format:
    """Layout of tensors inside a network."""
    return LAYOUT.get(device.type, torch.contiguous_format)


@dataclass(frozen=True, kw_only=True)
class Traced:
    """What was found about a block."""

    leaving: tuple[Tensor, ...]
    """What it carries on, in the order in which it crosses to another part: empty tensors that take no memory
    and have the shapes and types."""
    kept_bytes: int
    """What is kept for the gradients because of it, weights not counted, and no block before it keeps; of
    the last block also what the loss takes."""


class Skeleton:
    """A network without weights that knows the shapes of all that flows in it.

    Args:
        make: makes the network; called where tensors are fake.
        device: where the real one computes.
        autocast: in which precision.
    """

    def __init__(self, make: Callable[[], nn.Module], device: torch.device, autocast: Autocast) -> None:
        self._mode, self._device, self._autocast = FakeTensorMode(), device, autocast
        with self._mode, torch.device(device):
            self._network = make()
        self.blocks = blocks_of(self._network)

    def weights_of(self, block: Block) -> int:
        """Number of a block's weights."""
        modules = (self._network.get_submodule(path) for path in block.modules)
        return sum(weight.numel() for module in modules for weight in module.parameters())

    def trace(self, image: Shape, *, training: bool) -> list[Traced]:
        """What leaves each block, and what it keeps.

        Args:
            image: (batch, channels, z, y, x).
            training: whether there will be gradients.
        """
        self._network.train(training)
        not_counted = {weight.untyped_storage()._cdata for weight in self._network.parameters()}
        held, found = [], []  # A storage whose tensor has gone may lend its number to another.
        kept_bytes = 0

        def count(x: Tensor) -> Tensor:
            nonlocal kept_bytes
            storage = x.untyped_storage()
            if storage._cdata not in not_counted:
                not_counted.add(storage._cdata)
                held.append(x)
                kept_bytes += storage.nbytes()
            return x

        with self._mode, torch.set_grad_enabled(training):
            carried = Carried(features=[torch.empty(image, device=self._device)])
            for block in self.blocks:
                kept_bytes = 0
                for x in carried.features:
                    count(x)
                with self._autocast(), torch.autograd.graph.saved_tensors_hooks(count, lambda x: x):
                    block.run(self._network, carried)
                leaving = (*carried.features, *carried.logits)
                found.append(Traced(leaving=_metas(leaving, training), kept_bytes=kept_bytes))
        logits = _metas(carried.logits, training)
        kept_bytes += LOSS_COPIES * sum(one.nbytes for one in logits) if training else 0
        found[-1] = replace(found[-1], leaving=logits, kept_bytes=kept_bytes)
        return found


def _metas(tensors: Sequence[Tensor], training: bool) -> tuple[Tensor, ...]:
    """Empty tensors of the same shapes and types, in the plain layout in which tensors cross."""
    return tuple(torch.empty(x.shape, dtype=x.dtype, device="meta").requires_grad_(training) for x in tensors)


def block_bytes(skeleton: Skeleton, image: Shape, micro_batches: int, moments: int) -> list[float]:
    """Memory of each block in a training step, bytes.

    What `micro_batches` keep for the gradients, and for each weight itself, its gradient and what the
    optimizer remembers of it.

    Args:
        skeleton: of the network.
        image: of one micro-batch, (batch, channels, z, y, x).
        micro_batches: of a step, all of which are forward before the first goes back.
        moments: numbers that the optimizer remembers of a weight.
    """
    return [
        micro_batches * traced.kept_bytes + 4.0 * (2 + moments) * skeleton.weights_of(block)
        for block, traced in zip(skeleton.blocks, skeleton.trace(image, training=True), strict=True)
    ]


def block_seconds(
    network: nn.Module, image: Shape, device: torch.device, autocast: Autocast, repeats: int = 2
) -> list[float]:
    """Time of each block forward and back, the shorter of some tries after a first one, s.

    One block at a time is on the device; the network stays as it is, running means included.
    """
    network = copy.deepcopy(network).train()
    blocks, found = blocks_of(network), []
    entering: tuple[Tensor, ...] = (torch.randn(image).to(device),)
    for number, block in enumerate(blocks):
        for path in block.modules:
            network.get_submodule(path).to(device)
        part = Part(network, blocks, range(number, number + 1), autocast, layout_of(device))
        tries = []
        for _ in range(1 + repeats):
            started = _now(device)
            leaving = part(*entering)
            torch.autograd.backward(leaving, [torch.ones_like(x) for x in leaving])
            tries.append(_now(device) - started)
        found.append(min(tries[1:]))
        for path in block.modules:
            network.get_submodule(path).to("cpu").zero_grad()
        entering = tuple(x.detach().requires_grad_() for x in leaving)
    return found


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def balanced(costs: Sequence[float], parts: int) -> list[range]:
    """Cut a row of costs into consecutive parts, none empty, so that the dearest is as cheap as can be.

    >>> balanced([3, 1, 1, 1, 3], 3)
    [range(0, 1), range(1, 4), range(4, 5)]

    Args:
        costs: of each block, in order.
        parts: from 1 to the number of blocks.
    """
    before = [0.0, *accumulate(costs)]
    # ends -> (the dearest part so far, where the parts so far start) for the blocks up to an end.
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for part in range(1, parts + 1):
        best = {
            end: min(
                (max(dearest, before[end] - before[start]), (*starts, start))
                for start, (dearest, starts) in best.items()
                if start < end
            )
            for end in range(part, len(costs) - (parts - part) + 1)
        }
    starts = best[len(costs)][1]
    return [range(start, end) for start, end in zip(starts, (*starts[1:], len(costs)), strict=True)]


def bubble_share(stages: int, micro_batches: int) -> float:
    """Share of a step in which a stage waits, 0 to 1, where all cost alike (GPipe, Huang et al. 2019).

    (K - 1) / (M + K - 1): of 2 stages 1/2 with one micro-batch, 1/5 with four.
    """
    return (stages - 1) / (micro_batches + stages - 1)


def micro_batches_of(patches: int, most: int) -> int:
    """Micro-batches of a process's patches: `most`, or one for each patch where there are fewer.

    Raises:
        RecipeError: they would not be equal.
    """
    count = min(patches, most)
    if patches % count:
        raise RecipeError(
            f"pipeline.micro_batches: {patches} patches of a process cannot be cut into {count} equal "
            f"micro-batches; make them a multiple of {count}"
        )
    return count
