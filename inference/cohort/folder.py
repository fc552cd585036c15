"""A folder of cases: the next one is read while one is segmented, the last one is written in the background.

Whatever happens to one case is its own affair: the others go on. Only an output folder that cannot be written
any more and a device that does not work end the run.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from inference.cohort.cases import Case
from inference.cohort.further_results import COST, FurtherResults
from inference.cohort.one_case import (
    Admit,
    Failure,
    Predicts,
    PreparedCase,
    finish_case,
    predict_case,
    prepare_case,
)
from inference.cohort.outcome import Outcome, failed
from inference.errors import OutputError, one_line, printable
from inference.imaging.volume import Volume
from inference.imaging.writing import holds_whole_labels
from inference.planning.footprint import image_mb
from inference.predictor import Segmented

Tell = Callable[[Outcome], None]
"""Takes each outcome as soon as it is known, in the order of the cases."""
Progress = Callable[[int, int, str], None]
"""Takes how many cases are done, of how many, and the name of the one that is begun."""
Begin = Callable[[Case], None]
"""Takes each case when it is begun."""


def _ignore(*_: object) -> None:
    """Nobody wants to know."""


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
    progress: Progress = _ignore
    begin: Begin = _ignore
    skip_existing: bool = False
    """Leave out cases whose results are there, and whole."""
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
            if case.problem:
                self.tell(failed(case, case.problem))
            elif self.skip_existing and self._is_done(case):
                self.tell(Outcome(case=case, status="skipped"))
            else:
                todo.append(case)
        if todo:
            self._work(todo)

    def _is_done(self, case: Case) -> bool:
        further = self.further is None or self.further.are_there(case, self.output)
        return further and holds_whole_labels(self.output / case.output_name)

    def _work(self, todo: Sequence[Case]) -> None:
        """The assembly line: one thread reads, this one segments, one writes."""
        with ThreadPoolExecutor(1) as reader, _Writing(self.output, self.tell, self.further) as writing:
            first = prepare_case(todo[0], self.admit)
            following: PreparedCase | None = first
            reading: Future[Volume | Failure] | None = reader.submit(first.read)
            predictor = self.open_predictor()
            for done, case in enumerate(todo):
                self.progress(done, len(todo), case.path.name)
                self.begin(case)
                prepared, following = following, None
                assert prepared is not None, "each case is prepared while the one before it is segmented"
                volume: Volume | Failure | None = reading.result() if reading else prepared.read()
                reading = None
                assert volume is not None
                if done + 1 < len(todo):
                    following = prepare_case(todo[done + 1], self.admit)
                room = _room_mb(prepared, volume) - (following.image_mb if following else 0.0)
                if room < writing.labels_mb:
                    writing.settle()
                if following and room >= 0 and not isinstance(volume, Failure):
                    reading = reader.submit(following.read)
                result: Segmented | Failure | None = predict_case(prepared, volume, predictor)
                volume = None  # Gone before the next one is read, where there is room for one alone.
                assert result is not None
                writing.submit(prepared, result)
                result = None  # The writer alone holds the labels from here on.
            predictor.close()
        self.progress(len(todo), len(todo), "")


class _Writing:
    """The case that is being written: one thread writes, and its outcome is told when it is on disk."""

    def __init__(self, output: Path, tell: Tell, further: FurtherResults | None) -> None:
        self._output = output
        self._further = further
        self._tell = tell
        self._pool = ThreadPoolExecutor(1)
        self._pending: tuple[PreparedCase, tuple[str, ...], Future[Outcome]] | None = None
        self.labels_mb = 0.0
        """MiB of the label map that is being written, and of what is written beside it."""

    def __enter__(self) -> "_Writing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Finish what was begun. What ended the run first is what the caller hears of."""
        try:
            self._finish()
        except OutputError:
            if error is None:
                raise
        except (KeyboardInterrupt, SystemExit):
            self._finish()
            raise

    def _finish(self) -> None:
        self._pool.shutdown()
        if self._pending is not None and not self._pending[2].done():
            self._pending = None  # Interrupted before it was begun.
        self.settle()

    def submit(self, prepared: PreparedCase, result: Segmented | Failure) -> None:
        """Wait for the case before this one, then begin to write this one's label map, or tell why it failed.

        Raises:
            OutputError: the case before this one could not be written; the outcomes of both were told, unless
                this one was segmented.
            DeviceError: the device does not work; the case's outcome was told.
        """
        try:
            self.settle()
        finally:
            if isinstance(result, Failure):
                self._tell(finish_case(prepared, result, self._output))
        if isinstance(result, Failure):
            if result.ends_run is not None:
                raise result.ends_run
            return
        assert prepared.geometry is not None, "a case that was segmented was opened"
        more = 0 if self._further is None else COST.voxel_bytes
        self.labels_mb = image_mb(prepared.geometry.size_zyx, 1 + more)
        # Known before it is begun: who is interrupted while the pool starts its thread, which may have
        # written the file by then, must still tell of it.
        future: Future[Outcome] = Future()
        self._pending = prepared, result.warnings, future
        self._pool.submit(_fulfil, future, prepared, result, self._output, self._further)

    def settle(self) -> None:
        """Wait for the last case's result to be on disk, and tell about it.

        Raises:
            OutputError: it could not be written.
        """
        if self._pending is None:
            return
        prepared, warnings, future = self._pending
        try:
            outcome = future.result()  # Interrupted here, the case stays pending, and is told on the way out.
        except Exception as error:
            self._pending, self.labels_mb = None, 0.0
            failure = Failure(reason=printable(one_line(error)), warnings=warnings)
            self._tell(replace(finish_case(prepared, failure, self._output), ends_run=True))
            raise
        self._pending, self.labels_mb = None, 0.0
        self._tell(outcome)


def _fulfil(
    future: Future[Outcome],
    prepared: PreparedCase,
    result: Segmented,
    output: Path,
    further: FurtherResults | None,
) -> None:
    """Write a case's label map, and hand its outcome, or what went wrong, to the future."""
    try:
        future.set_result(finish_case(prepared, result, output, further))
    except BaseException as error:
        future.set_exception(error)


def _room_mb(prepared: PreparedCase, volume: Volume | Failure) -> float:
    """MiB of the host's budget that a case leaves to others, such as the next one."""
    if isinstance(volume, Failure) or prepared.opened is None or prepared.plan is None:
        return 0.0
    more = volume.voxel_bytes - prepared.opened.voxel_bytes
    return prepared.plan.spare_mb - image_mb(volume.geometry.size_zyx, max(0, more))
