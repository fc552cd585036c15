"""`python -m inference cohort` with slow workers that die of one image; a program, for tests that kill it."""

import os
import signal
import sys
import threading
from dataclasses import dataclass, replace

from inference.__main__ import main
from inference.cohort.cluster.driver import seats, worker_processes
from inference.cohort.cluster.worker.warm_worker import BundleTools
from inference.commands import cohort

DEADLY_ZYX = (3, 5, 7)
"""An image of this size kills the worker that has it on its device."""
TAKES_S = 0.2
"""So long each case holds the device, beside what it computes, for others to strike."""


@dataclass(frozen=True, kw_only=True)
class DeadlyTools:
    inner: BundleTools

    def open(self):
        tools = self.inner.open()
        return replace(tools, predictor=DeadlyPredictor(tools.predictor))


class DeadlyPredictor:
    def __init__(self, predictor):
        self._predictor = predictor

    def predict(self, volume, plan=None, timings=None, reserved_mb=0.0):
        if volume.geometry.size_zyx == DEADLY_ZYX:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait(TAKES_S)
        return self._predictor.predict(volume, plan, timings, reserved_mb)

    def close(self):
        self._predictor.close()


def deadly_setup(call, room):
    setup = seats.setup_for(call, room)
    return replace(setup, tools=DeadlyTools(inner=setup.tools))


if __name__ == "__main__":
    from tests.inference.cohort.cluster import deadly_program  # Workers must find its classes by name.

    worker_processes.setup_for = cohort.setup_for = deadly_program.deadly_setup
    sys.exit(main(["cohort", *sys.argv[1:]]))
