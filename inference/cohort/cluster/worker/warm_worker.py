"""A worker of a cohort: networks loaded once, the next case fetched and read while one is segmented.

It runs in a process of its own, started by whatever engine there is, which calls `segment` from as many
threads as cases may be in hand.
"""

import itertools
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from inference.call import Call
from inference.cohort.assembly_line import AssemblyLine
from inference.cohort.cases import Case
from inference.cohort.cluster.cohort_results import open_results
from inference.cohort.cluster.fates import Fate, Report, Task, failed_fate
from inference.cohort.cluster.storage import FAILURES, fetch
from inference.cohort.cluster.worker.scratch import Scratch
from inference.cohort.cluster.worker.timed_predictor import TimedPredictor
from inference.cohort.further_results import FurtherResults, objects_beside, told_of_removed
from inference.cohort.one_case import Admit, FailedCase, Predicts, PreparedCase, prepare_case, written_case
from inference.cohort.opening import (
    admit_within,
    further_for,
    planner_for,
    predictor_for,
    value_unit,
)
from inference.cohort.outcome import Outcome, failed, organ_figures
from inference.errors import DeviceError, InputError, fault_of, one_line
from inference.imaging.channels import expected_modalities
from inference.imaging.writing import LABELS_SUFFIX
from inference.segmented import Segmented
from model.bundle import load_bundle
from model.case_names import printable
from model.model_errors import LeanSegError


@dataclass(frozen=True, kw_only=True)
class Tools:
    """What a worker segments with."""

    predictor: Predicts
    admit: Admit
    structures: tuple[str, ...]
    """Names of what can be found."""
    bundle_sha256: str = ""
    """`ModelBundle.sha256` of the bundle that finds it."""
    further: FurtherResults | None = None
    """What is written beside each label map."""
    figures_unit: str | None = None
    """Outcomes hold figures of each organ; this is the unit of its values, "" for none. None: they do not."""
    modalities: tuple[str, ...] = ()
    """As in `Case`."""


class OpensTools(Protocol):
    """A value that travels to a worker and opens its tools there."""

    def open(self) -> Tools:
        """Load what is needed.

        Raises:
            LeanSegError: it cannot be used here, or the bundle cannot.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class BundleTools:
    """The tools of a call of `predict.py`: its bundle on its device, within its memory."""

    call: Call

    def open(self) -> Tools:
        """Load the bundle's networks."""
        bundle = load_bundle(self.call.bundle)
        further = further_for(self.call, bundle, cases=1)
        planner = planner_for(self.call, bundle, further)
        return Tools(
            predictor=predictor_for(self.call, planner, one_case=False),
            admit=admit_within(self.call, planner, further),
            structures=tuple(bundle.manifest.output.labels),
            bundle_sha256=bundle.sha256,
            further=further,
            figures_unit=None if self.call.statistics is None else value_unit(bundle),
            modalities=expected_modalities(bundle),
        )


@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """What every worker of a run is told."""

    tools: OpensTools
    output: str
    """Local path or URL."""


@dataclass(kw_only=True)
class _InHand:
    """A case that somebody waits for."""

    task: Task
    case: Case
    """Where its images are on this machine; another object for another try."""
    report: Future[Report] = field(default_factory=Future)

    @classmethod
    def of(cls, task: Task, paths: Sequence[Path], modalities: tuple[str, ...]) -> "_InHand":
        first, *further = paths
        return cls(
            task=task,
            case=Case(
                path=first,
                output_name=task.case + LABELS_SUFFIX,
                further=tuple(further),
                modalities=modalities,
                series=task.series,
            ),
        )

    @property
    def is_fetched(self) -> bool:
        """Whether its images are copies."""
        return tuple(map(str, self.case.paths)) != self.task.images

    def said(self, text: str) -> str:
        """A message as it is for people: with the names that they gave."""
        for path, image in zip(self.case.paths, self.task.images, strict=True):
            text = text.replace(str(path), image)
        return text


