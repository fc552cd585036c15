"""How a network is cut over the processes of a run: which blocks each has, and what that should cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from training.distributed.block_costs import (
    Shape,
    Skeleton,
    Traced,
    balanced,
    block_bytes,
    block_seconds,
)
from training.distributed.blocks import Autocast, keep_blocks
from training.distributed.process_grid import ProcessGrid, arrange, stages_of
from training.distributed.ranks import Ranks
from training.recipes.running_options import Pipeline


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Which process has which blocks of a network."""

    grid: ProcessGrid
    skeleton: Skeleton
    parts: Sequence[range]
    """Numbers of each stage's blocks."""
    costs: Sequence[float]
    """Of each block, bytes or seconds."""
    micro_batches: int
    """Of a step, at most."""
    numbers_a_weight: int
    """What is held for each weight: itself, its gradient, what the optimizer remembers, its average."""

    @property
    def own(self) -> range:
        """Numbers of this process's blocks."""
        return self.parts[self.grid.stages.rank]

    def keep_own(self, network: nn.Module) -> None:
        """Take away, in place, the weights of the other processes' blocks."""
        keep_blocks(network, self.own)

    def name(self, stage: int) -> str:
        """First and last block of a stage."""
        own = self.parts[stage]
        first, last = (self.skeleton.blocks[number].name for number in (own.start, own.stop - 1))
        return first if first == last else f"{first} to {last}"

    def share(self, stage: int) -> float:
        """A stage's share of the cost, 0 to 1."""
        own = self.parts[stage]
        return sum(self.costs[own.start : own.stop]) / sum(self.costs)

    def planned_bytes(self, traced: Sequence[Traced], micro_batches: int) -> int:
        """What a training step takes in this process: micro-batches, as GPipe keeps them all, and gradients.

        Args:
            traced: the blocks, for one micro-batch.
            micro_batches: of the step.
        """
        own = self.own
        each = sum(traced[number].kept_bytes for number in own)
        if own.start:
            # Received into buffers of the schedule's.
            each += sum(tensor.nbytes for tensor in traced[own.start - 1].leaving)
        if own.stop < len(traced):
            # Their gradients likewise.
            each += sum(tensor.nbytes for tensor in traced[own.stop - 1].leaving)
        return micro_batches * each + 4 * self._weights

    @property
    def held_bytes(self) -> int:
        """What this process holds between steps: its weights, and what is remembered of each."""
        return 4 * (self.numbers_a_weight - 1) * self._weights

    @property
    def _weights(self) -> int:
        return sum(self.skeleton.weights_of(self.skeleton.blocks[number]) for number in self.own)


def cut_network(
    options: Pipeline,
    make: Callable[[], nn.Module],
    ranks: Ranks,
    device: torch.device,
    autocast: Autocast,
    *,
    shape: Callable[[int], Shape],
    moments: int,
) -> Cut | None:
    """Cut a network into as many stages as a recipe says; None where that is one.

    All processes call it, and find the same.

    Args:
        options: of the recipe.
        make: makes the network, with weights of any value.
        ranks: all processes.
        device: of this one.
        autocast: in which precision the network computes.
        shape: from the number of replicas to that of the micro-batch that costs are taken for.
        moments: numbers that are held for a weight beside itself and its gradient.

    Raises:
        RecipeError: there are more stages than blocks, or processes cannot be shared out evenly.
    """
    skeleton = Skeleton(make, device, autocast)
    stages = stages_of(options.stages, len(skeleton.blocks), ranks)
    if stages == 1:
        return None
    image = shape(ranks.world // stages)
    costs = block_bytes(skeleton, image, options.micro_batches, moments)
    if options.balance == "time":
        # Times differ from process to process: those of the first one count.
        costs = block_seconds(make(), image, device, autocast) if ranks.is_first else []
        costs = ranks.gather(costs)[0]
    return Cut(
        grid=arrange(ranks, stages),
        skeleton=skeleton,
        parts=balanced(costs, stages),
        costs=costs,
        micro_batches=options.micro_batches,
        numbers_a_weight=2 + moments,
    )
