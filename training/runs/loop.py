"""The training loop: stages, steps, validations, checkpoints."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeVar

import torch

from inference.runtime.process_memory import peak_mb
from leanseg.ending import held
from model.arrays import U8
from model.units import MIB
from training.data.batches import Batch
from training.data.fresh_cases import FreshCases
from training.data.sampling import GridCase
from training.data.store import CaseStore
from training.recipes.stopping_options import Converged
from training.runs.batch_source import source_of
from training.runs.convergence import why_decay
from training.runs.live_progress import MORE_CASES, MORE_DATA, Progress
from training.runs.overlay import Middle
from training.runs.run import Run
from training.runs.run_files import BEST, KEPT, LAST
from training.runs.run_storage import save_run
from training.runs.step import training_step
from training.runs.timetable import Stage
from training.runs.validation import own_cases, validate
from training.runs.watching import StepDone, Validated, Watcher, Watchers
from training.training_errors import WriteError

T = TypeVar("T")


logger = logging.getLogger(__name__)


def train(
    run: Run,
    store: CaseStore,
    held_out: CaseStore | None,
    workers: int,
    watchers: Sequence[Watcher] = (),
    clock: Callable[[], float] = time.monotonic,
    fresh: FreshCases | None = None,
) -> None:
    """Take a run from where it is to its last step, writing checkpoints and the log into its folder.

    Where it is ended from outside it finishes its step, and writes a last checkpoint of that; several
    processes leave after the same step, that or the next. Where an error ends it between two steps, as in a
    validation, or because a case cannot be read, the last step is kept too, unless stages share the network.

    Raises:
        DataError: a case cannot be read.
        WriteError: a checkpoint, or the log, cannot be written.
        TrainingError: the loss is no longer a number.
    """
    if not run.ranks.is_first:
        told = Watchers(())
    else:
        remedy = MORE_DATA if fresh is None else MORE_CASES
        progress = Progress(run.info.step, run.timetable.steps, clock, remedy=remedy)
        told = Watchers((progress, *watchers))
    run.stored = run.info
    with run.ending:
        try:
            with closing(told):
                _train(run, store, held_out, workers, told, clock, fresh)
        except (KeyboardInterrupt, SystemExit):
            if run.is_between_steps and run.stored is not run.info:
                _save_last(run)
                run.ranks.gather(None)  # Who started the processes may end all others once one has left.
            raise
        except Exception:
            _rescue(run)
            raise


def _rescue(run: Run) -> None:
    """Keep the steps that an error would lose, where this process can do so without the others.

    These may have ended, or wait for another thing, so that they would not hand in their stages of a network.
    """
    if not run.is_between_steps or run.stored is run.info or run.placement.stages.world > 1:
        return
    try:
        _save_last(run)
    except (WriteError, RuntimeError, MemoryError) as error:
        # The error that ended the run is the one to be told, and may be the reason of this one.
        logger.warning("step %d could not be kept: %s", run.info.step, error)


def _save_last(run: Run) -> None:
    """Write the checkpoint to go on from; all processes call it where stages share the network."""
    save_run(run, LAST, moments=True)
    run.stored = run.info


def _train(
    run: Run,
    store: CaseStore,
    held_out: CaseStore | None,
    workers: int,
    told: Watchers,
    clock: Callable[[], float],
    fresh: FreshCases | None,
) -> None:
    if held_out is not None and _lacks_validation(run):
        _validate(run, held_out, told)
    while run.info.step < run.timetable.steps:
        stage = run.timetable.stage_of(run.info.step)
        if len(run.timetable.stages) > 1:
            _announce(run, stage)
        if stage.anneals_at_once and len(run.info.anneal_steps) == stage.number:
            run.anneal_from(stage.first_step)
            _say_decay(run, stage, "the stage is no longer than that takes")
        with closing(source_of(run, stage, store, workers, fresh)) as source:
            for (step, batch), waited_s in timed(source, clock):
                _one_step(run, step, batch, _Begun(clock, waited_s, clock()), told, held_out)
                if run.info.step >= run.timetable.stages[stage.number].end_step:
                    break
        _report(run)


def timed(source: Iterator[T], clock: Callable[[], float]) -> Iterator[tuple[T, float]]:
    """Items with the seconds that each was waited for."""
    while True:
        asked = clock()
        try:
            item = next(source)
        except StopIteration:
            return
        yield item, clock() - asked


class _Begun(NamedTuple):
    """A step whose batch is there."""

    clock: Callable[[], float]
    waited_s: float
    """How long its batch was waited for."""
    at_s: float
    """What the clock said then."""

    def taken_s(self) -> float:
        """Seconds since its batch was asked for."""
        return self.waited_s + self.clock() - self.at_s


def _one_step(
    run: Run, step: int, batch: Batch, begun: _Begun, told: Watcher, held_out: CaseStore | None
) -> None:
    run.ending.ask()
    with _undivided(run):
        _train_on(run, step, batch, begun, told)
        validates = held_out is not None and run.timetable.validates_after(run.info.step)
        if validates:
            # A validation takes long, reads files and asks for memory: what it ends must not lose the steps.
            _save_last(run)
        else:
            _conclude(run)
    run.ending.leave_if_asked()
    if held_out is not None and validates:
        _validate(run, held_out, told)


@contextmanager
def _undivided(run: Run) -> Iterator[None]:
    """Have an interruption wait for the end of a block of code, so that it finds a run that can be stored."""
    with held():
        run.is_between_steps = False
        yield
        run.is_between_steps = True


def _lacks_validation(run: Run) -> bool:
    """Whether the run was ended after its last step, before the validation due after that was over."""
    return run.info.step > 0 and not run.info.dice and run.timetable.validates_after(run.info.step)


def _train_on(run: Run, step: int, batch: Batch, begun: _Begun, told: Watcher) -> None:
    recipe, rate = run.info.recipe, run.timetable.rate_of(step)
    loss = training_step(run, step, batch)
    done = step + 1
    run.info = replace(run.info, step=done, dice={}, scaler=run.scaler.state_dict(), updates=run.updates)
    if isinstance(recipe.stopping, Converged):
        total, count = run.info.epoch_loss
        run.info = replace(run.info, epoch_loss=(total + loss, count + 1))
    patches = len(batch.images) * run.placement.replicas.world
    gpu_mb = _gpu_peak_mb(run.device)
    memory = {"host_peak_mb": peak_mb()} if gpu_mb is None else {"gpu_peak_mb": gpu_mb}
    measured = {"patches_per_s": patches / begun.taken_s(), **memory}
    rounded = {name: round(value, 3) for name, value in measured.items()}
    run.log({"loss": loss, "learning_rate": rate, **rounded})
    told.step(
        StepDone(
            step=done,
            steps=run.timetable.steps,
            loss=loss,
            learning_rate=rate,
            patches=patches,
            waited_s=begun.waited_s,
            gpu_peak_mb=gpu_mb,
            parts=run.phases.taken,
        )
    )


def _conclude(run: Run) -> None:
    """What follows a step and its validation: the schedule's turn, and checkpoints."""
    recipe, done = run.info.recipe, run.info.step
    _turn(run, done)
    is_kept = recipe.keep_every_steps is not None and done % recipe.keep_every_steps == 0
    # Beside what is kept for good there is a checkpoint to go on from, written before the first of them: by
    # that a run is known whose last one is gone. Later what is kept comes first, so that none is lacking.
    is_first = is_kept and done <= recipe.checkpoint_every_steps
    if is_first:
        _save_last(run)
    if is_kept:
        save_run(run, KEPT.format(done), moments=False)
    is_due = done % recipe.checkpoint_every_steps == 0 or done == run.timetable.steps
    if is_due and not is_first:
        _save_last(run)


