"""When a run has learned what it can: the slope of its validation Dice, with the doubt about that slope.

A count of validations without a new best ("patience") takes noise for the end: a lucky validation early on
is not beaten for a while, although the curve still rises. Here a line is fitted to the last validations, and
the upper end of its slope's confidence interval must be small: the noisier the curve, the longer the run. On
simulated curves (`tests/training/runs/test_convergence.py`) patience 5 loses up to 1.8 points of Dice, this
less than a tenth. What no slope tells is how much a curve that rises ever more slowly would still gain in
very many epochs.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from training.recipes.stopping_options import Converged

CONFIDENCE = 0.95
"""Chance that the true slope lies below its upper bound."""
FEWEST_POINTS = 8
"""Validations below which no line is fitted."""
WINDOW_SHARE = 0.5
"""Share of all epochs so far that the line is fitted to, where this is more than the options' window."""
LOSS_LENIENCE = 10.0
"""How many times faster than Dice's limit the loss may still fall, as a share of itself: it goes on falling
for long after Dice has settled, as the network grows surer of what it has right already."""


Watched = tuple[float, float, float]
"""One validation: epochs done when it was made, mean Dice (0 to 1), mean loss of the training since the last
one."""


def why_decay(watched: Sequence[Watched], options: Converged, epoch: float, most_epochs: int) -> str | None:
    """Why the learning rate of a stage decays from here on, in a sentence without a full stop; None: not yet.

    It is a function of the validations alone, so that a resumed run comes to the same.

    Args:
        watched: validations of the stage so far, in order.
        options: what to look for.
        epoch: epochs of the stage that are done.
        most_epochs: how many it has at most, the decay included.
    """
    if epoch >= most_epochs - options.anneal_epochs:
        return (
            f"epoch {epoch:g}: {most_epochs} epochs at most, of which the last "
            f"{options.anneal_epochs} are for the decay of the learning rate"
        )
    window = max(options.window_epochs, WINDOW_SHARE * epoch)
    seen = [one for one in watched if one[0] > epoch - window]
    if epoch < options.window_epochs or len(seen) < FEWEST_POINTS:
        return None
    epochs, dice, losses = zip(*seen, strict=True)
    gain, limit = upper_slope(epochs, dice), options.slope_per_epoch
    if gain > limit or _fall_of_loss(epochs, losses) > LOSS_LENIENCE * limit:
        return None
    return (
        f"epoch {epoch:g}: over the last {window:g} epochs Dice rises by {gain:.6f} an epoch at most "
        f"({CONFIDENCE:.0%} sure), not above the limit of {limit:.6f}"
    )


def _fall_of_loss(epochs: Sequence[float], losses: Sequence[float]) -> float:
    """Upper bound of the share by which the loss falls in an epoch; 0 for one that is not above 0."""
    level = float(np.mean(losses))
    return upper_slope(epochs, [-loss / level for loss in losses]) if level > 0 else 0.0


def upper_slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Upper end of the one-sided confidence interval of the slope of the line through points.

    Least squares; Student's t with n - 2 degrees of freedom. Points on a line give its slope: (0, 1, 2),
    (1, 3, 5) gives 2.

    Args:
        x: at least 3 different values.
        y: as many.
    """
    from_mean = np.asarray(x, float) - np.mean(x)
    spread = float((from_mean**2).sum())
    slope = float((from_mean * y).sum()) / spread
    residuals = np.asarray(y, float) - np.mean(y) - slope * from_mean
    freedom = len(x) - 2
    doubt = np.sqrt(float((residuals**2).sum()) / freedom / spread)
    return slope + float(stdtrit(freedom, CONFIDENCE)) * float(doubt)
