"""What `python -m training train` does."""

import argparse
import importlib
import logging
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import torch

from leanseg.atomic_files import sweep
from leanseg.ending import is_ended, signal_of
from leanseg.full_disk import line_of_system
from training.commands.train_call import TrainCall
from training.commands.work.train_cases import Data
from training.commands.work.train_lines import draw, say_end, say_start
from training.commands.work.train_start import fresh_cases, prepare, started_run
from training.data.read_warnings import ReadWarnings
from training.data.store import CaseStore
from training.distributed.ranks import Ranks, join, leave, lost_others
from training.folder_lock import locked
from training.recipes.recipe import Recipe
from training.runs.batch_shares import check_shares
from training.runs.checkpoints import RunInfo, load_checkpoint
from training.runs.device import find_device
from training.runs.loop import train
from training.runs.lost_runs import refuse_lost_run
from training.runs.record import write_record
from training.runs.run_files import LAST
from training.runs.step_times import TIMES, RunningClock, StepTimes
from training.runs.watching import Watcher
from training.training_errors import CheckpointError, TrainingError

TENSORBOARD = "training.runs.tensorboard_log"

logger = logging.getLogger(__name__)


def run(arguments: argparse.Namespace) -> int:
    """Train as the command line says.

    Raises:
        RecipeError, TrainingError: as for `train_as`.
    """
    return train_as(TrainCall.of(arguments))


def train_as(call: TrainCall) -> int:
    """Train as a call says; the exit code, where an error says nothing.

    Raises:
        RecipeError: the recipe or the call is faulty.
        TrainingError: data or checkpoint are not usable, or the run cannot go on.
    """
    ranks = join(call.device)
    if ranks.world > 1:
        # A process that waits for others, deep in a library, would not come to hear Python's own handler.
        # Once all train, none waits for long, and `EndTogether` hears signals.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
    try:
        return _train(call, ranks)
    finally:
        leave()


def _train(call: TrainCall, ranks: Ranks) -> int:
    device = find_device(call.device, ranks)
    refusal: Exception | None = None
    try:
        info, data = prepare(call, device, ranks)
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
        with locked(call.output) if ranks.is_first else nullcontext():
            _run(call, info, data, device, ranks)
    except (KeyboardInterrupt, SystemExit) as error:
        number = signal_of(error)
        if ranks.is_first or number is None:
            raise
        return 128 + number  # The first process has the line.
    return 0


def _run(call: TrainCall, info: RunInfo, data: Data, device: torch.device, ranks: Ranks) -> None:
    recipe = info.recipe
    if ranks.is_first:
        sweep(call.output)
    state = started_run(call, info, device, ranks)
    check_shares(state.timetable, ranks)  # Again: `auto` may have been found by other processes.
    watchers: list[Watcher] = []
    if ranks.is_first:
        say_start(state, data)
        write_record(state, data.held_out, sys.argv[1:])
        if call.tensorboard:
            # Not imported above: it takes a second, and only those who asked for it need it.
            watchers.append(importlib.import_module(TENSORBOARD).TensorBoard(state.folder, state.info.step))
        if call.times:
            state.phases = RunningClock(device)
            watchers.append(StepTimes(state.folder / TIMES, state.info.precision))
    notes = ReadWarnings()
    store, watched = _stores(call, recipe, data, ranks, notes)
    try:
        with fresh_cases(call, state.info) as fresh:
            train(state, store, watched, call.workers, watchers, fresh=fresh)
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
    call: TrainCall, recipe: Recipe, data: Data, ranks: Ranks, notes: ReadWarnings
) -> tuple[CaseStore, CaseStore | None]:
    """The cases that are trained on, and those that are held out; each process keeps its own."""
    cache_mb = call.cache_mb / ranks.local_world
    share = len(data.held_out) / (len(data.cases) + len(data.held_out))
    store = CaseStore(data.cases, recipe, cache_mb * (1 - share), call.cache, notes)
    watched = None
    if data.held_out:
        watched = CaseStore(data.held_out, recipe, cache_mb * share, call.cache, notes)
    return store, watched


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


def line_of(error: BaseException, output: Path) -> str | None:
    """Why a run ended, in one line; None for a fault of the program, which keeps its traceback."""
    if lost_others(error):
        return "another process of the run has ended, whose own message says why"
    if isinstance(error, OSError) and error.strerror:
        return line_of_system(error, output)
    return str(error) if isinstance(error, TrainingError | OSError) else None
