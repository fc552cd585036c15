import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inference import command
from inference.cohort.cases import find_cases
from inference.cohort.folder import FolderRun
from inference.cohort.outcome import Outcome
from inference.cohort.progress import Console
from tests.inference.images import write_nifti
from tests.inference.predictors import Threshold, plan_with_room


@dataclass
class Bench:
    """An input and an output folder, a console that nobody sees, and the outcomes that were told of."""

    source: Path
    output: Path
    console: Console = field(default_factory=lambda: Console(io.StringIO(), io.StringIO()))
    outcomes: list[Outcome] = field(default_factory=list)
    debug: bool = False

    def put(self, names):
        """Write a small image under each name."""
        for name in names:
            write_nifti(self.source / f"{name}.nii.gz")

    def run(self, predictor=None, room_mb=1000.0, cases=None, **options):
        """Run the folder; returns every case's outcome, in the order of the cases, and the predictor."""
        cases, predictor = cases or find_cases(self.source), predictor or Threshold()
        common = {
            "output": self.output,
            "admit": lambda opened: plan_with_room(room_mb),
            "open_predictor": lambda first: predictor,
            "tell": self.tell,
            "progress": self.console.progress,
        }
        FolderRun(**(common | options)).run(cases)
        return self.all(), predictor

    def tell(self, outcome):
        self.outcomes.append(outcome)
        command._tell(outcome, self.console, organs=("liver", "spleen"), debug=self.debug)

    def all(self):
        """Every case's outcome; those that were not come to are "not run"."""
        return command._all(find_cases(self.source), self.outcomes)

    @property
    def statuses(self):
        return [outcome.status for outcome in self.all()]

    @property
    def written(self):
        return sorted(path.name for path in self.output.iterdir())

    @property
    def lines(self):
        return self.console._out.getvalue().splitlines(), self.console._err.getvalue().splitlines()


@pytest.fixture
def bench(tmp_path):
    for name in ("in", "out"):
        (tmp_path / name).mkdir()
    return Bench(tmp_path / "in", tmp_path / "out")
