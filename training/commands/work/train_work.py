"""What `python -m training train` does."""

import argparse
import importlib
import logging
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from leanseg.ending import is_ended, signal_of
from leanseg.full_disk import line_of_system
from training.commands.options import wanted_overrides
from training.commands.train import ALWAYS, IF_THERE
from training.commands.work.train_cases import Data, data_of, folders_of
from training.commands.work.train_lines import draw, say_end, say_start
from training.data.data_hash import data_hash
from training.data.folders import data_name
from training.data.fresh_cases import FreshCases, SyntheticCase
from training.data.label_agreement import refuse_other_names
from training.data.quick_hash import folder_sha256
from training.data.read_warnings import ReadWarnings
from training.data.resolving import resolved
from training.data.store import CaseStore
from training.distributed.ranks import Ranks, join, leave, lost_others
from training.folder_lock import locked
from training.phantom.bodies.data_folder import read_label_maps
from training.recipes.loading import load_recipe
from training.recipes.recipe import Recipe
from training.recipes.sampling_options import AUTO
from training.runs.batch_shares import check_first_shares, check_shares, norm_parts
from training.runs.batch_size import largest_batch
from training.runs.checkpoints import RunInfo, load_checkpoint
from training.runs.device import find_device, find_precision
from training.runs.initial_weights import check_initial
from training.runs.loop import train
from training.runs.lost_runs import refuse_lost_run
from training.runs.record import write_record
from training.runs.run import Run, start_run, timetable_of
from training.runs.run_files import LAST, LOG, of_a_run
from training.runs.run_storage import check_resume, resume_run
from training.runs.step_times import TIMES, RunningClock, StepTimes
from training.runs.watching import Watcher
from training.training_errors import (
    CheckpointError,
    NoCheckpointError,
    RecipeError,
    TrainingError,
)
from training.whole_files import sweep

