"""What people see of a cohort while it runs: how far, how fast, how long, what failed, how busy."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from inference.cohort.cluster.cohort_results import OUTCOME_SUFFIX
from inference.cohort.cluster.driver.cohort_run import Standing
from inference.cohort.cluster.fates import Fate
from inference.cohort.outcome import look_at
from inference.cohort.progress import Console
from model.case_names import printable

SAYS_S = 60.0
"""Seconds between two lines where there is no terminal to draw on."""
WINDOW = 200
"""Cases over which the rate is taken."""
MOST_NAMED = 3
"""Cases that failed in earlier runs are named up to so many."""
SHOWN = 8
"""Workers whose busy share is shown one by one; of more, the mean and the least."""


class LiveView:
    """Draws on a terminal, and says a line a minute elsewhere."""

    def __init__(
        self, console: Console, standing: Standing, *, draws: bool, as_typed: Callable[[str], str] = str
    ) -> None:
        self._console = console
        self._standing = standing
        self._draws = draws
        self._as_typed = as_typed
        """Gives paths in messages the form that the user gave them."""
        self._said_s = time.monotonic()
        self._ends_s = deque([time.monotonic()], maxlen=WINDOW)

    def tell(self, fate: Fate) -> None:
        """A case met its fate: failures, warnings and doubts are said, the rest is counted."""
        self._ends_s.append(time.monotonic())
        if fate.status == "failed":
            where = f"; its traceback is in {fate.case}{OUTCOME_SUFFIX}" if fate.trace else ""
            self._console.complain(f"error: {printable(self._as_typed(fate.reason) + where)}")
        for warning in fate.warnings:
            self._console.complain(f"warning: {printable(fate.case)}: {printable(self._as_typed(warning))}")
        if fate.doubts:
            told = look_at(fate.doubts, rest=fate.case + OUTCOME_SUFFIX)
            self._console.complain(f"warning: {printable(fate.case)}: {printable(told)}")

    def progress(self) -> None:
        """Draw, or say, how far the run is."""
        standing, now_s = self._standing, time.monotonic()
        if self._draws:
            self._console.progress(standing.done, standing.total, self.line(now_s))
        elif now_s - self._said_s > SAYS_S:
            self._said_s = now_s
            self._console.say(f"{standing.done}/{standing.total} {self.line(now_s)}")

    def line(self, now_s: float) -> str:
        """`12.3/min, 4 h 10 min left, 3 failed, busy 97 95 %`."""
        parts = []
        span_s = now_s - self._ends_s[0]
        if len(self._ends_s) > 1 and span_s > 0:
            rate = (len(self._ends_s) - 1) / span_s
            left = self._standing.total - self._standing.done
            parts += [f"{60 * rate:.3g}/min", f"{duration(left / rate)} left"]
        if self._standing.failed:
            parts.append(f"{self._standing.failed} failed")
        shares = [worker.busy(now_s) for worker in self._standing.workers.values() if worker.is_there]
        if len(shares) > SHOWN:
            mean = sum(shares) / len(shares)
            parts.append(f"{len(shares)} workers busy {mean:.0%}, the least {min(shares):.0%}")
        elif shares:
            parts.append(f"busy {' '.join(f'{100 * share:.0f}' for share in shares)} %")
        return ", ".join(parts)


def summary(standing: Standing, failed_before: Sequence[str], seconds: float) -> str:
    """`20 cases: 15 segmented, 1 failed, 4 done before; 3 min`.

    Args:
        standing: of the run.
        failed_before: cases that failed in runs before it and count for its exit code, though nothing was
            said of them: `4 done before, of which 1 failed (p2/bad); 3 min; try again with --retry-failed`.
        seconds: that it took.
    """
    counts = {
        f"segmented{f' ({standing.doubtful} doubtful)' if standing.doubtful else ''}": standing.segmented,
        "failed": standing.failed,
        "skipped": standing.skipped,
        "done before": len(standing.earlier),
    }
    parts = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    cases = f"{standing.total} case{'s' * (standing.total != 1)}"
    remedy = ""
    if failed_before:
        more = len(failed_before) - MOST_NAMED
        named = [*map(printable, failed_before[:MOST_NAMED]), *([f"{more} more"] if more > 0 else [])]
        parts += f", of which {len(failed_before)} failed ({', '.join(named)})"
        remedy = "; try again with --retry-failed"
    return f"{cases}{f': {parts}' if parts else ''}; {duration(seconds)}{remedy}"


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `4 h 10 min`, `3 d 4 h`.

    >>> [duration(s) for s in (40, 725, 15000, 273600)]
    ['40 s', '12 min', '4 h 10 min', '3 d 4 h']
    """
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes % 1440 // 60} h"
