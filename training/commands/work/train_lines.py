"""What `python -m training train` says before its first step and after its last, and draws."""

import logging
from contextlib import suppress

from training.commands.work.train_cases import Data
from training.recipes.stopping_options import Converged
from training.runs.device import emulates_bf16
from training.runs.differences import some_of
from training.runs.log import read_log
from training.runs.loss_curves import PICTURE, TABLE, draw_curves, write_table
from training.runs.run import Run
from training.runs.run_files import BEST, LAST, LOG
from training.training_errors import WriteError

logger = logging.getLogger(__name__)


def say_start(run: Run, data: Data) -> None:
    """What will be done, and what may be amiss with it."""
    if run.info.step >= run.timetable.steps:
        logger.info(
            "%s: is complete, all %d steps are done; to train its weights further, start another run with "
            "--init",
            run.info.recipe.name,
            run.info.step,
        )
        return
    logger.info(
        "%s: %d cases, %d held out, %.3g M parameters, %d steps from %d, %s in %s%s",
        run.info.recipe.name,
        len(data.cases),
        len(data.held_out),
        run.parameters / 1e6,
        run.timetable.steps,
        run.info.step,
        run.device,
        run.info.precision,
        f", {run.ranks.world} processes" if run.ranks.world > 1 else "",
    )
    if emulates_bf16(run.info.precision, run.device):
        logger.warning(
            "bf16: this processor cannot compute in it, and torch emulates it, many times slower than fp32; "
            "start anew with --precision fp32, with --init to keep weights of an earlier run"
        )
    _say_held_out(data)
    recipe = run.info.recipe
    if passed_over := recipe.inference.passed_over(recipe.labels):
        logger.info("clean-up passes over structures that the label set lacks: %s", ", ".join(passed_over))
    for line in run.placement.plan():
        logger.info("%s", line)
    for folder, name in data.not_read:
        logger.info("%s: its list `%s` is not read, only `training` is", folder, name)
    for doubt in data.doubts:
        logger.warning("%s", doubt)
    if isinstance(recipe.stopping, Converged) and not data.held_out:
        logger.warning(
            "stopping: nothing is held out to tell when the run has converged: it takes all of its %d steps",
            run.timetable.steps,
        )


def _say_held_out(data: Data) -> None:
    """Which cases are validated on, and what may be amiss with them."""
    if data.held_out:
        logger.info("held out: %s", some_of([case.name for case in data.held_out]))
    for path in data.splits_not_used:
        logger.info(
            "%s: train does not follow a split; cross-validate does, and --hold-out names the cases", path
        )
    if data.passed_over:
        logger.warning(
            "%d held-out case(s) hold nothing but pseudo-labels, %s first: they are neither trained nor "
            "validated on; do not hold them out, and they are trained on",
            len(data.passed_over),
            data.passed_over[0],
        )
    if {case.labels for case in data.cases} & {case.labels for case in data.held_out}:
        logger.warning(
            "cases that are trained on are validated on: figures say how well the network learns these, not "
            "what it does on others"
        )


def say_end(run: Run) -> None:
    """Which checkpoint counts, and whether all steps did."""
    if left_out := run.info.step - run.updates:
        logger.warning(
            "%d of %d steps were left out, since their gradients overflowed in %s",
            left_out,
            run.info.step,
            run.info.precision,
        )
    logger.info("done: %s", run.folder / (BEST if (run.folder / BEST).exists() else LAST))


def draw(run: Run) -> None:
    """Write the log as a table and as curves; what hinders that must not hide why a run ended."""
    with suppress(OSError, WriteError):
        entries = read_log(run.folder / LOG)
        write_table(entries, run.folder / TABLE)
        draw_curves(entries, run.info.recipe.name, run.info.recipe.labels, run.folder / PICTURE)
