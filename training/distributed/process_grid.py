"""The processes of a run as rows and columns: replicas of a network, each cut into stages.

Process r·K + k has stage k of replica r, so that neighbouring stages of a replica are on one machine where
that can be had.
"""

from dataclasses import dataclass

from torch import distributed
from torch.distributed import ProcessGroup

from training.distributed.ranks import TIMEOUT, Ranks
from training.training_errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class ProcessGrid:
    """Where this process stands."""

    stages: Ranks
    """Among the stages of its replica, in the order of the network."""
    replicas: Ranks
    """Among the processes that have the same stage, one of each replica."""


def stages_of(stated: int | None, blocks: int, ranks: Ranks) -> int:
    """How many stages a network is cut into.

    Args:
        stated: by the recipe; None: as many as there are processes.
        blocks: of the network.
        ranks: all processes.

    Raises:
        RecipeError: there are fewer blocks, or the processes cannot be shared out evenly.
    """
    stages = stated or ranks.world
    if stages > blocks:
        raise RecipeError(
            f"pipeline.stages: {stages} stages are more than the {blocks} blocks of this network; "
            "state fewer, of which several replicas are made"
        )
    if ranks.world % stages:
        raise RecipeError(
            f"pipeline.stages: {stages} stages need a multiple of {stages} processes, not {ranks.world}; "
            f"start torchrun with --nproc-per-node {stages}"
        )
    return stages


def arrange(ranks: Ranks, stages: int) -> ProcessGrid:
    """Connect the processes of each row and column; all processes call it, in the same order.

    Args:
        ranks: all processes.
        stages: of a replica; the number of processes is a multiple of it.
    """
    replicas = ranks.world // stages
    replica, stage = divmod(ranks.rank, stages)
    # torch wants every process to take part in making every group, its own or not.
    rows = [_group(range(row * stages, (row + 1) * stages)) for row in range(replicas)]
    columns = [_group(range(column, ranks.world, stages)) for column in range(stages)]
    return ProcessGrid(
        stages=Ranks(rank=stage, world=stages, local_rank=ranks.local_rank, group=rows[replica]),
        replicas=Ranks(rank=replica, world=replicas, local_rank=ranks.local_rank, group=columns[stage]),
    )


def _group(members: range) -> ProcessGroup:
    group: ProcessGroup = distributed.new_group(list(members), timeout=TIMEOUT)
    return group
