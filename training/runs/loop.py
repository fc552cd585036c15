"""The training loop: steps, log, validation, checkpoints."""

import logging
import math
import time
from dataclasses import replace

import torch
from tqdm import tqdm

from training.data.batches import Batch, batches
from training.data.store import CaseStore
from training.losses.supervision import deep_supervision_loss
from training.optimization.schedule import learning_rate
from training.recipes.recipe import Recipe
from training.runs.run import BEST, LAST, Run
from training.runs.validation import validate
from training.training_errors import TrainingError

LOG_EVERY_STEPS = 20

logger = logging.getLogger(__name__)


def train(run: Run, store: CaseStore, held_out: CaseStore | None, workers: int) -> None:
    """Take a run from where it is to its last step, writing checkpoints and the log into its folder.

    Raises:
        DataError: a case cannot be read.
        TrainingError: the loss is no longer a number.
    """
    recipe = run.info.recipe
    steps, first, started = recipe.stopping.steps, run.info.step, time.monotonic()
    source = batches(store, recipe, run.info.seed, first, workers)
    # disable=None: a bar on a terminal only; elsewhere plain lines.
    with tqdm(source, total=steps, initial=first, disable=None, unit="step", dynamic_ncols=True) as bar:
        for step, batch in bar:
            loss = training_step(run, step, batch)
            done = step + 1
            last = done == steps
            run.info = replace(
                run.info, step=done, dice={}, scaler=run.scaler.state_dict(), updates=run.updates
            )
            run.log({"loss": loss, "learning_rate": rate_of(step, recipe)})
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if bar.disable and (done % LOG_EVERY_STEPS == 0 or last):
                logger.info(
                    "step %d/%d: loss %.4f, %.2f s a step",
                    done,
                    steps,
                    loss,
                    (time.monotonic() - started) / (done - first),
                )
            if held_out is not None and (done % recipe.validation.every_steps == 0 or last):
                _validate(run, held_out)
            if done % recipe.checkpoint_every_steps == 0 or last:
                run.save(LAST, moments=True)


def training_step(run: Run, step: int, batch: Batch) -> float:
    """Change the weights once; the loss before the change.

    Raises:
        TrainingError: the loss is not a finite number.
    """
    recipe = run.info.recipe
    for group in run.optimizer.param_groups:
        group["lr"] = rate_of(step, recipe)
    images, target = (tensor.to(run.device, non_blocking=True) for tensor in (batch.images, batch.target))
    if run.device.type == "cpu":
        images = images.to(memory_format=torch.channels_last_3d)
    with run.autocast():
        levels = run.network(images)
    loss = deep_supervision_loss(levels, target, recipe.loss, recipe.network.output_strides_zyx)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss of step {step + 1} is {value}; lower optimizer.learning_rate, or train with "
            "--precision fp32"
        )
    run.optimizer.zero_grad(set_to_none=True)
    run.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    run.scaler.unscale_(run.optimizer)
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), recipe.optimizer.clip_norm)
    run.scaler.step(run.optimizer)
    run.scaler.update()
    return value


def rate_of(step: int, recipe: Recipe) -> float:
    """Learning rate of a step, by the recipe."""
    return learning_rate(step, recipe.optimizer.learning_rate, recipe.schedule, recipe.stopping.steps)


def _validate(run: Run, held_out: CaseStore) -> None:
    """Measure Dice on the held-out cases, log it, and keep the checkpoint if it is the best so far."""
    dice = validate(run.network, held_out, run.info.recipe, run.device, run.autocast())
    if not dice:
        logger.warning("no held-out case holds any structure: nothing to measure")
        return
    mean = sum(dice.values()) / len(dice)
    run.log({"dice": dice, "mean_dice": mean})
    logger.info(
        "step %d: validation Dice %.4f (%s)",
        run.info.step,
        mean,
        ", ".join(f"{name} {value:.3f}" for name, value in dice.items()),
    )
    is_best = run.info.best_dice is None or mean > run.info.best_dice
    run.info = replace(run.info, dice=dice, best_dice=mean if is_best else run.info.best_dice)
    if is_best:
        run.save(BEST, moments=False)
