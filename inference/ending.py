"""How a program is ended from outside: SIGTERM leaves as an exception does.

So unfinished files are removed, and programs that were started are ended, on the way.
"""

import signal
from types import FrameType

TERMINATED = 128 + signal.SIGTERM
"""Exit code of a program that SIGTERM ended, as shells have it."""


def leave(signum: int, frame: FrameType | None) -> None:
    """A handler of signals that ends the program.

    Raises:
        SystemExit: always, with 128 and the signal's number.
    """
    raise SystemExit(128 + signum)
