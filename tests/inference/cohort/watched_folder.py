"""Work for the second process of a watched run: a real folder run, which ends at one step of the case `b`."""

import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from inference.cohort import folder, one_case
from inference.cohort.cases import Case, find_cases
from inference.cohort.folder import FolderRun
from inference.imaging import reading
from inference.imaging.reading import open_image
from inference.imaging.writing import write_labels
from tests.inference.images import voxels, write_nifti
from tests.inference.predictors import Threshold, plan_with_room

SLICES = {"a": 3, "b": 4, "c": 5}
"""Slices of each case's image, by which the predictor knows it."""
PATIENCE_S = 60.0
JUMPS = []
"""As many as this process has heard of others that hang."""

Moment = Literal["looked at", "opened", "read", "segmented", "written"]


class Jump:
    """A path that makes an entry in `JUMPS` of the process that it is sent to."""

    def __reduce__(self):
        return _jumped, ()


def _jumped():
    JUMPS.append("hangs")
    return Path("jump")


def put_cases(source):
    """An image for each case."""
    for name, slices in SLICES.items():
        write_nifti(source / f"{name}.nii.gz", voxels((5, 6, slices)))
    return find_cases(source)


@dataclass(frozen=True, kw_only=True)
class DeadlyFolder:
    """A folder run whose process gets no further than to one moment of the case `b`.

    What is done beside that is under way just then: `a` is segmented while `b` is read, and `c` while `b` is
    written. When `b` is segmented, `a` is on disk and `c` has been read.
    """

    output: Path
    log: Path
    """A file that takes the name of each case that is segmented."""
    moment: Moment = "segmented"
    hangs: bool = False
    """Whether the process hangs then, instead of being killed."""
    skip_existing: bool = False

    def __call__(self, cases, *, tell, begin, step):
        run = Run(self, {name_of(case) for case in cases}, step)

        def begin_and_note(case):
            begin(case)
            run.note(name_of(case), "begun")

        def written(outcome):
            tell(outcome)
            run.note(name_of(outcome.case), "told")

        reading.open_image, one_case.write_labels = run.open, run.write
        folder.open_image = run.look_at
        FolderRun(
            output=self.output,
            admit=lambda opened: plan_with_room(),
            open_predictor=lambda first: Watched(run.segment),
            tell=tell,
            begin=begin_and_note,
            step=run.step,
            written=written,
            skip_existing=self.skip_existing,
        ).run(cases)


def name_of(case):
    return case.path.name[0]


class Run:
    """What a folder run does at each moment of a case; what has happened is noted, and waited for."""

    def __init__(self, setup, names, step):
        self._setup = setup
        self._names = names
        self._step = step
        self._noted = set()
        self._changed = threading.Condition()

    def note(self, *what):
        with self._changed:
            self._noted.add(what)
            self._changed.notify_all()

    def wait(self, name, what):
        """Wait for something that happens to a case, if that is run at all."""
        with self._changed:
            assert name not in self._names or self._changed.wait_for(
                lambda: (name, what) in self._noted, PATIENCE_S
            )

    @contextmanager
    def step(self, case):
        with self._step(case):
            yield
        if (name_of(case), "has voxels") in self._noted:
            self.note(name_of(case), "was read")

    def open(self, path, *given):
        name = path.name[0]
        self._come_to(name, "opened")
        image = open_image(path, *given)

        def read():
            if name == "b":
                self.wait("a", "segmented")
                self.wait("a" if "a" in self._names else "b", "begun")
            self._come_to(name, "read")
            self.note(name, "has voxels")
            return image.read()

        return replace(image, read=read)

    def segment(self, name):
        with self._setup.log.open("a") as log:
            log.write(name)
        self.note(name, "segmented")
        if name == "b":
            self.wait("a", "told")
            self.wait("c", "was read")
        self._come_to(name, "segmented")
        if (name, self._setup.moment) in (("a", "read"), ("c", "written")) and "b" in self._names:
            threading.Event().wait()

    def write(self, path, labels, geometry):
        name = path.name[0]
        if name == "b":
            self.wait("c", "segmented")
        self._come_to(name, "written")
        write_labels(path, labels, geometry)

    def look_at(self, path, *given):
        self._come_to(path.name[0], "looked at")
        return open_image(path, *given)

    def _come_to(self, name, moment):
        if (name, moment) != ("b", self._setup.moment):
            return
        if not self._setup.hangs:
            os.kill(os.getpid(), signal.SIGKILL)
        with self._step(Case(path=Jump(), output_name="")):
            threading.Event().wait()


class Watched(Threshold):
    """A predictor that says which case it segments."""

    def __init__(self, says):
        super().__init__()
        self.says = says

    def predict(self, volume, *given):
        sizes = {slices: name for name, slices in SLICES.items()}
        self.says(sizes[volume.geometry.size_zyx[0]])
        return super().predict(volume, *given)
