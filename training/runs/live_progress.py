"""What a person sees of a run: a live bar on a terminal, elsewhere a line every half minute.

Loss and rates are means since the line before; the time that is left reckons with validations as so far.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from training.runs.watching import StepDone, Validated, Watcher

LINE_EVERY_S = 30.0
WAITING_LIMIT = 0.1
"""Share of time spent waiting for data above which the log warns."""
MORE_DATA = "raise --workers, or --cache-mb, or give --cache"
"""What helps where data are waited for."""
MORE_CASES = "raise --case-makers, or --workers, or in a new run synthesis.patches_per_case"
"""What helps where cases are made while the network trains."""

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class _Count:
    """What happened since some moment."""

    since_s: float
    steps: int = 0
    loss: float = 0.0
    """Sum over the steps."""
    patches: int = 0
    waited_s: float = 0.0
    validated_s: float = 0.0

    def add(self, done: StepDone) -> None:
        self.steps += 1
        self.loss += done.loss
        self.patches += done.patches
        self.waited_s += done.waited_s


class Progress(Watcher):
    """Shows how far a run is.

    Args:
        first: steps done before.
        steps: of the whole run, as far as known.
        clock: seconds that never go back.
        terminal: whether somebody looks at a terminal; None: find out.
        remedy: what helps where data are waited for.
    """

    def __init__(
        self,
        first: int,
        steps: int,
        clock: Callable[[], float] = time.monotonic,
        terminal: bool | None = None,
        remedy: str = MORE_DATA,
    ) -> None:
        self._first, self._clock, self._remedy = first, clock, remedy
        self._dice: float | None = None
        self._count = _Count(since_s=clock())
        self._first_done_s: float | None = None
        self._validating_s: float | None = None
        self._said_s = 0.0
        self._warned = False
        shown = _on_terminal() if terminal is None else terminal
        self._bar = tqdm(total=steps, initial=first, disable=not shown, unit="step", dynamic_ncols=True)
        self._redirect = logging_redirect_tqdm()
        if not self._bar.disable:
            self._redirect.__enter__()

    def step(self, done: StepDone) -> None:
        """Move the bar, or write a line if it is time for one."""
        self._resume()
        self._count.add(done)
        now = self._clock()
        is_first, is_last = done.step == self._first + 1, done.step == done.steps
        due = is_first or is_last or now - self._count.since_s >= LINE_EVERY_S
        if not self._bar.disable:
            self._bar.total = done.steps
            self._bar.set_postfix_str(", ".join(self._words(done, now)[:3]), refresh=False)
            self._bar.update()
        elif due:
            left = timedelta(seconds=round((done.steps - done.step) * self._seconds(done, now)))
            waited = f"{self._waiting(now):.0%} of the time waited for data"
            words = [*self._words(done, now), f"{left} left", waited]
            logger.info("step %d/%d: %s", done.step, done.steps, ", ".join(words))
        if due:
            # The first batch is always waited for.
            if not is_first:
                self._warn(now)
            self._count = _Count(since_s=now)
        if is_first:
            self._first_done_s = now

    def validating(self, done: int, cases: int) -> None:
        """Write a line if it is time for one, on a terminal too: its bar stands still meanwhile."""
        now = self._clock()
        if self._validating_s is None:
            self._validating_s = self._said_s = now
        if done < cases and now - self._said_s >= LINE_EVERY_S:
            self._said_s = now
            logger.info("validating: %d of %d cases", done, cases)

    def validation(self, found: Validated) -> None:
        """Remember Dice for the next line, and write one for each channel."""
        self._resume()
        self._dice = found.mean_dice
        logger.info(
            "step %d: validation Dice %.4f%s (%s)",
            found.step,
            found.mean_dice,
            ", the best so far" if found.is_best else "",
            ", ".join(f"{name} {value:.3f}" for name, value in found.dice.items()),
        )

    def close(self) -> None:
        """Leave the terminal as it was."""
        if not self._bar.disable:
            self._redirect.__exit__(None, None, None)
        self._bar.close()

    def _resume(self) -> None:
        """Go on after a validation, whose time is none of training."""
        if self._validating_s is not None:
            self._count.validated_s += self._clock() - self._validating_s
            self._validating_s = None

    def _words(self, done: StepDone, now: float) -> list[str]:
        dice = [] if self._dice is None else [f"Dice {self._dice:.3f}"]
        memory = [] if done.gpu_peak_mb is None else [f"{done.gpu_peak_mb:.0f} MiB of GPU memory at most"]
        loss, rate = self._count.loss / self._count.steps, self._count.patches / self._trained_s(now)
        return [f"loss {loss:.4f}", *dice, f"{rate:.3g} patches/s", *memory]

    def _seconds(self, done: StepDone, now: float) -> float:
        """Seconds of a step, validations included, over the run: but for the first one, which is slow."""
        if self._first_done_s is None:
            return self._trained_s(now)
        return (now - self._first_done_s) / (done.step - self._first - 1)

    def _trained_s(self, now: float) -> float:
        """Seconds of training since the last line."""
        return max(now - self._count.since_s - self._count.validated_s, 1e-9)

    def _waiting(self, now: float) -> float:
        """Share of the time of training in which the device waited for data, 0 to 1."""
        return min(1.0, self._count.waited_s / self._trained_s(now))

    def _warn(self, now: float) -> None:
        share = self._waiting(now)
        if share > WAITING_LIMIT and not self._warned:
            self._warned = True
            logger.warning(
                "the device waited for data in %.0f %% of the time (more than %.0f %%): %s",
                100 * share,
                100 * WAITING_LIMIT,
                self._remedy,
            )


def _on_terminal() -> bool:
    """Whether there is a terminal that a bar fits on: one of unknown size has no place for it."""
    try:
        columns, lines = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return False
    return columns > 0 and lines > 0
