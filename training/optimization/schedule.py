"""The learning rate as a function of the step, and of nothing else, so that a resumed run finds it again."""

import math

from training.recipes.schedule_options import Schedule


def learning_rate(step: int, peak: float, schedule: Schedule, steps: int) -> float:
    """Learning rate of step `step`, counted from 0: linear warm-up to the peak, then cosine to zero.

    With 2 warm-up steps of 6 a peak of 1 gives 0.5, 1, then (1 + cos(π·k/4)) / 2 for k = 0…3: 1, 0.854, 0.5,
    0.146.

    Args:
        step: which step.
        peak: the optimizer's learning rate.
        schedule: how it changes.
        steps: of the whole run.
    """
    if step < schedule.warmup_steps:
        return peak * (step + 1) / schedule.warmup_steps
    progress = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
    return peak * (1 + math.cos(math.pi * min(1.0, progress))) / 2
