"""The learning rate as a function of the step, and of nothing else, so that a resumed run finds it again."""

import math
from typing import Literal

from training.recipes.schedule_options import PolynomialSchedule, Schedule, WarmupCosineSchedule

LearningRateRule = Literal["none", "linear", "square_root"]
"""How the learning rate follows the batch size: not, in proportion (SGD; Goyal et al. 2017), or by the
square root (Adam and its kin; Malladi et al. 2022)."""


def learning_rate(
    step: int,
    peak: float,
    schedule: Schedule,
    steps: int,
    *,
    warm_up: int = 0,
    epoch_start: int | None = None,
) -> float:
    """Learning rate of step `step`, counted from 0.

    With 2 warm-up steps of 6 and a peak of 1, `warmup_cosine` gives 0.5, 1, then (1 + cos(π·k/4)) / 2 for
    k = 0…3: 1, 0.854, 0.5, 0.146. With 2 epochs of 2 steps and a power of 1, `polynomial` gives 1, 1, 0.5,
    0.5.

    Args:
        step: which step.
        peak: the optimizer's learning rate.
        schedule: how it changes.
        steps: of the whole run.
        warm_up: steps over which it rises, as `warm_up_steps` gives them.
        epoch_start: first step of the epoch that the step is in, which alone counts for the polynomial; None:
            the step itself.
    """
    if step < warm_up:
        return peak * (step + 1) / warm_up
    start = step if epoch_start is None else epoch_start
    return peak * decay(step - warm_up, schedule, max(1, steps - warm_up), start - warm_up)


def warm_up_steps(schedule: Schedule, epoch_steps: int) -> int:
    """Steps over which the learning rate rises; a run's first epochs have `epoch_steps`."""
    if isinstance(schedule, WarmupCosineSchedule):
        return schedule.warmup_steps or round(schedule.warmup_epochs * epoch_steps)
    return 0


def decay(step: int, schedule: Schedule, steps: int, epoch_start: int) -> float:
    """Share of the peak, 0 to 1, that is left in step `step` of the `steps` over which it decays.

    The step's epoch began with step `epoch_start` of them.
    """
    if isinstance(schedule, WarmupCosineSchedule):
        return (1 + math.cos(math.pi * min(1.0, step / steps))) / 2
    if isinstance(schedule, PolynomialSchedule):
        return float(max(0.0, 1 - epoch_start / steps) ** schedule.power)
    return 1.0


def scaled_learning_rate(
    learning_rate: float, stated_batch: int, batch: int, rule: LearningRateRule
) -> float:
    """The learning rate for a batch other than the one that it was stated for.

    >>> scaled_learning_rate(0.01, 2, 8, "linear"), scaled_learning_rate(0.01, 2, 8, "square_root")
    (0.04, 0.02)
    """
    factor = batch / stated_batch
    return learning_rate * (1.0 if rule == "none" else factor if rule == "linear" else math.sqrt(factor))
