"""Whether the processes of a run can share its batches; known from the recipe alone, before data are read."""

import torch

from training.distributed.block_costs import micro_batches_of
from training.distributed.data_parallel import share_of_batch
from training.distributed.process_grid import stages_of
from training.distributed.ranks import Ranks
from training.recipes.recipe import Recipe
from training.recipes.running_options import WHOLE
from training.runs.timetable import Timetable
from training.training_errors import RecipeError


def check_first_shares(recipe: Recipe, ranks: Ranks) -> None:
    """Refuse the batches of a run's first steps; whether it comes to later stages depends on its data.

    Raises:
        RecipeError: processes, or the parts of an accumulated gradient, cannot share them evenly.
    """
    size = recipe.curriculum[0].batch_size if recipe.curriculum else recipe.sampling.batch_size
    if not isinstance(size, str):
        _check(recipe, 0, size, ranks)


def check_shares(timetable: Timetable, ranks: Ranks) -> None:
    """Refuse the batches of any step of a run.

    Raises:
        RecipeError: as for the first steps.
    """
    for stage in timetable.stages:
        _check(timetable.recipe, stage.number, stage.batch_size, ranks)


def norm_parts(recipe: Recipe, ranks: Ranks, device: torch.device) -> int | None:
    """Into how many parts a batch is split that have statistics of their own; None without batch norm.

    They are the micro-batches of all replicas where the network is cut, else the processes' shares on a CPU;
    on GPUs all processes then take statistics together.
    """
    if getattr(recipe.network, "norm", None) != "batch":
        return None
    stages = _stages_of(recipe, ranks)
    if recipe.pipeline is not None and stages > 1:
        return ranks.world // stages * recipe.pipeline.micro_batches
    return ranks.world if device.type == "cpu" else 1


def _stages_of(recipe: Recipe, ranks: Ranks) -> int:
    if recipe.pipeline is None:
        return 1
    return stages_of(recipe.pipeline.stages, 2 * len(recipe.network.strides_zyx) + 1, ranks)


def _check(recipe: Recipe, number: int, batch_size: int, ranks: Ranks) -> None:
    stages = _stages_of(recipe, ranks)
    field = f"curriculum[{number}].batch_size" if recipe.curriculum else "sampling.batch_size"
    world, called = ranks.world // stages, "processes" if stages == 1 else "replicas"
    if world > 1 and recipe.curriculum and recipe.curriculum[number].patch_zyx == WHOLE:
        fitting = "one process" if stages == 1 else f"{stages} processes, the stages of one replica"
        raise RecipeError(
            f"curriculum[{number}].patch_zyx: whole volumes, one a step, cannot be shared among {world} "
            f"{called}; train with {fitting}"
        )
    own = len(share_of_batch(batch_size, Ranks(world=world), called, field))
    parts = recipe.optimizer.accumulate_steps
    if own % parts:
        raise RecipeError(
            f"optimizer.accumulate_steps: {own} patches of a process cannot be split into {parts} equal "
            f"parts; make {field} a multiple of {world * parts}"
        )
    if recipe.pipeline is not None and stages > 1:
        micro_batches_of(own // parts, recipe.pipeline.micro_batches)
