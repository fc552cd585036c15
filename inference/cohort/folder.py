"""A folder of cases, on the assembly line: what is there already is left out, progress is told."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from inference.cohort.assembly_line import AssemblyLine, OpenPredictor, Step, Tell
from inference.cohort.cases import Case
from inference.cohort.further_results import FurtherResults
from inference.cohort.one_case import Admit, FailedCase, PreparedCase, prepare_case, written_case
from inference.cohort.outcome import Outcome, failed
from inference.errors import InputError
from inference.geometry import same_grid
from inference.imaging.reading import open_image
from inference.imaging.writing import holds_whole_labels
from inference.segmented import Segmented

Progress = Callable[[int, int, str], None]
"""Takes how many cases are done, of how many, and the name of the one that is begun."""
Begin = Callable[[Case], None]
"""Takes each case when it is begun."""

OTHER_GRID = "the label map that is there lies on another grid than the image; the case is segmented anew"


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, kw_only=True)
class FolderRun:
    """How a folder of cases is run."""

    output: Path
    """An existing folder."""
    admit: Admit
    """Plans a case from its header."""
    open_predictor: OpenPredictor
    tell: Tell
    progress: Progress = _ignore
    begin: Begin = _ignore
    written: Tell = _ignore
    """Told of each case as soon as its result is on disk, by another thread; `tell` hears of it too."""
    step: Step = nullcontext
    skip_existing: bool = False
    """Leave out cases whose results are there, whole, and on the image's grid."""
    further: FurtherResults | None = None
    """What is written beside each label map."""

    def run(self, cases: Sequence[Case]) -> None:
        """Segment cases one after another and write their label maps.

        Raises:
            OutputError: a result could not be written; those before it are whole.
            DeviceError: the device that was asked for does not work; the results before it are whole.
        """
        todo = []
        for case in cases:
            with self.step(case):
                if case.problem:
                    self.tell(failed(case, case.problem))
                elif not self.skip_existing or not self._has_results(case):
                    todo.append(case)
                elif _lies_on_grid(self.output / case.output_name, case):
                    self.tell(Outcome(case=case, status="skipped"))
                else:
                    todo.append(replace(case, warnings=(*case.warnings, OTHER_GRID)))
        if todo:
            self._work(todo)

    def _has_results(self, case: Case) -> bool:
        label_map = self.output / case.output_name
        return (self.further is None or self.further.are_there(label_map)) and holds_whole_labels(label_map)

    def _work(self, todo: Sequence[Case]) -> None:
        waiting, done = iter(todo), count()

        def take(wait: bool) -> PreparedCase | FailedCase | None:
            if (case := next(waiting, None)) is None:
                return None
            with self.step(case):
                return prepare_case(case, self.admit)

        def begin(case: Case) -> None:
            self.progress(next(done), len(todo), case.path.name)
            self.begin(case)

        def write(prepared: PreparedCase, segmented: Segmented) -> Outcome:
            return written_case(prepared, segmented, self.output / prepared.case.output_name, self.further)

        AssemblyLine(
            take=take,
            open_predictor=self.open_predictor,
            write=write,
            tell=self.tell,
            begin=begin,
            written=self.written,
            step=self.step,
        ).run()
        self.progress(len(todo), len(todo), "")


def _lies_on_grid(label_map: Path, case: Case) -> bool:
    """Whether a label map has its voxels where the case's image has them, judged by both headers.

    An image may have been replaced by another of the same name. One that cannot be read is not left out, so
    that it is told of. A DICOM series is taken at its word, as it has a header for each slice; but for one
    that is named, as the label map may be another's of the same folder.
    """
    if case.path.is_dir() and case.series is None:
        return True
    try:
        image = open_image(case.path, case.expected[0], case.series)
        return same_grid(open_image(label_map).geometry, image.geometry)
    except InputError:
        return False
