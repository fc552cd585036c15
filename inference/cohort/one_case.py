"""One case, from its files to its label map: each step gives a value, or says why there is none."""

import traceback
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeVar

from inference.cohort.cases import Case
from inference.cohort.further_results import FurtherResults, objects_beside, remove_objects
from inference.cohort.outcome import Outcome, account_of, naming
from inference.errors import (
    DeviceError,
    DeviceMemoryError,
    OutputError,
    ResultNameError,
    fault_of,
    one_line,
)
from inference.geometry import Geometry
from inference.imaging.dicom_results.maker import Told
from inference.imaging.dicom_results.objects_written import ObjectsWritten
from inference.imaging.reading import OpenedImage, open_channels, read_channels
from inference.imaging.volume import Volume
from inference.imaging.writing import remove_results, write_labels
from inference.planning.footprint import image_mb
from inference.planning.plan import InferencePlan
from inference.segmented import Segmented
from inference.timing import Timings
from leanseg.ending import is_ended
from model.case_names import printable
from model.model_errors import LeanSegError

T = TypeVar("T")


class Predicts(Protocol):
    """What a cohort needs of `inference.predictor.Predictor`."""

    def predict(
        self,
        volume: Volume,
        plan: InferencePlan | None = None,
        timings: Timings | None = None,
        reserved_mb: float = 0.0,
    ) -> Segmented:
        """Segment one case."""
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


Admit = Callable[["OpenedCase"], InferencePlan | None]
"""Plans a case from its header, so that it is refused before its voxels are read; None leaves the plan to the
predictor.

Raises `BudgetError` where no plan keeps the budget.
"""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a step has no value."""

    reason: str
    """One printable line."""
    trace: str = ""
    """The traceback, where it is a fault of the program."""
    ends_run: DeviceError | None = None
    """The device does not work, which no other case would change."""
    warnings: tuple[str, ...] = ()
    """What the user was to know before the step failed."""


@dataclass(frozen=True, kw_only=True)
class OpenedCase:
    """A case whose headers were read; its voxels are still on disk."""

    case: Case
    images: tuple[OpenedImage, ...]
    """One for each channel, on the same grid."""

    @property
    def geometry(self) -> Geometry:
        """The grid of all channels."""
        return self.images[0].geometry

    @property
    def voxel_bytes(self) -> int:
        """What a voxel is expected to take in memory, all channels together."""
        return sum(image.voxel_bytes for image in self.images)

    @property
    def reading_mb(self) -> float:
        """MiB that reading is expected to take at most beside the voxels; channels are read in turn."""
        return max(image.reading_mb for image in self.images)

    def read(self, timings: Timings) -> Volume:
        """The case with its voxels.

        Raises:
            InputError: a file is damaged or may not be read.
        """
        with timings.stage("read"):
            return read_channels(self.images)


def open_case(case: Case) -> OpenedCase:
    """Read the headers of a case's channels.

    Raises:
        InputError: one cannot be read, or they lie on different grids.
    """
    return OpenedCase(case=case, images=open_channels(case.paths, case.expected, case.series))


def attempt(case: Case, step: Callable[[], T]) -> T | Failure:
    """The value of a step, or why there is none. What ends a program is not caught, whatever became of it."""
    try:
        return step()
    except Exception as error:
        if is_ended():
            raise
        return failure_of(case, error)


def failure_of(case: Case, error: Exception) -> Failure:
    """Why a step of a case has no value, from what it raised."""
    if isinstance(error, LeanSegError):
        ends = isinstance(error, DeviceError) and not isinstance(error, DeviceMemoryError)
        # A result that cannot have its name says which.
        reason = one_line(error) if isinstance(error, OutputError) else naming(case, error)
        return Failure(
            reason=printable(reason),
            ends_run=error if ends and isinstance(error, DeviceError) else None,
            warnings=tuple(getattr(error, "__notes__", ())),
        )
    if isinstance(error, MemoryError):
        return Failure(reason=f"{printable(str(case.path))}: {NO_MEMORY}")
    trace = "".join(traceback.format_exception(error)).rstrip()
    return Failure(reason=printable(f"{case.path}: {fault_of(error)}"), trace=trace)


NO_MEMORY = "does not fit into this machine's memory; crop the image first"


@dataclass(frozen=True, kw_only=True)
class PreparedCase:
    """A case whose headers were read, and which is not refused by them."""

    opened: OpenedCase
    plan: InferencePlan | None
    """How it is run; None leaves that to the predictor."""
    timings: Timings = field(default_factory=Timings)

    @property
    def case(self) -> Case:
        """What it was made of."""
        return self.opened.case

    @property
    def geometry(self) -> Geometry:
        """Its grid."""
        return self.opened.geometry

    @property
    def read_mb(self) -> float:
        """MiB that reading it is expected to take, its voxels included."""
        voxels_mb = image_mb(self.opened.geometry.size_zyx, self.opened.voxel_bytes)
        return voxels_mb + self.opened.reading_mb

    def read(self) -> Volume | Failure:
        """Its voxels, or why there are none."""
        return attempt(self.case, lambda: self.opened.read(self.timings))


@dataclass(frozen=True, kw_only=True)
class FailedCase:
    """A case that cannot be run, known before its voxels are read."""

    case: Case
    failure: Failure
    geometry: Geometry | None = None
    """Its grid; None where a header could not be read."""
    timings: Timings = field(default_factory=Timings)


def prepare_case(case: Case, admit: Admit) -> PreparedCase | FailedCase:
    """Read a case's headers and plan it, which may refuse it."""
    if case.problem is not None:
        return FailedCase(case=case, failure=Failure(reason=printable(case.problem)))
    opened = attempt(case, lambda: open_case(case))
    if isinstance(opened, Failure):
        return FailedCase(case=case, failure=opened)
    plan = attempt(case, lambda: admit(opened))
    if isinstance(plan, Failure):
        return FailedCase(case=case, failure=plan, geometry=opened.geometry)
    return PreparedCase(opened=opened, plan=plan)


