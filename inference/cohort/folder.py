"""A folder of cases: the next one is read while one is segmented, the last one is written in the background.

Whatever happens to one case is its own affair: the others go on. Only an output folder that cannot be written
any more and a device that does not work end the run.
"""

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from inference.cohort.cases import Case
from inference.cohort.progress import Console
from inference.errors import DeviceError, DeviceMemoryError, LeanSegError, one_line, printable
from inference.geometry import Geometry
from inference.imaging.reading import read_header, read_volume
from inference.imaging.volume import Volume
from inference.imaging.writing import write_labels
from inference.planning.footprint import image_mb
from inference.timing import Timings
from model.arrays import U8

Status = Literal["not run", "segmented", "failed", "skipped"]
T = TypeVar("T")


class Predicts(Protocol):
    """What a batch needs of `inference.predictor.Predictor`."""

    def predict(self, volume: Volume, timings: Timings) -> U8:
        """Labels on the volume's own grid."""
        ...

    def room_mb(self, volume: Volume) -> float:
        """MiB of the host's memory budget that a case leaves to others."""
        ...

    def account(self) -> Mapping[str, object]:
        """What was done for the last case, for the report; JSON values."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(kw_only=True)
class Outcome:
    """What became of one case."""

    case: Case
    timings: Timings = field(default_factory=Timings)
    geometry: Geometry | None = None
    warnings: list[str] = field(default_factory=list)
    account: Mapping[str, object] = field(default_factory=dict)
    """What the predictor did."""
    error: str | None = None
    status: Status = "not run"

    def fail(self, reason: str) -> None:
        """Note why the case failed, on one line."""
        self.error, self.status = printable(reason), "failed"

    @property
    def labels_mb(self) -> float:
        """MiB of its label map."""
        return image_mb(self.geometry.size_zyx, bytes_each=1) if self.geometry else 0.0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """How a folder of cases is run."""

    output: Path
    """An existing folder."""
    console: Console
    skip_existing: bool = False
    """Leave out cases whose result is there."""
    debug: bool = False
    """Show tracebacks of failures."""

    def run(self, outcomes: Sequence[Outcome], open_predictor: Callable[[], Predicts]) -> None:
        """Segment cases one after another and write their label maps; one line a case.

        Args:
            outcomes: one for each case, from `begin`; filled in as the cases are done.
            open_predictor: makes the predictor; called once, while the first case is read.

        Raises:
            OutputError: a result could not be written; those before it are whole.
            DeviceError: the device that was asked for does not work; the results before it are whole.
        """
        todo = []
        for outcome in outcomes:
            if outcome.error:
                self._tell(outcome)
            elif self.skip_existing and (self.output / outcome.case.output_name).exists():
                outcome.status = "skipped"
                self._tell(outcome)
            else:
                todo.append(outcome)
        if todo:
            self._work(todo, open_predictor)

    def _work(self, todo: Sequence[Outcome], open_predictor: Callable[[], Predicts]) -> None:
        """The assembly line: one thread reads, this one segments, one writes."""
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer, _collected_warnings() as notes:
            reading: Future[Volume] | None = reader.submit(_read, todo[0])
            settle_last: Callable[[], None] = _nothing
            predictor = open_predictor()
            for i, outcome in enumerate(todo):
                self.console.progress(i, len(todo), outcome.case.path.name)
                volume = self._isolated(outcome, reading.result if reading else partial(_read, outcome))
                reading, labels = None, None
                if volume:
                    following = todo[i + 1 : i + 2]
                    room = predictor.room_mb(volume) - sum(map(_image_mb, following))
                    if i and room < todo[i - 1].labels_mb:
                        settle_last()
                        settle_last = _nothing
                    reading = reader.submit(_read, following[0]) if following and room >= 0 else None
                    try:
                        labels = self._isolated(outcome, partial(predictor.predict, volume, outcome.timings))
                    except DeviceError:
                        settle_last()
                        raise
                volume = (
                    None  # Where there is room for one image only, this one goes before the next one is read.
                )
                outcome.account = predictor.account() if labels is not None else {}
                outcome.warnings += notes
                notes.clear()
                settle_last()
                written = writer.submit(
                    _nothing if labels is None else partial(_write, self.output, outcome, labels)
                )
                labels = None  # The writer alone holds them from here on, and lets go of them.
                settle_last = partial(self._settle, outcome, written)
            predictor.close()
            settle_last()
            self.console.progress(len(todo), len(todo))

    def _settle(self, outcome: Outcome, written: Future[None]) -> None:
        """Wait for a case's result to be on disk and tell about it."""
        written.result()
        self._tell(outcome)

    def _isolated(self, outcome: Outcome, step: Callable[[], T]) -> T | None:
        """The value of a step; None if it failed, which is noted as the case's error.

        Raises:
            DeviceError: the device does not work, which no other case would change.
        """
        try:
            return step()
        except LeanSegError as error:
            outcome.fail(naming(outcome.case, error))
            if isinstance(error, DeviceError) and not isinstance(error, DeviceMemoryError):
                raise
        except MemoryError:
            outcome.fail(
                f"{outcome.case.path}: does not fit into this machine's memory; crop the image first"
            )
        except Exception as error:
            fault = f"{type(error).__name__}: {one_line(error)}"
            outcome.fail(f"{outcome.case.path}: {fault}; this is a fault of the program, run it with --debug")
            if self.debug:
                self.console.complain(traceback.format_exc().rstrip())
        return None

    def _tell(self, outcome: Outcome) -> None:
        """One line for a case, and one for each warning."""
        name = printable(outcome.case.path.name)
        for warning in outcome.warnings:
            self.console.complain(f"warning: {name}: {warning}")
        if outcome.error:
            self.console.complain(f"error: {printable(outcome.error)}")
        elif outcome.status == "skipped":
            self.console.say(f"{name}: skipped, {outcome.case.output_name} is there")
        else:
            total = sum(outcome.timings.seconds.values())
            self.console.say(
                f"{name} -> {printable(outcome.case.output_name)}: {outcome.timings}; {total:.1f} s"
            )


