"""Work for the second process of a watched run: a real folder run, which ends at one step of the case `b`."""

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from inference.cohort.cases import find_cases
from inference.cohort.folder import FolderRun
from tests.inference.images import voxels, write_nifti
from tests.inference.predictors import Threshold, plan_with_room

SLICES = {"a": 3, "b": 4, "c": 5}
"""Slices of each case's image, by which the predictor knows it."""
PATIENCE_S = 60.0


def put_cases(folder):
    """An image for each case."""
    for name, slices in SLICES.items():
        write_nifti(folder / f"{name}.nii.gz", voxels((5, 6, slices)))
    return find_cases(folder)


@dataclass(frozen=True, kw_only=True)
class DeadlyFolder:
    """A folder run whose process is killed when it comes to the case `b`, and not before `a` is on disk."""

    output: Path
    log: Path
    """A file that takes the name of each case that is segmented."""
    skip_existing: bool = False

    def __call__(self, cases, *, tell, begin):
        told = {case.path.name[0]: threading.Event() for case in cases}

        def written(outcome):
            tell(outcome)
            told[outcome.case.path.name[0]].set()

        def segmented(name):
            with self.log.open("a") as log:
                log.write(name)
            if name == "b":
                assert "a" not in told or told["a"].wait(PATIENCE_S)
                os.kill(os.getpid(), signal.SIGKILL)

        FolderRun(
            output=self.output,
            admit=lambda opened: plan_with_room(),
            open_predictor=lambda: Watched(segmented),
            tell=tell,
            begin=begin,
            written=written,
            skip_existing=self.skip_existing,
        ).run(cases)


class Watched(Threshold):
    """A predictor that says which case it segments."""

    def __init__(self, says):
        super().__init__()
        self.says = says

    def predict(self, volume, *given):
        sizes = {slices: name for name, slices in SLICES.items()}
        self.says(sizes[volume.geometry.size_zyx[0]])
        return super().predict(volume, *given)
