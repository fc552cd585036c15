"""One try at a case: what the steps of its way add to, and who watches."""

from collections.abc import Callable
from dataclasses import dataclass, field

from inference.planning.plan import InferencePlan
from inference.sliding_window.member_votes import Ballot
from inference.sliding_window.order import WindowCount
from inference.timing import Timings

Progress = Callable[[int, int], None]
"""Takes how many windows are done, run or skipped, and how many there are at most."""


@dataclass(kw_only=True)
class Attempt:
    """One try at a case, and what it was warned of."""

    plan: InferencePlan
    """As made from the image's header."""
    timings: Timings
    reserved_mb: float
    """MiB of the host's budget that others hold meanwhile."""
    progress: Progress
    """Called from window to window; what it raises ends the case."""
    warnings: list[str]
    image_doubts: list[str] = field(default_factory=list)
    """Those of the warnings that make the image doubtful."""
    windows: WindowCount = field(default_factory=WindowCount)
    ballots: list[Ballot] = field(default_factory=list)
    """What each of several members said by itself, in the last look at the region."""
    _most: int = field(default=0, init=False)

    def warn(self, warning: str) -> None:
        """Add a warning, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def begin_look(self, windows: int) -> None:
        """A look at the region begins, which takes so many windows at most."""
        self.ballots.clear()
        self._most = self.windows.seen + windows
        self._tell()

    def count_windows(self, run: int, skipped: int) -> None:
        """So many windows were run, so many skipped."""
        self.windows.run += run
        self.windows.skipped += skipped
        self._tell()

    def end_look(self) -> None:
        """The look is over, though fewer windows may have been looked at twice than was said."""
        if self.windows.seen < self._most:
            self.progress(self._most, self._most)

    def _tell(self) -> None:
        self.progress(self.windows.seen, self._most)