TENSORBOARD = "training.runs.tensorboard_log"

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Train as the command line says.

    Raises:
        RecipeError: the recipe or the call is faulty.
        TrainingError: data or checkpoint are not usable, or the run cannot go on.
    """
    ranks = join(arguments.device)
    if ranks.world > 1:
        # A process that waits for others, deep in a library, would not come to hear Python's own handler.
        # Once all train, none waits for long, and `EndTogether` hears signals.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
    try:
        return _train(arguments, ranks)
    finally:
        leave()


def _train(arguments: argparse.Namespace, ranks: Ranks) -> int:
    """The exit code, where an error says nothing."""
    device = find_device(arguments.device, ranks)
    refusal: Exception | None = None
    try:
        info, data = _prepare(arguments, device, ranks)
    except (ValueError, OSError) as error:
        if is_ended():
            raise
        refusal = error
    # As a rule all processes refuse the same: one line is enough. Where only one does, none goes on.
    refusals = [one for one in ranks.gather(None if refusal is None else str(refusal)) if one is not None]
    if refusals:
        if ranks.is_first:
            raise refusal or TrainingError(refusals[0])
        return 1
    try:
        with locked(arguments.output) if ranks.is_first else nullcontext():
            _run(arguments, info, data, device, ranks)
    except (KeyboardInterrupt, SystemExit) as error:
        number = signal_of(error)
        if ranks.is_first or number is None:
            raise
        return 128 + number  # The first process has the line.
    return 0


def _prepare(arguments: argparse.Namespace, device: torch.device, ranks: Ranks) -> tuple[RunInfo, Data]:
    """What a run is and what it learns from; processes exchange nothing here.

    Raises:
        ValueError: recipe, call or data are faulty.
        OSError: data cannot be read.
    """
    recipe = load_recipe(arguments.recipe, wanted_overrides(arguments), data=arguments.data[0])
    check_first_shares(recipe, ranks)
    _check(arguments)
    _check_synthesis(arguments, recipe)
    refuse_other_names(folders_of(arguments), recipe.labels, recipe.channels)
    data = data_of(arguments, recipe)
    recipe = resolved(recipe, arguments.data, workers=arguments.workers)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    info = replace(_info(arguments, recipe, data, device), norm_parts=norm_parts(recipe, ranks, device))
    if _resumes(arguments):
        check_resume(info, arguments.output)
    if info.recipe.sampling.batch_size != AUTO or info.recipe.curriculum:
        check_shares(timetable_of(info), ranks)
    return info, data


def _run(
    arguments: argparse.Namespace, info: RunInfo, data: Data, device: torch.device, ranks: Ranks
) -> None:
    recipe = info.recipe
    if ranks.is_first:
        sweep(arguments.output)
    state = _start_or_resume(arguments, info, device, ranks)
    check_shares(state.timetable, ranks)  # Again: `auto` may have been found by other processes.
    watchers: list[Watcher] = []
    if ranks.is_first:
        say_start(state, data)
        write_record(state, data.held_out, sys.argv[1:])
        if arguments.tensorboard:
            # Not imported above: it takes a second, and only those who asked for it need it.
            watchers.append(importlib.import_module(TENSORBOARD).TensorBoard(state.folder, state.info.step))
        if arguments.times:
            state.phases = RunningClock(device)
            watchers.append(StepTimes(state.folder / TIMES, state.info.precision))
    notes = ReadWarnings()
    store, watched = _stores(arguments, recipe, data, ranks, notes)
    try:
        with _fresh_cases(arguments, state.info) as fresh:
            train(state, store, watched, arguments.workers, watchers, fresh=fresh)
    except BaseException as error:
        error.add_note(way_on(state.folder))
        line = None if is_ended() else line_of(error, state.folder)
        if line is None:
            raise
        raise TrainingError(f"{line}; {way_on(state.folder)}") from error
    finally:
        if ranks.is_first:
            notes.tell()
            draw(state)
    if ranks.is_first:
        say_end(state)


def _stores(
    arguments: argparse.Namespace, recipe: Recipe, data: Data, ranks: Ranks, notes: ReadWarnings
) -> tuple[CaseStore, CaseStore | None]:
    """The cases that are trained on, and those that are held out; each process keeps its own."""
    cache_mb = arguments.cache_mb / ranks.local_world
    share = len(data.held_out) / (len(data.cases) + len(data.held_out))
    store = CaseStore(data.cases, recipe, cache_mb * (1 - share), arguments.cache, notes)
    watched = None
    if data.held_out:
        watched = CaseStore(data.held_out, recipe, cache_mb * share, arguments.cache, notes)
    return store, watched


def _fresh_cases(arguments: argparse.Namespace, info: RunInfo) -> AbstractContextManager[FreshCases | None]:
    """The cases that are made for the run, if its recipe asks for any."""
    synthesis = info.recipe.synthesis
    if synthesis is None:
        return nullcontext()
    make = SyntheticCase(recipe=info.recipe, synthesis=synthesis, seed=info.seed, anatomy=arguments.anatomy)
    return FreshCases(make, synthesis, info.seed, arguments.case_makers)


def way_on(folder: Path) -> str:
    """What can be done with a run that ended early, in a few words."""
    try:
        step = load_checkpoint(folder / LAST)[1].step
    except CheckpointError:
        try:
            refuse_lost_run(folder)
        except CheckpointError as lost:
            return str(lost)
        return "no checkpoint was written yet: start again"
    return f"the last checkpoint is of step {step}: go on from it with --resume"


def _info(arguments: argparse.Namespace, recipe: Recipe, data: Data, device: torch.device) -> RunInfo:
    return RunInfo(
        recipe=recipe,
        step=0,
        seed=arguments.seed,
        precision=find_precision(arguments.precision or recipe.precision, device),
        cases=tuple(case.name for case in data.cases),
        anatomy=None if arguments.anatomy is None else folder_sha256(arguments.anatomy),
        data="; ".join(
            [*map(data_name, arguments.data), *(["synthetic cases"] if recipe.synthesis is not None else [])]
        ),
        data_hash=str(data_hash(data.cases)),
    )


def _resumes(arguments: argparse.Namespace) -> bool:
    output: Path = arguments.output
    return arguments.resume == ALWAYS or (arguments.resume == IF_THERE and (output / LAST).exists())


def _start_or_resume(arguments: argparse.Namespace, info: RunInfo, device: torch.device, ranks: Ranks) -> Run:
    folder: Path = arguments.output
    if _resumes(arguments):
        return resume_run(info, device, folder, ranks)
    if info.recipe.sampling.batch_size == AUTO and not info.recipe.curriculum:
        found = largest_batch(info, device, folder, ranks)
        info = replace(info, batch_size=found)
    if ranks.is_first and (folder / LOG).exists():
        logger.info("%s: begun anew: the run there was ended before its first checkpoint", folder)
    return start_run(info, device, folder, arguments.init, ranks)


def line_of(error: BaseException, output: Path) -> str | None:
    """Why a run ended, in one line; None for a fault of the program, which keeps its traceback."""
    if lost_others(error):
        return "another process of the run has ended, whose own message says why"
    if isinstance(error, OSError) and error.strerror:
        return line_of_system(error, output)
    return str(error) if isinstance(error, TrainingError | OSError) else None


def _check(arguments: argparse.Namespace) -> None:
    if arguments.resume == ALWAYS and arguments.init:
        raise RecipeError("--resume goes on from the run's own weights: leave out --init")
    if arguments.init is not None:
        check_initial(arguments.init)
        if arguments.init.resolve() in [path.resolve() for path in of_a_run(arguments.output)]:
            raise RecipeError(
                f"--init: {arguments.init} is of an earlier run in --output, which a new one replaces; "
                "choose another --output"
            )
    if not arguments.resume and (arguments.output / LAST).exists():
        raise CheckpointError(
            f"{arguments.output}: already holds a run; go on with --resume, or choose another --output"
        )
    refuse_lost_run(arguments.output)
    if arguments.resume == ALWAYS and not (arguments.output / LAST).exists():
        raise NoCheckpointError(
            f"{arguments.output / LAST}: no such checkpoint; start with --resume auto, or without --resume"
        )
    if arguments.workers < 1 or (arguments.threads is not None and arguments.threads < 1):
        raise RecipeError("--workers and --threads: must be 1 or more")
    if arguments.seed < 0:
        raise RecipeError(f"--seed: must be 0 or more, is {arguments.seed}")


def _check_synthesis(arguments: argparse.Namespace, recipe: Recipe) -> None:
    synthesis, anatomy = recipe.synthesis, arguments.anatomy
    if arguments.case_makers < 1:
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
