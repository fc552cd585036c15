"""The learning rate as a function of the step, and of nothing else, so that a resumed run finds it again."""

import math

from training.recipes.recipe import Optimizer


def learning_rate(step: int, optimizer: Optimizer) -> float:
    """Learning rate of step `step`, counted from 0: linear warm-up to the peak, then cosine to zero.

    With a peak of 1, 2 warm-up steps and 6 steps: 0.5, 1, then (1 + cos(π·k/4)) / 2 for k = 0…3: 1, 0.854,
    0.5, 0.146.
    """
    if step < optimizer.warmup_steps:
        return optimizer.learning_rate * (step + 1) / optimizer.warmup_steps
    progress = (step - optimizer.warmup_steps) / max(1, optimizer.steps - optimizer.warmup_steps)
    return optimizer.learning_rate * (1 + math.cos(math.pi * min(1.0, progress))) / 2
