"""Work for the second process of a watched run: what becomes of a case stands in its name."""

import os
import signal
from contextlib import suppress

from inference.cohort.outcome import Outcome
from inference.errors import DeviceError


def work(cases, *, tell, begin, step):
    for case in cases:
        begin(case)
        what = case.path.stem.rpartition("-")[2]
        if what == "hangs":
            signal.pause()
        if what == "crashes":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "leaves":
            os._exit(3)
        if what == "device":
            raise DeviceError("the device is gone")
        if what == "fault":
            raise KeyError(what)
        tell(Outcome(case=case, status="segmented"))


def spoilt_by_its_end(cases, *, tell, begin, step):
    """Is ended while it loads a library, which makes an error of that."""
    begin(cases[0])
    with suppress(BaseException):
        signal.pause()
    raise ImportError("numpy cannot be loaded")


def slow_to_leave(cases, *, tell, begin, step):
    """Is ended while it works on the first case, whose result is on disk by then."""
    try:
        begin(cases[0])  # After which the end may come at any moment.
        signal.pause()
    finally:
        tell(Outcome(case=cases[0], status="segmented"))
