"""Tools for workers that need no network: their speed is known, and an image can kill them."""

import os
import signal
import threading
from dataclasses import dataclass, replace

import numpy as np

from inference.cohort.cluster.worker.warm_worker import Tools
from inference.cohort.further_results import further_results
from inference.errors import OutputError
from inference.imaging.dicom_results.maker import Maker
from inference.postprocessing.runs import find_runs
from inference.trust.organ_figures import measure_organs
from model.labels import LabelSet
from tests.inference.predictors import plan_with_room, segmented

POISON = 666
"""A voxel of this value kills the worker that has the image on its device."""
STRUCTURES = LabelSet(name="two", ids={"liver": 1, "spleen": 3})
MAKER = Maker(program="p", version="1", bundle="b", bundle_version="1", manifest_sha256="0" * 64)
DOUBT = "liver in 2 large pieces"


@dataclass(frozen=True, kw_only=True)
class FakeTools:
    """Labels voxels above 100 as liver, in so many seconds, without a processor."""

    seconds: float = 0.0
    refuses: str = ""
    """What opening them raises as an `OutputError`, if anything."""
    formats: tuple[str, ...] = ()
    """What is written beside label maps."""
    figures_unit: str | None = None
    doubts: tuple[str, ...] = ()
    """What makes every result doubtful."""
    crumbs: bool = False
    """Whether what is found is too little to be an organ."""
    bundle_sha256: str = ""

    def open(self):
        if self.refuses:
            raise OutputError(self.refuses)
        further = further_results(self.formats, STRUCTURES, MAKER, None, 1)

        def admit(opened):
            if further is not None:
                further.check(opened.case, opened.images[0])
            return plan_with_room()

        return Tools(
            predictor=FakeDevice(self.seconds, self.doubts, crumbs=self.crumbs),
            admit=admit,
            structures=STRUCTURES.names,
            bundle_sha256=self.bundle_sha256,
            further=further,
            figures_unit=self.figures_unit,
        )


class FakeDevice:
    def __init__(self, seconds, doubts=(), *, crumbs=False):
        self._seconds = seconds
        self._doubts = doubts
        self._crumbs = crumbs

    def predict(self, volume, plan=None, timings=None, reserved_mb=0.0):
        if (volume.array == POISON).any():
            os.kill(os.getpid(), signal.SIGKILL)
        with timings.stage("networks"):
            threading.Event().wait(self._seconds)
            labels = (volume.array > 100).astype(np.uint8)
        organs = measure_organs(find_runs(labels, len(STRUCTURES.ids)), volume.geometry, STRUCTURES)
        organs = tuple(replace(organ, crumb=self._crumbs) for organ in organs)
        return segmented(labels, timings=timings, organs=organs, doubts=self._doubts)

    def close(self):
        pass
