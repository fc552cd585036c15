"""The learning rate as a function of the step, and of nothing else, so that a resumed run finds it again."""

import math

from training.recipes.schedule_options import PolynomialSchedule, Schedule, WarmupCosineSchedule


def learning_rate(step: int, peak: float, schedule: Schedule, steps: int, epoch_steps: int = 1) -> float:
    """Learning rate of step `step`, counted from 0.

    With 2 warm-up steps of 6 and a peak of 1, `warmup_cosine` gives 0.5, 1, then (1 + cos(π·k/4)) / 2 for
    k = 0…3: 1, 0.854, 0.5, 0.146. With 2 epochs of 2 steps and a power of 1, `polynomial` gives 1, 1, 0.5,
    0.5.

    Args:
        step: which step.
        peak: the optimizer's learning rate.
        schedule: how it changes.
        steps: of the whole run.
        epoch_steps: steps of an epoch, in which warm-up epochs and the polynomial count.
    """
    warm_up = warm_up_steps(schedule, epoch_steps)
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * decay(step - warm_up, schedule, max(1, steps - warm_up), epoch_steps)


def warm_up_steps(schedule: Schedule, epoch_steps: int) -> int:
    """Steps over which the learning rate rises."""
    if isinstance(schedule, WarmupCosineSchedule):
        return schedule.warmup_steps or round(schedule.warmup_epochs * epoch_steps)
    return 0


def decay(step: int, schedule: Schedule, steps: int, epoch_steps: int) -> float:
    """Share of the peak, 0 to 1, that is left in step `step` of the `steps` over which it decays."""
    if isinstance(schedule, WarmupCosineSchedule):
        return (1 + math.cos(math.pi * min(1.0, step / steps))) / 2
    if isinstance(schedule, PolynomialSchedule):
        start_of_epoch = step // epoch_steps * epoch_steps
        return float(max(0.0, 1 - start_of_epoch / steps) ** schedule.power)
    return 1.0