def naming(case: Case, error: BaseException) -> str:
    """An error's message on one line, with the case's path in front where it does not name it itself."""
    path, message = printable(str(case.path)), one_line(error)
    return message if path in message else f"{path}: {message}"


def begin(cases: Sequence[Case]) -> list[Outcome]:
    """An outcome for each case, failed where its problem is known already."""
    return [
        Outcome(case=case, error=case.problem, status="failed" if case.problem else "not run")
        for case in cases
    ]


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 if no case failed, else 1."""
    return int(any(outcome.status == "failed" for outcome in outcomes))


def summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """`3 cases: 2 segmented, 1 failed; 12.3 s`."""
    counts = Counter(outcome.status for outcome in outcomes)
    parts = ", ".join(
        f"{counts[status]} {status}" for status in ("segmented", "failed", "skipped") if counts[status]
    )
    return f"{len(outcomes)} case{'s' * (len(outcomes) != 1)}: {parts}; {seconds:.1f} s"


def _read(outcome: Outcome) -> Volume:
    with outcome.timings.stage("read"):
        volume = read_volume(outcome.case.path)
    outcome.geometry = volume.geometry
    outcome.warnings += volume.warnings
    return volume


def _image_mb(outcome: Outcome) -> float:
    """MiB of a case's voxels, from its header.

    0 where it cannot be read, which is found out when it is its turn.
    """
    try:
        header = read_header(outcome.case.path)
        return image_mb(header.geometry.size_zyx, header.voxel_bytes)
    except LeanSegError:
        return 0.0


def _write(output: Path, outcome: Outcome, labels: U8) -> None:
    """Write a case's result. Its status is set here, so that it is right however the run ends."""
    assert outcome.geometry is not None, "a case that was segmented was read"
    try:
        with outcome.timings.stage("write"):
            write_labels(output / outcome.case.output_name, labels, outcome.geometry)
    except Exception as error:
        outcome.fail(one_line(error))
        raise
    outcome.status = "segmented"


def _nothing() -> None:
    """Nothing to write or to wait for."""


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """What `inference` logs at warning level or above, as a list that grows."""
    notes: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("inference")
    logger.addHandler(handler)
    try:
        yield notes
    finally:
        logger.removeHandler(handler)
