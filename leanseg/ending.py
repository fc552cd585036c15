"""How a program is ended from outside: Ctrl-C, SIGTERM, SIGHUP leave it as exceptions do; none is lost.

So unfinished files are removed, and programs that were started are ended, on the way. But an exception that
falls into the loading of a C extension comes out as an ImportError, and one that falls into what C calls back
may not come out at all. Therefore the signal is remembered: whatever the program ends with afterwards, short
of having done its work, is the interruption; and while no exception of it is on its way, it is raised again.
And one that falls into Python's own code for threads may leave a lock taken that is never given back, or a
thread that nobody knows of, on which the program would wait at its end: there it waits a moment instead.
Who makes a message or a result of an error asks `is_ended` first, and passes the error on if so.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import NoReturn

TERMINATED = 128 + signal.SIGTERM
"""Exit code of a program that SIGTERM ended, as shells have it."""

ENDING = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
"""Signals that end a program, and what it says then. SIGHUP comes when its terminal is closed."""

AGAIN_S = 0.5
"""How often it is looked whether an interruption was lost."""

SOON_S = 0.01
"""When an interruption is raised that had to wait, or waits again."""

NOT_TO_BE_LEFT = {
    "threading": {"Condition.__enter__", "Condition.__exit__", "Thread.start"},
    "concurrent.futures._base": {"_AcquireFutures.__enter__", "_AcquireFutures.__exit__"},
    "concurrent.futures.thread": {"ThreadPoolExecutor.submit"},
}
"""Functions of Python's modules that take or give back a lock for their caller, or make a thread known.

They are short, unlike those that wait for others, which stand an exception.
"""


class _Signals:
    """What has come while one `until_ended` ran."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The first that came."""
        self.is_over = False
        """The program has left its work, and nothing is raised any more."""
        self.is_held = False
        """Nothing is raised at the moment."""
        self._restores: list[Callable[[], object]] = []
        """What handles signals as before, the last first."""

    def handle(self) -> None:
        """Remember and raise from now on. A signal that is ignored stays so."""
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) != signal.SIG_IGN:
                    self._set(number, self._leave)

    def restore(self) -> None:
        """Handle signals as before."""
        if self.number is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        while self._restores:
            self._restores.pop()()

    def _set(self, number: int, handler: Callable[[int, FrameType | None], None]) -> None:
        self._restores.append(partial(signal.signal, number, signal.getsignal(number)))
        signal.signal(number, handler)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        # A terminal that closes may tell of it twice, and the second time must not end the tidying up.
        if self.is_over or (number == signal.SIGHUP and self.number is not None):
            return
        if self.number is None:
            self.number = number
            self._set(signal.SIGALRM, self._look)
            self._tell_nothing_of_what_is_raised_again()
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
        if _must_not_be_left(frame):
            signal.setitimer(signal.ITIMER_REAL, SOON_S, AGAIN_S)
        elif not self.is_held:
            self.leave()

    def _tell_nothing_of_what_is_raised_again(self) -> None:
        before = sys.unraisablehook

        def tell(lost: "sys.UnraisableHookArgs") -> None:
            if not issubclass(lost.exc_type, KeyboardInterrupt | SystemExit):
                before(lost)

        self._restores.append(partial(setattr, sys, "unraisablehook", before))
        sys.unraisablehook = tell

    def _look(self, _: int, frame: FrameType | None) -> None:
        """Raise the interruption again where it was lost: nothing that is being handled came of it."""
        if self.is_over:
            return
        if _must_not_be_left(frame):
            signal.setitimer(signal.ITIMER_REAL, SOON_S, AGAIN_S)
            return
        handled = sys.exception()
        while handled is not None and not isinstance(handled, KeyboardInterrupt | SystemExit):
            handled = handled.__context__
        if handled is None and not self.is_held:
            self.leave()

    def leave(self) -> None:
        """Raise what the signal stands for."""
        leave(self.number or signal.SIGINT)


def _must_not_be_left(frame: FrameType | None) -> bool:
    """Whether what runs in a frame is a part of one of `NOT_TO_BE_LEFT`."""
    while frame is not None:
        if frame.f_code.co_qualname in NOT_TO_BE_LEFT.get(frame.f_globals.get("__name__", ""), ()):
            return True
        frame = frame.f_back
    return False


_signals = _Signals()


def leave(number: int) -> NoReturn:
    """Leave a program as a signal does.

    Args:
        number: of the signal, one of `ENDING`.

    Raises:
        KeyboardInterrupt: for Ctrl-C.
        SystemExit: for the others, with the exit code.
    """
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def end_at_once() -> None:
    """Have signals end this program with no exception while it starts: there is nothing to tidy up yet.

    To be called before anything else is imported: an exception may be lost in that, too. As the first process
    of a container a program hears only of signals that it has handlers for.
    """
    for number in ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: os._exit(128 + number))


def is_ended() -> bool:
    """Whether a signal has asked this program to end, so that an error may be what became of it."""
    return _signals.number is not None


@contextmanager
def held() -> Iterator[None]:
    """Have an interruption wait for the end of a block of code that must not be left half done."""
    signals, earlier = _signals, _signals.number
    signals.is_held = True
    try:
        yield
    finally:
        signals.is_held = False
    if signals.number != earlier:
        signals.leave()


def until_ended(work: Callable[[], int], *, told: str = "") -> int:
    """Do a program's work until it is done or ended by Ctrl-C, SIGTERM or SIGHUP.

    A signal that is ignored stays so, as Ctrl-C is by what a script started in the background, and SIGHUP
    under `nohup`.

    Args:
        work: gives the exit code.
        told: line on stderr after a signal, if any, with `{}` for what it did ("interrupted"). Notes that
            were added to the exception follow, each after a semicolon.

    Returns:
        The work's exit code; 129, 130 or 143 after a signal, unless all was done nevertheless (0).

    Raises:
        BaseException: what the work raises where no signal came. KeyboardInterrupt, SystemExit(143) and
            SystemExit(129) count as if one had.
    """
    global _signals
    outer, _signals = _signals, _Signals()
    try:
        return _ended(work, _signals, told)
    finally:
        _signals.restore()
        _signals = outer


def _ended(work: Callable[[], int], signals: _Signals, told: str) -> int:
    notes: list[str] = []
    try:
        try:
            signals.handle()
            code = work()
        finally:
            signals.is_over = True
    except BaseException as error:
        code, number = 1, signals.number or signal_of(error)
        if number is None:
            raise
        notes = getattr(error, "__notes__", [])
    else:
        number = signals.number
    if number is None or code == 0:
        return code
    if told:
        with suppress(OSError):  # A terminal that was closed.
            sys.stderr.write("; ".join([told.format(ENDING[signal.Signals(number)]), *notes]) + "\n")
    return 128 + number


def signal_of(error: BaseException) -> int | None:
    """The signal that an exception stands for, one of `ENDING`; None where it stands for none."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    codes = {128 + number: number for number in (signal.SIGTERM, signal.SIGHUP)}
    return codes.get(error.code) if isinstance(error, SystemExit) and isinstance(error.code, int) else None