class WarmWorker:
    """Segments cases, one after another, until it is closed or broken.

    Args:
        setup: what it segments with, and where results go.

    Raises:
        LeanSegError: the device, the bundle or the output cannot be used from here.
    """

    def __init__(self, setup: WorkerSetup) -> None:
        self.name = f"{socket.gethostname()}/{os.getpid()}"
        self._results = open_results(setup.output)
        self._results.check()
        self._tools = setup.tools.open()
        self._device = TimedPredictor(self._tools.predictor)
        self._scratch = Scratch()
        self._numbers = itertools.count()
        self._inbox: SimpleQueue[PreparedCase | FailedCase | None] = SimpleQueue()
        self._in_hand: dict[str, _InHand] = {}
        self._broken: LeanSegError | None = None
        self._line = threading.Thread(target=self._work, name="assembly line", daemon=True)
        self._line.start()

    def segment(self, task: Task) -> Report:
        """Segment a case and record what became of it, unless another try may go better.

        Raises:
            OutputError: the output cannot be written any more.
            DeviceError: the device does not work.
        """
        if task.tries > 1 and (fate := self._results.standing(task)) is not None:
            return Report(fate=fate)  # A worker that was lost had recorded it.
        if task.problem is not None:
            return self._finished(failed_fate(task, task.problem, time.time()), task)
        scratch = self._scratch.path / str(next(self._numbers))
        try:
            started = time.perf_counter()
            paths = [fetch(image, scratch / str(channel)) for channel, image in enumerate(task.images)]
            fetched_s = time.perf_counter() - started
            return self._segment(_InHand.of(task, paths, self._tools.modalities), fetched_s)
        except InputError as error:
            return self._finished(failed_fate(task, one_line(error), time.time()), task)
        except FAILURES as error:
            reason = printable(f"{task.case}: its storage failed ({one_line(error)})")
            return Report(fate=failed_fate(task, reason, time.time()), is_final=False)
        finally:
            if scratch.exists():
                shutil.rmtree(scratch, ignore_errors=True)

    def close(self) -> None:
        """Finish what is in hand, and give back what it holds."""
        self._inbox.put(None)
        self._line.join()
        self._scratch.close()

    def _segment(self, hand: _InHand, fetched_s: float) -> Report:
        self._in_hand[hand.case.output_name] = hand
        prepared = prepare_case(hand.case, self._tools.admit)
        if hand.is_fetched:
            prepared.timings.seconds["fetch"] = fetched_s
        self._inbox.put(prepared)
        if self._broken is not None:
            raise self._broken
        return hand.report.result()

    def _work(self) -> None:
        """The assembly line, until it is closed or an error ends it."""
        try:
            AssemblyLine(
                take=self._take,
                open_predictor=lambda _: self._device,
                write=self._write,
                tell=self._tell,
            ).run()
        except BaseException as error:
            fault = f"{self.name}: {fault_of(error)}"
            self._broken = error if isinstance(error, LeanSegError) else DeviceError(fault)
            for hand in list(self._in_hand.values()):
                if not hand.report.done():
                    hand.report.set_exception(self._broken)

    def _take(self, wait: bool) -> PreparedCase | FailedCase | None:
        try:
            prepared = self._inbox.get(block=wait)
        except Empty:
            return None
        if prepared is None:
            self._inbox.put(None)  # Closed: whoever looks again must hear of it, too.
        return prepared

    def _write(self, prepared: PreparedCase, segmented: Segmented) -> Outcome:
        """What goes beside it, label map, then outcome; whoever waits for the case hears of it at once."""
        hand = self._in_hand[prepared.case.output_name]
        if (fate := self._results.standing(hand.task)) is not None:
            self._hand_over(hand, Report(fate=fate, segmenting_s=self._device.take_seconds()))
            return failed(prepared.case, "was recorded by another worker meanwhile")
        further = self._tools.further
        if self._results.storage.is_local:
            label_map = self._results.label_map(hand.task.case)
            outcome = written_case(prepared, segmented, label_map, further)
        else:
            with tempfile.TemporaryDirectory(dir=self._scratch.path) as folder:
                label_map = Path(folder) / f"case{LABELS_SUFFIX}"
                outcome = written_case(prepared, segmented, label_map, further)
                try:
                    with prepared.timings.stage("put"):
                        objects = objects_beside(label_map).values()
                        removed = self._results.put(hand.task.case, label_map, objects)
                except FAILURES as error:
                    del self._in_hand[hand.case.output_name]
                    hand.report.set_exception(OSError(one_line(error)))
                    return failed(prepared.case, one_line(error))
                outcome = replace(outcome, warnings=(*outcome.warnings, *told_of_removed(removed)))
        self._answer(hand, outcome)
        return outcome

    def _tell(self, outcome: Outcome) -> None:
        """What was not written has failed. What ends the line is told to all who wait, by itself."""
        hand = self._in_hand.get(outcome.case.output_name)
        # Of a case that could not be put into storage the next try may be in hand by now.
        if hand is not None and hand.case is outcome.case and not outcome.ends_run:
            self._answer(hand, outcome)

    def _answer(self, hand: _InHand, outcome: Outcome) -> None:
        geometry, is_segmented = outcome.geometry, outcome.status == "segmented"
        has_labels = is_segmented or outcome.has_label_map
        unit = self._tools.figures_unit
        found_ml = {organ.name: organ.volume_ml for organ in outcome.organs}
        fate = Fate(
            case=hand.task.case,
            images=hand.task.images,
            series=hand.task.series,
            status="segmented" if is_segmented else "failed",
            reason=hand.said(outcome.error or ""),
            trace=hand.said(outcome.trace),
            tries=hand.task.tries,
            seconds=dict(outcome.timings.seconds),
            ended_unix_s=time.time(),
            size_zyx=geometry.size_zyx if geometry else (),
            spacing_zyx_mm=geometry.spacing_zyx_mm if geometry else (),
            volumes_ml={name: found_ml.get(name, 0.0) for name in self._tools.structures if has_labels},
            crumbs=tuple(organ.name for organ in outcome.organs if organ.crumb),
            parts=tuple(organ.name for organ in outcome.organs if organ.crumb and organ.touches_edge),
            warnings=tuple(hand.said(warning) for warning in outcome.warnings),
            doubts=outcome.doubts,
            larger_windows_mb=outcome.larger_windows_mb,
            organs=None if unit is None else tuple(organ_figures(outcome.organs, unit)),
        )
        self._hand_over(hand, self._finished(fate, hand.task))

    def _hand_over(self, hand: _InHand, report: Report) -> None:
        """Tell whoever waits for a case what became of it."""
        del self._in_hand[hand.case.output_name]
        hand.report.set_result(report)

    def _finished(self, fate: Fate, task: Task) -> Report:
        """Record a fate, unless there is one."""
        fate = replace(fate, worker=self.name, bundle_sha256=self._tools.bundle_sha256)
        stands = self._results.settle(fate, task)
        return Report(fate=stands, segmenting_s=self._device.take_seconds())
