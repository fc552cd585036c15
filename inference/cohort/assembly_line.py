"""The assembly line: the next case is read while one is segmented, the last one is written in the background.

Whatever happens to one case is its own affair: the others go on. Only an output that cannot be written any
more and a device that does not work end the run.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from inference.cohort.cases import Case
from inference.cohort.one_case import (
    FailedCase,
    Failure,
    Predicts,
    PreparedCase,
    failed_case,
    failure_of,
    predict_case,
)
from inference.cohort.outcome import Outcome
from inference.errors import DeviceError, OutputError, one_line
from inference.imaging.volume import Volume
from inference.planning.footprint import image_mb
from inference.planning.plan import InferencePlan
from inference.segmented import Segmented
from leanseg.ending import held, is_ended
from model.case_names import printable

Tell = Callable[[Outcome], None]
"""Takes each outcome as soon as it is known, in the order of the cases."""
Write = Callable[[PreparedCase, Segmented], Outcome]
"""Writes a case's result; runs on a thread of its own.

Raises `OutputError` where it cannot be written, and no other could; any other error is the case's own.
"""
OpenPredictor = Callable[[InferencePlan | None], Predicts]
"""Makes the predictor; called once, with the first case's plan, if it has one, while that case is read."""
Step = Callable[[Case], AbstractContextManager[object]]
"""Stands around each step of a case, on whichever thread: several cases may be under way."""
Take = Callable[[bool], PreparedCase | FailedCase | None]
"""The next case. Where there is none at the moment, `True` waits for one and `False` does not; None after
waiting: there will be none."""


@dataclass(frozen=True, kw_only=True)
class AssemblyLine:
    """One thread reads, the calling thread segments, one writes."""

    take: Take
    open_predictor: OpenPredictor
    write: Write
    tell: Tell
    begin: Callable[[Case], None] = lambda case: None
    """Told of each case before it is segmented."""
    written: Tell = lambda outcome: None
    """Told of each case as soon as its result is on disk, by the thread that writes; `tell` hears of it when
    the next case is segmented."""
    step: Step = nullcontext

    def run(self) -> None:
        """Segment cases one after another until there are none.

        Raises:
            OutputError: a result could not be written; those before it are whole.
            DeviceError: the device that was asked for does not work; the results before it are whole.
        """
        following = self.take(True)
        if following is None:
            return
        with ThreadPoolExecutor(1) as reader, _Writing(self._write, self.tell) as writing:
            first = following if isinstance(following, PreparedCase) else None
            reading: Future[Volume | Failure] | None = reader.submit(self._read, first) if first else None
            predictor = self.open_predictor(first.plan if first else None)
            while following is not None:
                prepared, following = following, None
                self.begin(prepared.case)
                if isinstance(prepared, FailedCase):
                    writing.settle_and_tell(prepared, prepared.failure)
                    following = self._waited_for(writing)
                    continue
                if reading is None and not _can_be_read_beside(prepared, writing.labels_mb):
                    writing.settle()
                volume: Volume | Failure | None = reading.result() if reading else self._read(prepared)
                reading = None
                assert volume is not None
                following = self.take(False)
                writing.settle_if_done()
                ahead = following if isinstance(following, PreparedCase) else None
                room = _room_mb(prepared, volume) - (ahead.read_mb if ahead else 0.0)
                if room < writing.labels_mb:
                    writing.settle()
                reserved_mb = writing.labels_mb
                if ahead and room >= 0 and not isinstance(volume, Failure):
                    reserved_mb += ahead.read_mb
                    reading = reader.submit(self._read, ahead)
                result: Segmented | Failure | None
                with self.step(prepared.case):
                    result = predict_case(prepared, volume, predictor, reserved_mb)
                volume = None  # Gone before the next one is read, where there is room for one alone.
                assert result is not None
                if isinstance(result, Failure):
                    writing.settle_and_tell(prepared, result)
                else:
                    writing.submit(prepared, result)
                result = None  # The writer alone holds the labels from here on.
                if following is None:
                    following = self._waited_for(writing)
            predictor.close()

    def _read(self, prepared: PreparedCase) -> Volume | Failure:
        with self.step(prepared.case):
            return prepared.read()

    def _write(self, prepared: PreparedCase, result: Segmented) -> Outcome:
        """Write a case's result. What it alone cannot be written for is no other's affair."""
        with self.step(prepared.case):
            try:
                outcome = self.write(prepared, result)
            except Exception as error:
                if is_ended() or isinstance(error, OutputError | DeviceError):
                    raise
                failure = failure_of(prepared.case, error)
                failure = replace(failure, warnings=(*result.warnings, *failure.warnings))
                outcome = failed_case(prepared, failure)
            self.written(outcome)
        return outcome

    def _waited_for(self, writing: "_Writing") -> PreparedCase | FailedCase | None:
        """The next case, where there was none yet; None where there will be none."""
        if (following := self.take(False)) is not None:
            return following
        writing.settle()  # Who is to give the next case may be waiting to hear of this one.
        return self.take(True)