def predict_case(
    prepared: PreparedCase, volume: Volume | Failure, predictor: Predicts, reserved_mb: float = 0.0
) -> Segmented | Failure:
    """Segment a case that was read; warnings of reading come before those of segmenting, each once.

    Args:
        prepared: the case.
        volume: what reading it gave.
        predictor: has the networks.
        reserved_mb: MiB of the host's budget that other cases hold meanwhile.
    """
    if isinstance(volume, Failure):
        return volume
    result = attempt(
        prepared.case, lambda: predictor.predict(volume, prepared.plan, prepared.timings, reserved_mb)
    )
    warnings = dict.fromkeys((*prepared.case.warnings, *volume.warnings, *result.warnings))
    # What a case was refused for is not said twice.
    refused_for = result.reason if isinstance(result, Failure) else ""
    return replace(result, warnings=tuple(each for each in warnings if each not in refused_for))


def failed_case(prepared: PreparedCase | FailedCase, failure: Failure) -> Outcome:
    """The outcome of a case that could not be segmented, with what was read of it until then."""
    return replace(
        _not_run(prepared),
        status="failed",
        error=failure.reason,
        ends_run=failure.ends_run is not None,
        trace=failure.trace,
        warnings=failure.warnings,
    )


def written_case(
    prepared: PreparedCase, segmented: Segmented, path: Path, further: FurtherResults | None = None
) -> Outcome:
    """Write a case's label map, and say what became of the case.

    Objects that an earlier run left beside it are removed: they show another segmentation.

    Args:
        prepared: the case.
        segmented: what segmenting gave.
        path: the label map's; its folder exists.
        further: what is written beside it; before it, so that a label map stands for a case that is done.
            Where that cannot be made, the label map is written all the same, and the case has failed.

    Raises:
        OutputError: a result cannot be written, and no other could.
    """
    opened, case = prepared.opened, prepared.case
    objects: ObjectsWritten | Failure = ObjectsWritten()
    with prepared.timings.stage("write"), ExitStack() as undo:
        if further is not None:
            allowed_mb = segmented.plan.results_mb
            told = Told(
                doubts=segmented.doubts, image_doubts=segmented.image_doubts, warnings=segmented.warnings
            )
            objects = _try_to_write(
                case, lambda: further.write(opened.images[0], segmented.labels, path, allowed_mb, told)
            )
        kinds = () if isinstance(objects, Failure) else objects.kinds
        undo.callback(remove_results, objects_beside(path, kinds).values())
        warnings = (*segmented.warnings, *objects.warnings, *remove_objects(path, but=kinds))
        labels = _try_to_write(case, lambda: write_labels(path, segmented.labels, opened.geometry))
        if not isinstance(labels, Failure):
            undo.pop_all()
    if isinstance(labels, Failure):
        return failed_case(prepared, replace(labels, warnings=(*warnings, *labels.warnings)))
    done = replace(
        _not_run(prepared),
        status="segmented",
        warnings=warnings,
        organs=segmented.organs,
        is_noise=segmented.is_noise,
        doubts=segmented.doubts,
        account=account_of(segmented),
        larger_windows_mb=segmented.plan.larger_windows_mb,
    )
    if not isinstance(objects, Failure):
        return done
    error = f"{objects.reason}; its label map was written: {printable(path.name)}"
    return replace(done, status="failed", error=error, trace=objects.trace, has_label_map=True)


def _try_to_write(case: Case, step: Callable[[], T]) -> T | Failure:
    """As `attempt`; but that no result can be written any more is raised."""
    try:
        return step()
    except Exception as error:
        ends_run = isinstance(error, OutputError) and not isinstance(error, ResultNameError)
        if ends_run or is_ended():
            raise
        return failure_of(case, error)


def _not_run(prepared: PreparedCase | FailedCase) -> Outcome:
    return Outcome(case=prepared.case, status="not run", timings=prepared.timings, geometry=prepared.geometry)
