"""When a run has learned what it can: the slope of its validation Dice, with the doubt about that slope.

A count of validations without a new best ("patience") takes noise for the end: a lucky validation early on
is not beaten for a while, although the curve still rises. Here a line is fitted to the last validations, and
the upper end of its slope's confidence interval must be small: the noisier the curve, the longer the run. On
simulated curves (`tests/training/runs/test_convergence.py`) patience 5 loses up to 1.8 points of Dice, this
less than a tenth. What no slope tells is how much a curve that rises ever more slowly would still gain in
very many epochs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy.special import stdtrit

Verdict = Literal["go on", "anneal", "done"]

CONFIDENCE = 0.95
"""Chance that the true slope lies below its upper bound."""
FEWEST_POINTS = 8
"""Validations below which no line is fitted."""
WINDOW_SHARE = 0.5
"""Share of all epochs so far that the line is fitted to, where this is more than the options' window."""
LOSS_LENIENCE = 10.0
"""How many times faster than Dice's limit the loss may still fall, as a share of itself: it goes on falling
for long after Dice has settled, as the network grows surer of what it has right already."""


class ConvergenceOptions(Protocol):
    """What the monitor needs to know; a recipe's `stopping: {kind: converged, ...}`."""

    @property
    def epochs(self) -> int:
        """Epochs at most, the annealing included."""

    @property
    def window_epochs(self) -> int:
        """Epochs that the line is fitted to, at least."""

    @property
    def slope_per_epoch(self) -> float:
        """Dice per epoch, 0 to 1, below which nothing more is to be gained."""

    @property
    def anneal_epochs(self) -> int:
        """Epochs over which the learning rate decays once the curve is flat."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One validation."""

    epoch: float
    """Epochs done when it was made."""
    dice: float
    """Mean Dice, 0 to 1."""
    loss: float | None
    """Loss at that time; None where it is not watched."""


class Monitor:
    """Watches the validations of a run and says when its learning rate decays and when it ends.

    It is a function of the validations alone, so that a resumed run adds them again and comes to the same.
    """

    def __init__(self, options: ConvergenceOptions, epochs: int | None = None) -> None:
        """Watch a run, or a stage of one.

        Args:
            options: what to look for.
            epochs: at most, the annealing included; None: as many as the options say. May be fewer than the
                annealing takes.
        """
        self._options = options
        self._epochs = options.epochs if epochs is None else epochs
        self._points: list[Point] = []
        self.anneal_from: float | None = None
        """Epoch at which the learning rate starts to decay; None while it does not."""
        self.why = "no validation yet"
        """The verdict's reason, one sentence without a full stop."""

    def add(self, epoch: float, dice: float, loss: float | None = None) -> None:
        """Take note of a validation.

        Args:
            epoch: epochs done, rising.
            dice: mean Dice of the held-out cases, 0 to 1.
            loss: loss of the validation, or of the training since the last one, above 0.

        Raises:
            ValueError: the epoch lies before the last one.
        """
        if self._points and epoch <= self._points[-1].epoch:
            raise ValueError(f"epoch {epoch:g} comes after epoch {self._points[-1].epoch:g}")
        self._points.append(Point(epoch=epoch, dice=dice, loss=loss))
        if self.anneal_from is None:
            self._look(epoch)

    def stop_waiting(self, epoch: float) -> None:
        """Let the learning rate decay from an epoch on, since what is left of the time is needed for that.

        Nothing where it decays already.
        """
        if self.anneal_from is None:
            self.anneal_from = epoch
            self.why = (
                f"epoch {epoch:g}: {self._epochs} epochs at most, of which the last "
                f"{self._options.anneal_epochs} are for the decay of the learning rate"
            )

    def verdict(self) -> Verdict:
        """What is to be done after the last validation: go on, let the learning rate decay, or end."""
        if self.anneal_from is None:
            return "go on"
        over = bool(self._points) and self._points[-1].epoch >= self.anneal_from + self._options.anneal_epochs
        return "done" if over else "anneal"

    def _look(self, epoch: float) -> None:
        last_chance = self._epochs - self._options.anneal_epochs
        if epoch >= last_chance:
            self.stop_waiting(epoch)
            return
        window = max(self._options.window_epochs, WINDOW_SHARE * epoch)
        seen = [point for point in self._points if point.epoch > epoch - window]
        if epoch < self._options.window_epochs or len(seen) < FEWEST_POINTS:
            self.why = f"epoch {epoch:g}: too few validations to judge by"
            return
        limit = self._options.slope_per_epoch
        gain = upper_slope([p.epoch for p in seen], [p.dice for p in seen])
        falling = _loss_still_falls(seen)
        is_flat = gain <= limit and falling <= LOSS_LENIENCE * limit
        if is_flat:
            self.anneal_from = epoch
        self.why = (
            f"epoch {epoch:g}: over the last {window:g} epochs Dice rises by {gain:.6f} an epoch at most "
            f"({CONFIDENCE:.0%} sure), {'not above' if gain <= limit else 'above'} the limit of {limit:.6f}"
        )
        if gain <= limit and not is_flat:
            self.why += f", but the loss still falls by up to {falling:.2%} an epoch"


def _loss_still_falls(seen: Sequence[Point]) -> float:
    """Upper bound of the share by which the loss falls in an epoch; 0 where it is not watched."""
    watched = [(p.epoch, p.loss) for p in seen if p.loss is not None]
    if len(watched) < FEWEST_POINTS:
        return 0.0
    epochs, losses = zip(*watched, strict=True)
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
