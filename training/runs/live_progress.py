"""What a person sees of a run: a live bar on a terminal, elsewhere a line every half minute."""

import logging
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
    patches: int = 0
    waited_s: float = 0.0

    def add(self, done: StepDone) -> None:
        self.steps += 1
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
        self._warned = False
        disable = None if terminal is None else not terminal
        self._bar = tqdm(total=steps, initial=first, disable=disable, unit="step", dynamic_ncols=True)
        self._redirect = logging_redirect_tqdm()
        if not self._bar.disable:
            self._redirect.__enter__()

    def step(self, done: StepDone) -> None:
        """Move the bar, or write a line if it is time for one."""
        self._count.add(done)
        now = self._clock()
        is_first, is_last = done.step == self._first + 1, done.step == done.steps
        due = is_first or is_last or now - self._count.since_s >= LINE_EVERY_S
        if not self._bar.disable:
            self._bar.total = done.steps
            self._bar.set_postfix_str(", ".join(self._words(done, now)[:3]), refresh=False)
            self._bar.update()
        elif due:
            left = timedelta(seconds=round((done.steps - done.step) * self._seconds(now)))
            waited = f"{self._waiting(now):.0%} of the time waited for data"
            words = [*self._words(done, now), f"{left} left", waited]
            logger.info("step %d/%d: %s", done.step, done.steps, ", ".join(words))
        if due:
            # The first batch is always waited for.
            if not is_first:
                self._warn(now)
            self._count = _Count(since_s=now)

    def validation(self, found: Validated) -> None:
        """Remember Dice for the next line, and write one for each channel."""
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

    def _words(self, done: StepDone, now: float) -> list[str]:
        dice = [] if self._dice is None else [f"Dice {self._dice:.3f}"]
        rate = self._count.patches / max(now - self._count.since_s, 1e-9)
        return [f"loss {done.loss:.4f}", *dice, f"{rate:.3g} patches/s"]

    def _seconds(self, now: float) -> float:
        """Seconds of a step."""
        return (now - self._count.since_s) / self._count.steps

    def _waiting(self, now: float) -> float:
        """Share of the time in which the device waited for data, 0 to 1."""
        return min(1.0, self._count.waited_s / max(now - self._count.since_s, 1e-9))

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
