"""How much the labels of a case change from round to round, and which cases are worth training on.

    u = 1/(K-1) · Σ_{i=2..K} |y_i ≠ y_{i-1}| / |y_i > 0|

for the labels y_1 … y_K of K rounds: voxels that changed, as a share of the foreground. Cases above 0.1 are
left out. Source: the FLARE22 winner (76 of 2000 cases were left out).
"""

import math
from collections.abc import Sequence

import numpy as np

from model.arrays import U8

MOST_UNSTABLE = 0.1
"""The highest u of a case that is kept."""


def change(labels: U8, before: U8) -> float:
    """Voxels that differ from the round before, as a share of this round's foreground.

    Infinite where this round found nothing: there is nothing to train on, however often nothing was found.

    >>> change(np.array([0, 1, 1, 2], np.uint8), np.array([0, 0, 1, 1], np.uint8))
    0.6666666666666666
    """
    foreground = int(np.count_nonzero(labels))
    return int(np.count_nonzero(labels != before)) / foreground if foreground else math.inf


def instability(changes: Sequence[float]) -> float:
    """The mean u of a case's changes, one for each round after the first."""
    return sum(changes) / len(changes)