def _gpu_peak_mb(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / MIB if device.type == "cuda" else None


def _validate(run: Run, held_out: CaseStore, told: Watcher) -> None:
    """Measure Dice on the held-out cases after a step, and conclude that."""
    stage, middle = run.timetable.stage_of(run.info.step - 1), Middle()

    own = own_cases(held_out, stage, run.placement)

    def look(index: int, case: GridCase, prediction: U8) -> None:
        middle.look(index, case, prediction)
        told.validating(own.index(index) + 1, len(own))

    told.validating(0, len(own))
    is_ended = partial(run.ending.is_asked_of_any, run.placement.stages)
    dice = validate(run.judged, held_out, stage, run.device, run.autocast(), run.placement, look, is_ended)
    run.ending.ask()
    run.ending.leave_if_asked()  # What was measured may be of some cases only.
    with _undivided(run):
        _note(run, stage, dice, told, middle)
        _conclude(run)


def _note(run: Run, stage: Stage, dice: Mapping[str, float], told: Watcher, middle: Middle) -> None:
    """Log a validation, and keep the checkpoint if it is the best so far."""
    if not dice:
        logger.warning("no held-out case holds any structure: nothing to measure")
        return
    mean = sum(dice.values()) / len(dice)
    run.log({"dice": dice, "mean_dice": mean})
    is_best = run.info.best_dice is None or mean > run.info.best_dice
    told.validation(
        Validated(step=run.info.step, dice=dice, mean_dice=mean, is_best=is_best, seen=middle.seen)
    )
    run.info = replace(run.info, dice=dice, best_dice=mean if is_best else run.info.best_dice)
    if isinstance(run.info.recipe.stopping, Converged):
        total, count = run.info.epoch_loss
        epoch = (run.info.step - stage.first_step) / stage.epoch_steps
        watched = (*run.info.watched, (epoch, mean, total / max(1, count)))
        run.info = replace(run.info, watched=watched, epoch_loss=(0.0, 0))
    if is_best:
        save_run(run, BEST, moments=False)


def _turn(run: Run, done: int) -> None:
    """Start the decay of the learning rate when the stage has converged or its time is nearly over.

    With the end of a stage, what was watched in it is forgotten.
    """
    stopping, stage = run.info.recipe.stopping, run.timetable.stage_of(done - 1)
    if not isinstance(stopping, Converged):
        return
    is_due = bool(run.info.dice) or done == stage.anneal_step
    if len(run.info.anneal_steps) == stage.number and is_due:
        epoch = (done - stage.first_step) / stage.epoch_steps
        why = why_decay(run.info.watched, stopping, epoch, stage.most_epochs)
        if why is not None:
            run.anneal_from(done)
            stage = run.timetable.stages[stage.number]
            _say_decay(run, stage, why)
    if done == stage.end_step:
        run.info = replace(run.info, watched=(), epoch_loss=(0.0, 0))


def _say_decay(run: Run, stage: Stage, why: str) -> None:
    if run.ranks.is_first:
        logger.info(
            "step %d: the learning rate decays from here to step %d: %s",
            run.timetable.decays_from(stage, run.info.anneal_steps[stage.number]),
            stage.end_step,
            why,
        )


def _report(run: Run) -> None:
    """Say what the stages of a pipeline took since the last time."""
    for line in run.placement.report():
        if run.ranks.is_first:
            logger.info("%s", line)


def _announce(run: Run, stage: Stage) -> None:
    if run.ranks.is_first:
        size = "whole volumes" if stage.whole else "patches of {}×{}×{}".format(*stage.recipe.patch_zyx)
        logger.info(
            "stage %d of %d: %s, batch size %d, steps %d to %d",
            stage.number + 1,
            len(run.timetable.stages),
            size,
            stage.batch_size,
            run.info.step + 1,
            stage.end_step,
        )
