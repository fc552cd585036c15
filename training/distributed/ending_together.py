"""How several processes of a run are ended from outside: all after the same step, whichever hears a signal.

Whoever pre-empts a job sends SIGTERM to all of its processes, or to torchrun, which passes it on, as it does
Ctrl-C; each hears it at another moment. What they heard goes round beside every step, in an exchange that
begins with the step and is over long before it: nobody waits for it. So a signal ends the step after that in
which it came, at the latest.
"""

import signal
from collections.abc import Callable
from functools import partial
from types import FrameType, TracebackType
from typing import Self

from leanseg.ending import ENDING, leave
from training.distributed.ranks import ALONE, Ranks


class EndTogether:
    """From the first `ask` to the end of `with`, signals that end a program are noted: all leave together.

    Before that there is nothing to keep, and others may wait long for one that reads or makes cases. Where a
    process is alone nothing is noted: a signal ends it as any program.

    Args:
        ranks: all processes of a run.
    """

    def __init__(self, ranks: Ranks = ALONE) -> None:
        self._ranks = ranks
        self._heard = 0
        """Number of the first signal that came; 0: none."""
        self._is_left = False
        self._asked: Callable[[], int] = lambda: 0
        self._restores: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Once they leave, another signal, as torchrun's after the cluster's, must not hinder them.
        while self._restores and not self._is_left:
            self._restores.pop()()

    def _hear(self) -> None:
        for number in ENDING:
            before = signal.getsignal(number)
            if before != signal.SIG_IGN:
                signal.signal(number, self._note)
                self._restores.append(partial(signal.signal, number, before))

    def _note(self, number: int, _: FrameType | None) -> None:
        self._heard = self._heard or number

    def ask(self) -> None:
        """Begin to ask all processes whether they heard a signal; all of them call it."""
        if self._ranks.world > 1 and not self._restores:
            self._hear()
        self._asked = self._ranks.find_max(self._heard)

    def leave_if_asked(self) -> None:
        """Leave if one had heard a signal when all were asked; all of them call it.

        Raises:
            KeyboardInterrupt: it was Ctrl-C.
            SystemExit: it was another.
        """
        number = self._asked()
        if number:
            self._is_left = True
            leave(number)

    def is_asked_of_any(self, some: Ranks) -> bool:
        """Whether one of some processes has heard a signal; these all call it, and leave nothing yet."""
        return any(some.gather(self._heard))
