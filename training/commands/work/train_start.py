"""How a call of `train` becomes a run before its first step, and the cases that it learns from."""

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch

from training.commands.options import wanted_overrides
from training.commands.train import ALWAYS, IF_THERE
from training.commands.train_call import TrainCall
from training.commands.work.train_cases import Data, data_of, folders_of
from training.data.data_hash import data_hash
from training.data.datalist import data_name
from training.data.fresh_cases import FreshCases, SyntheticCase
from training.data.label_agreement import refuse_other_names
from training.data.quick_hash import folder_sha256
from training.data.resolving import resolved
from training.distributed.ranks import Ranks
from training.phantom.bodies.data_folder import read_label_maps
from training.recipes.loading import load_recipe
from training.recipes.recipe import Recipe
from training.recipes.sampling_options import AUTO
from training.runs.batch_shares import check_first_shares, check_shares, norm_parts
from training.runs.batch_size import largest_batch
from training.runs.checkpoints import RunInfo
from training.runs.device import find_precision
from training.runs.initial_weights import check_initial
from training.runs.lost_runs import refuse_lost_run
from training.runs.run import Run, start_run, timetable_of
from training.runs.run_files import LAST, LOG, of_a_run
from training.runs.run_storage import check_resume, resume_run
from training.training_errors import CheckpointError, NoCheckpointError, RecipeError

logger = logging.getLogger(__name__)


def prepare(call: TrainCall, device: torch.device, ranks: Ranks) -> tuple[RunInfo, Data]:
    """What a run is and what it learns from; processes exchange nothing here.

    Raises:
        ValueError: recipe, call or data are faulty.
        OSError: data cannot be read.
    """
    recipe = load_recipe(call.recipe, wanted_overrides(call.overrides, call.steps), data=call.data[0])
    check_first_shares(recipe, ranks)
    _check(call)
    _check_synthesis(call, recipe)
    refuse_other_names(folders_of(call), recipe.labels, recipe.channels)
    data = data_of(call, recipe)
    recipe = resolved(recipe, call.data, workers=call.workers)
    if call.threads:
        torch.set_num_threads(call.threads)
    info = replace(_info(call, recipe, data, device), norm_parts=norm_parts(recipe, ranks, device))
    if _resumes(call):
        check_resume(info, call.output)
    if info.recipe.sampling.batch_size != AUTO or info.recipe.curriculum:
        check_shares(timetable_of(info), ranks)
    return info, data


def _info(call: TrainCall, recipe: Recipe, data: Data, device: torch.device) -> RunInfo:
    return RunInfo(
        recipe=recipe,
        step=0,
        seed=call.seed,
        precision=find_precision(call.precision or recipe.precision, device),
        cases=tuple(case.name for case in data.cases),
        anatomy=None if call.anatomy is None else folder_sha256(call.anatomy),
        data="; ".join(
            [*map(data_name, call.data), *(["synthetic cases"] if recipe.synthesis is not None else [])]
        ),
        data_hash=str(data_hash(data.cases)),
    )


def _resumes(call: TrainCall) -> bool:
    return call.resume == ALWAYS or (call.resume == IF_THERE and (call.output / LAST).exists())


def started_run(call: TrainCall, info: RunInfo, device: torch.device, ranks: Ranks) -> Run:
    """The run that a call asks for, before its first step or where it was ended.

    Raises:
        CheckpointError: that in the folder, or `--init`, cannot be read or belongs to another network or run.
        TrainingError: not even one patch fits into memory, or a compiler is asked for and not there.
    """
    folder = call.output
    if _resumes(call):
        return resume_run(info, device, folder, ranks)
    if info.recipe.sampling.batch_size == AUTO and not info.recipe.curriculum:
        found = largest_batch(info, device, folder, ranks)
        info = replace(info, batch_size=found)
    if ranks.is_first and (folder / LOG).exists():
        logger.info("%s: begun anew: the run there was ended before its first checkpoint", folder)
    return start_run(info, device, folder, call.init, ranks)


def fresh_cases(call: TrainCall, info: RunInfo) -> AbstractContextManager[FreshCases | None]:
    """The cases that are made for the run, if its recipe asks for any."""
    synthesis = info.recipe.synthesis
    if synthesis is None:
        return nullcontext()
    make = SyntheticCase(recipe=info.recipe, synthesis=synthesis, seed=info.seed, anatomy=call.anatomy)
    return FreshCases(make, synthesis, info.seed, call.case_makers)


def _check(call: TrainCall) -> None:
    if call.resume == ALWAYS and call.init:
        raise RecipeError("--resume goes on from the run's own weights: leave out --init")
    if call.init is not None:
        check_initial(call.init)
        if call.init.resolve() in [path.resolve() for path in of_a_run(call.output)]:
            raise RecipeError(
                f"--init: {call.init} is of an earlier run in --output, which a new one replaces; "
                "choose another --output"
            )
    if not call.resume and (call.output / LAST).exists():
        raise CheckpointError(
            f"{call.output}: already holds a run; go on with --resume, or choose another --output"
        )
    refuse_lost_run(call.output)
    if call.resume == ALWAYS and not (call.output / LAST).exists():
        raise NoCheckpointError(
            f"{call.output / LAST}: no such checkpoint; start with --resume auto, or without --resume"
        )
    if call.workers < 1 or (call.threads is not None and call.threads < 1):
        raise RecipeError("--workers and --threads: must be 1 or more")
    if call.seed < 0:
        raise RecipeError(f"--seed: must be 0 or more, is {call.seed}")


def _check_synthesis(call: TrainCall, recipe: Recipe) -> None:
    synthesis, anatomy = recipe.synthesis, call.anatomy
    if call.case_makers < 1:
        raise RecipeError("--case-makers: must be 1 or more")
    if synthesis is None:
        if anatomy is not None:
            raise RecipeError(
                f"--anatomy: recipe {recipe.name} makes no cases while it trains; add "
                "--set synthesis.share=1, or leave --anatomy out"
            )
    elif anatomy is None and synthesis.anatomy_share:
        raise RecipeError(
            "synthesis.anatomy_share: there are no label maps to paint over; give them with --anatomy, "
            "or add --set synthesis.anatomy_share=0"
        )
    elif anatomy is not None:
        for _ in read_label_maps(anatomy):
            pass
