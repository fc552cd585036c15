"""How processes that work for a program begin, so that Ctrl-C is told of once, by the program."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker

from leanseg.ending import ENDING, held


@contextmanager
def starting_workers() -> Iterator[None]:
    """Start processes in a block of code that no signal interrupts, here or in them.

    One whose start is interrupted tells so in a traceback. They begin with signals blocked, until they call
    `begin_worker`.
    """
    # Python starts this helper with the first process of its kind, and unblocks signals after that.
    resource_tracker.ensure_running()
    with held():
        unmasked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, unmasked)


def begin_worker() -> None:
    """Leave Ctrl-C and a closed terminal to the parent of this process, and hear SIGTERM.

    A terminal sends them to all processes: the parent hears them, and ends this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