class _Writing:
    """The case that is being written: one thread writes, and its outcome is told when it is on disk."""

    def __init__(self, write: Write, tell: Tell) -> None:
        self._write = write
        self._tell = tell
        self._pool = ThreadPoolExecutor(1)
        self._pending: tuple[PreparedCase, tuple[str, ...], Future[Outcome]] | None = None
        self.labels_mb = 0.0
        """MiB that the result takes which is being written, and what is made of it."""

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
        # Waited for by its result: in Python 3.11 a thread counts as ended if a signal comes while its end is
        # waited for.
        try:
            self.settle()
        finally:
            self._pool.shutdown()

    def settle_and_tell(self, prepared: PreparedCase | FailedCase, failure: Failure) -> None:
        """Wait for the case before this one, then tell why this one failed.

        Raises:
            OutputError: the case before this one could not be written; the outcomes of both were told.
            DeviceError: the device does not work; the case's outcome was told.
        """
        try:
            self.settle()
        finally:
            self._tell(failed_case(prepared, failure))
        if failure.ends_run is not None:
            raise failure.ends_run

    def submit(self, prepared: PreparedCase, result: Segmented) -> None:
        """Wait for the case before this one, then begin to write this one's label map.

        Raises:
            OutputError: the case before this one could not be written; its outcome was told.
        """
        self.settle()
        self.labels_mb = image_mb(prepared.geometry.size_zyx, 1) + (result.plan.results_mb or 0.0)
        with held():  # What is being written is known to be, whatever comes between.
            self._pending = prepared, result.warnings, self._pool.submit(self._write, prepared, result)

    def settle_if_done(self) -> None:
        """Tell about the last case's result if it is on disk: it takes no memory any more.

        Raises:
            OutputError: it could not be written.
        """
        if self._pending is not None and self._pending[-1].done():
            self.settle()

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
            failure = Failure(reason=printable(one_line(error)), warnings=warnings)
            self._conclude(replace(failed_case(prepared, failure), ends_run=True))
            raise
        self._conclude(outcome)

    def _conclude(self, outcome: Outcome) -> None:
        """Tell of the pending case, also if the run is ended just now: its result may be on disk."""
        with held():
            self._pending, self.labels_mb = None, 0.0
            self._tell(outcome)


def _can_be_read_beside(prepared: PreparedCase, beside_mb: float) -> bool:
    """Whether the budget allows that a case is read while others hold so many MiB of it."""
    plan = prepared.plan
    return plan is not None and plan.reading_mb + beside_mb <= plan.budget.host_mb


def _room_mb(prepared: PreparedCase, volume: Volume | Failure) -> float:
    """MiB of the host's budget that a case leaves to others, such as the next one.

    Nothing where its windows take what they can get: its labels do not depend on what else is in the folder.
    """
    plan = prepared.plan
    if isinstance(volume, Failure) or plan is None or not plan.windows_settled:
        return 0.0
    more = volume.voxel_bytes - prepared.opened.voxel_bytes
    return plan.spare_mb - image_mb(volume.geometry.size_zyx, max(0, more))
