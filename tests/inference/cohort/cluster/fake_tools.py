"""Tools for workers that need no network: their speed is known, and an image can kill them."""

import os
import signal
import threading
from dataclasses import dataclass

import numpy as np

from inference.cohort.cluster.warm_worker import Tools
from inference.errors import OutputError
from inference.postprocessing.runs import find_runs
from inference.trust.organ_figures import measure_organs
from model.labels import LabelSet
from tests.inference.predictors import plan_with_room, segmented

POISON = 666
"""A voxel of this value kills the worker that has the image on its device."""
STRUCTURES = LabelSet(name="two", ids={"liver": 1, "spleen": 3})
DOUBT = "liver in 2 large pieces"


@dataclass(frozen=True, kw_only=True)
class FakeTools:
    """Labels voxels above 100 as liver, in so many seconds, without a processor."""

    seconds: float = 0.0
    refuses: str = ""
    """What opening them raises as an `OutputError`, if anything."""

    def open(self):
        if self.refuses:
            raise OutputError(self.refuses)
        return Tools(
            predictor=FakeDevice(self.seconds),
            admit=lambda opened: plan_with_room(),
            structures=STRUCTURES.names,
        )


class FakeDevice:
    def __init__(self, seconds):
        self._seconds = seconds

    def predict(self, volume, plan=None, timings=None):
        if (volume.array == POISON).any():
            os.kill(os.getpid(), signal.SIGKILL)
        with timings.stage("networks"):
            threading.Event().wait(self._seconds)
            labels = (volume.array > 100).astype(np.uint8)
        organs = measure_organs(find_runs(labels, len(STRUCTURES.ids)), volume.geometry, STRUCTURES)
        return segmented(labels, timings=timings, organs=organs, doubts=(DOUBT,))

    def close(self):
        pass
