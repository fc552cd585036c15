"""One step: the loss of a batch, its gradients, and the change of the weights."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from training.data.augmenting import augmented
from training.data.batches import Batch
from training.distributed.block_costs import layout_of
from training.losses.scores import LossSetting
from training.losses.supervision import deep_supervision_loss
from training.optimization.weight_average import average_decay, update_average
from training.runs.run import Run
from training.runs.step_times import AUGMENT, BACKWARD, FORWARD, LOSS, UPDATE
from training.training_errors import TrainingError

NORM_MARGIN = 1e-6
"""What torch adds to the norm of gradients before it divides by it."""
REMEDY = "lower optimizer.learning_rate, or train with --precision fp32"
MOST_LEFT_OUT = 20
"""Steps in a row that overflow before a run is given up. Each halves the scale, which starts at 65536: it is
below 1 then, and gradients would overflow without it."""

logger = logging.getLogger(__name__)


def training_step(run: Run, step: int, batch: Batch) -> float:
    """Change the weights once; the loss before the change.

    Raises:
        TrainingError: the loss or its gradient is not a finite number, in fp16 the gradients of many steps in
            a row; the weights are as they were.
    """
    run.phases.start()
    batch = augmented(batch, run.info.recipe, run.device)
    run.phases.mark(AUGMENT)
    for group in run.optimizer.param_groups:
        group["lr"] = run.timetable.rate_of(step)
    run.optimizer.zero_grad(set_to_none=True)
    loss = torch.zeros((), device=run.device)
    parts = list(split(batch, run.info.recipe.optimizer.accumulate_steps))
    for index, part in enumerate(parts, start=1):
        loss = loss + add_gradients(run, part, 1 / len(parts), complete=index == len(parts))
        run.phases.mark(BACKWARD)
    value = float(loss)
    if not math.isfinite(value):
        raise TrainingError(f"the loss of step {step + 1} is {value}; {REMEDY}")
    _change_weights(run, step)
    run.phases.mark(UPDATE)
    return value


def add_gradients(run: Run, batch: Batch, share: float = 1.0, *, complete: bool = True) -> Tensor:
    """Add the gradients of a share of the recipe's loss to those that there are; that share of the loss.

    Args:
        run: whose parameters have the gradients.
        batch: patches of this replica.
        share: how much the batch counts.
        complete: whether these are the last gradients before the weights change.
    """
    recipe, placement = run.info.recipe, run.placement
    images = batch.images.to(run.device, non_blocking=True)
    target = batch.target.to(run.device, non_blocking=True)
    images = images.to(memory_format=layout_of(run.device))
    setting = LossSetting(channel_names=recipe.channel_names, reduce=placement.replicas.sum)

    def loss(levels: Sequence[Tensor]) -> Tensor:
        run.phases.mark(FORWARD)
        strides_zyx = recipe.network.output_strides_zyx
        whole = deep_supervision_loss(levels, target, recipe.loss, strides_zyx, batch.annotated, setting)
        run.phases.mark(LOSS)
        return whole * share

    return placement.add_gradients(images, loss, complete=complete)


def split(batch: Batch, parts: int) -> Iterator[Batch]:
    """A batch in equal parts."""
    tensors = (batch.images, batch.target, batch.annotated)
    for images, target, annotated in zip(*(tensor.chunk(parts) for tensor in tensors), strict=True):
        yield replace(batch, images=images, target=target, annotated=annotated)


def _change_weights(run: Run, step: int) -> None:
    recipe = run.info.recipe
    run.scaler.unscale_(run.optimizer)
    total = run.placement.gradient_norm(list(run.network.parameters()))
    norm, most = float(total), recipe.optimizer.clip_norm
    if not run.scaler.is_enabled() and not math.isfinite(norm):
        raise TrainingError(f"the gradient of step {step + 1} is {norm}; {REMEDY}")
    # Else torch would multiply all gradients by 1.
    if not norm + NORM_MARGIN <= most:
        torch.nn.utils.clip_grads_with_norm_(run.network.parameters(), most, total)
    scale = run.scaler.get_scale()
    run.scaler.step(run.optimizer)
    run.scaler.update()
    # The scaler lowers its scale when it leaves a step out, since gradients have overflowed.
    if run.scaler.get_scale() >= scale:
        if run.average is not None and recipe.ema is not None:
            update_average(run.average, run.network, average_decay(recipe.ema.decay, run.updates))
        run.updates += 1
        run.left_out = 0
    else:
        _note_left_out(run, step)


def _note_left_out(run: Run, step: int) -> None:
    """Say that steps begin to be left out, and refuse to go on when nothing else happens any more."""
    run.left_out += 1
    if run.left_out == MOST_LEFT_OUT:
        raise TrainingError(
            f"the gradients of steps {step + 2 - MOST_LEFT_OUT} to {step + 1} overflow in "
            f"{run.info.precision}, and none of them changed the weights; {REMEDY}"
        )
    if run.left_out == 1 and run.ranks.is_first:
        logger.info(
            "step %d: left out, its gradients overflow in %s: the scale of the loss is halved to %g",
            step + 1,
            run.info.precision,
            run.scaler.get_scale(),
        )
