import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path

import fsspec
import numpy as np
import pytest

from inference.cohort.cluster.driver.cohort_call import CohortCall
from inference.cohort.cluster.driver.worker_processes import Seat, WorkerProcesses
from inference.cohort.cluster.worker.warm_worker import WorkerSetup
from inference.cohort.progress import Console
from inference.commands.cohort import segment_cohort
from tests.inference.cohort.cluster.fake_tools import POISON, FakeTools
from tests.inference.cohort.cluster.in_process import InProcess
from tests.inference.images import voxels, write_nifti
from tests.places import ROOT


@dataclass
class Bench:
    """An input, an output, what was said, and workers with fake tools."""

    source: Path
    output: Path
    bundle: Path
    tools: FakeTools = field(default_factory=FakeTools)
    workers: int = 2

    def put(self, *names, poison=()):
        """Write a small image under each name; those of `poison` kill who segments them."""
        for name in (*names, *poison):
            path = self.source / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            array = voxels()
            array[0, 0, 0] = POISON if name in poison else 0
            write_nifti(path, array)

    def call(self, **changes):
        common = {"input": str(self.source), "output": str(self.output), "bundle": self.bundle}
        return CohortCall(**(common | changes))

    def processes(self, call, console):
        """Workers of this machine."""
        return WorkerProcesses([Seat(setup=WorkerSetup(tools=self.tools, output=call.output))] * self.workers)

    def in_process(self, call, console):
        """Workers of this very process: quick, and nothing may kill them."""
        return InProcess([WorkerSetup(tools=self.tools, output=call.output)] * self.workers)

    def run(self, opens=None, **changes):
        """Run the cohort; its exit code, and the lines on stdout and stderr."""
        out, err = io.StringIO(), io.StringIO()
        code = segment_cohort(self.call(**changes), Console(out, err), opens or self.in_process)
        return code, out.getvalue().splitlines(), err.getvalue().splitlines()

    @property
    def rows(self):
        """The table of outcomes, by case."""
        with (self.output / "outcomes.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len({row["case"] for row in rows}) == len(rows)
        return {row["case"]: row for row in rows}

    @property
    def statuses(self):
        return {case: row["status"] for case, row in self.rows.items()}

    @property
    def written(self):
        return sorted(path.relative_to(self.output).as_posix() for path in self.output.rglob("*.nii.gz"))

    def record(self, case):
        return json.loads((self.output / f"{case}.outcome.json").read_text(encoding="utf-8"))


@pytest.fixture
def bench(tmp_path):
    (tmp_path / "in").mkdir()
    return Bench(source=tmp_path / "in", output=tmp_path / "out", bundle=ROOT / "bundles" / "default")


@pytest.fixture
def memory():
    """A file system behind URLs, which lives in this process."""
    files = fsspec.filesystem("memory")
    yield files
    files.store.clear()
    files.pseudo_dirs[:] = [""]


def bright_ml():
    """mL of what the fake tools label in a small image of 2 x 3 x 4 mm."""
    return float(np.count_nonzero(voxels() > 100)) * 24 / 1000
