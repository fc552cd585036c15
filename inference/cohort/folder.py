"""A folder of cases: the next one is read while one is segmented, the last one is written in the background.

Whatever happens to one case is its own affair: the others go on. Only an output folder that cannot be written
any more and a device that does not work end the run.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from inference.cohort.cases import Case
from inference.cohort.one_case import (
    Admit,
    Failure,
    OpenedCase,
    Predicts,
    attempt,
    failed_step,
    open_case,
    write_case,
)
from inference.cohort.outcome import Outcome, failed
from inference.errors import one_line, printable
from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.planning.footprint import image_mb
from inference.planning.plan import InferencePlan
from inference.predictor import Segmented
from inference.timing import Timings

Tell = Callable[[Outcome], None]
"""Takes each outcome as soon as it is known, in the order of the cases."""
Progress = Callable[[int, int, str], None]
"""Takes how many cases are done, of how many, and the name of the one that is begun."""


@dataclass(kw_only=True)
class _Coming:
    """A case that was opened, and perhaps is being read."""

    case: Case
    timings: Timings = field(default_factory=Timings)
    opened: OpenedCase | None = None
    plan: InferencePlan | None = None
    failure: Failure | None = None
    """Why it cannot be read or run."""
    reading: "Future[Volume | Failure] | None" = None

    @property
    def image_mb(self) -> float:
        """MiB that its voxels are expected to take; 0 where it cannot be read."""
        if self.opened is None or self.failure:
            return 0.0
        return image_mb(self.opened.geometry.size_zyx, self.opened.voxel_bytes)

    @property
    def geometry(self) -> Geometry | None:
        """Its grid; None where its header could not be read."""
        return None if self.opened is None else self.opened.geometry

    def read(self) -> Volume | Failure:
        """Its voxels, or why there are none."""
        opened, failure = self.opened, self.failure
        if failure is not None:
            return failure
        assert opened is not None, "a case that was not opened has failed"
        return attempt(self.case, lambda: opened.read(self.timings))


@dataclass(frozen=True, kw_only=True)
class FolderRun:
    """How a folder of cases is run."""

    output: Path
    """An existing folder."""
    admit: Admit
    """Plans a case from its header."""
    open_predictor: Callable[[], Predicts]
    """Makes the predictor; called once, while the first case is read."""
    tell: Tell
    progress: Progress
    skip_existing: bool = False
    """Leave out cases whose result is there."""

    def run(self, cases: Sequence[Case]) -> None:
        """Segment cases one after another and write their label maps.

        Raises:
            OutputError: a result could not be written; those before it are whole.
            DeviceError: the device that was asked for does not work; the results before it are whole.
        """
        todo = []
        for case in cases:
            if case.problem:
                self.tell(failed(case, case.problem))
            elif self.skip_existing and (self.output / case.output_name).exists():
                self.tell(Outcome(case=case, status="skipped"))
            else:
                todo.append(case)
        if todo:
            self._work(todo)

    def _work(self, todo: Sequence[Case]) -> None:
        """The assembly line: one thread reads, this one segments, one writes."""
        with ThreadPoolExecutor(1) as reader, _Writing(self.output, self.tell) as writing:
            first = self._open(todo[0])
            first.reading = reader.submit(first.read)
            following: _Coming | None = first
            predictor = self.open_predictor()
            for done, case in enumerate(todo):
                self.progress(done, len(todo), case.path.name)
                coming, following = following, None
                assert coming is not None, "each case is opened while the one before it is segmented"
                volume = coming.reading.result() if coming.reading else coming.read()
                coming.reading = None
                if done + 1 < len(todo):
                    following = self._open(todo[done + 1])
                room = _room_mb(coming, volume) - (following.image_mb if following else 0.0)
                if room < writing.labels_mb:
                    writing.settle()
                if following and room >= 0 and not isinstance(volume, Failure):
                    following.reading = reader.submit(following.read)
                result = self._segment(coming, volume, predictor)
                notes = () if isinstance(volume, Failure) else volume.warnings
                volume = None  # type: ignore[assignment]  # Gone before the next one is read, where room is short.
                writing.settle()
                writing.submit(coming, notes, result)
                result = None  # type: ignore[assignment]  # The writer alone holds the labels from here on.
            predictor.close()
        self.progress(len(todo), len(todo), "")

    def _open(self, case: Case) -> _Coming:
        """Read a case's header and plan it."""
        opened = attempt(case, lambda: open_case(case))
        if isinstance(opened, Failure):
            return _Coming(case=case, failure=opened)
        plan = attempt(case, lambda: self.admit(opened))
        if isinstance(plan, Failure):
            return _Coming(case=case, opened=opened, failure=plan)
        return _Coming(case=case, opened=opened, plan=plan)

    def _segment(self, coming: _Coming, volume: Volume | Failure, predictor: Predicts) -> Segmented | Failure:
        if isinstance(volume, Failure):
            return volume
        return attempt(coming.case, lambda: predictor.predict(volume, coming.plan, coming.timings))


class _Writing:
    """The case that is being written: one thread writes, and its outcome is told when it is on disk."""

    def __init__(self, output: Path, tell: Tell) -> None:
        self._output = output
        self._tell = tell
        self._pool = ThreadPoolExecutor(1)
        self._pending: Future[Outcome] | None = None
        self._case: tuple[_Coming, tuple[str, ...]] | None = None
        self.labels_mb = 0.0
        """MiB of the label map that is being written."""

    def __enter__(self) -> "_Writing":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.settle()
        finally:
            self._pool.shutdown()

    def submit(self, coming: _Coming, notes: tuple[str, ...], result: Segmented | Failure) -> None:
        """Begin to write a case's label map; tell of a failure when its turn comes.

        Raises:
            DeviceError: the device does not work; the case's outcome was told.
        """
        case, geometry = coming.case, coming.geometry
        if isinstance(result, Failure):
            self._tell(failed_step(case, result, coming.timings, geometry))
            if result.ends_run is not None:
                raise result.ends_run
            return
        assert geometry is not None, "a case that was segmented was read"
        self.labels_mb = image_mb(geometry.size_zyx, 1)
        self._case = coming, (*notes, *result.warnings)
        self._pending = self._pool.submit(write_case, case, geometry, notes, result, self._output)

    def settle(self) -> None:
        """Wait for the last case's result to be on disk, and tell about it.

        Raises:
            OutputError: it could not be written.
        """
        pending, about = self._pending, self._case
        self._pending = self._case = None
        self.labels_mb = 0.0
        if pending is None or about is None:
            return
        coming, notes = about
        try:
            self._tell(pending.result())
        except Exception as error:
            reason = printable(one_line(error))
            self._tell(
                Outcome(
                    case=coming.case,
                    status="failed",
                    error=reason,
                    ends_run=True,
                    warnings=notes,
                    timings=coming.timings,
                    geometry=coming.geometry,
                )
            )
            raise


def _room_mb(coming: _Coming, volume: Volume | Failure) -> float:
    """MiB of the host's budget that a case leaves to others, such as the next one."""
    if isinstance(volume, Failure) or coming.opened is None or coming.plan is None:
        return 0.0
    more = volume.voxel_bytes - coming.opened.voxel_bytes
    return coming.plan.spare_mb - image_mb(volume.geometry.size_zyx, max(0, more))
