"""The whole way of one case: a volume goes in, labels on its own grid come out.

| step | grid | what |
|---|---|---|
| plan | | what is kept where, from the header alone |
| turn | input | axes to canonical S, P, L, or as stored; cropped to what is not 0; values doubted |
| localize | low resolution | box around the organs |
| networks | network | resample and normalize, windows × members to scores, slab by slab |
| restore | input, in the box | interpolate scores, take the winner, slab by slab; again where the box cuts |
| clean up | input | left and right, connected components, small lesions; organs measured, and doubted |
| turn back | input | axes as stored |
"""

import itertools
from dataclasses import dataclass, field, replace

import numpy as np

from inference.case_view import CaseView, view_case
from inference.errors import BudgetError, DeviceError, DeviceMemoryError, InputError
from inference.geometry import Box, Geometry
from inference.imaging.volume import Volume, crop
from inference.label_map import clean_labels, sided_labels
from inference.planning.plan import Budget, InferencePlan
from inference.planning.planner import Planner
from inference.planning.writing_cost import WritingCost
from inference.preprocessing.model_grid import input_scheme
from inference.preprocessing.model_image import CaseStatistics, ModelImage
from inference.runtime.backends import Backend, Device, load_library, select_backend
from inference.runtime.cuda_devices import gpu_index
from inference.runtime.process_memory import peak_mb
from inference.runtime.session_pool import Sessions
from inference.segmentation import Segmentation
from inference.segmented import Segmented
from inference.sliding_window.localization import (
    cut_structures,
    grown,
    neighbourhood,
    organ_mask,
    region_of_interest,
    without_specks,
)
from inference.sliding_window.member_votes import Ballot, agreement
from inference.sliding_window.order import WindowCount
from inference.threads import Threads
from inference.timing import Timings
from inference.trust.input_doubts import input_doubts
from inference.trust.judgement import judge
from inference.trust.organ_figures import count_pieces
from model.arrays import U8, Mask, Zyx
from model.bundle import ModelBundle
from model.manifest.document import Manifest
from model.manifest.network import Precision

NO_ABDOMEN = (
    "shows no abdomen: localization found no organ, or too little of any, so none is looked for; give a scan "
    "of the abdomen"
)


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """What the members see."""

    decisions: U8
    """(z, y, x) on the grid that they looked at: 0 is background, n the n-th structure."""
    box: Box
    """The region that they looked at last."""
    plan: InferencePlan
    """How that was run."""


@dataclass(kw_only=True)
class _Attempt:
    """One try at a case, and what it was warned of."""

    plan: InferencePlan
    timings: Timings
    reserved_mb: float
    windows: WindowCount = field(default_factory=WindowCount)
    ballots: list[Ballot] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, warning: str) -> None:
        """Add a warning, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)


class Predictor:
    """A bundle whose networks are loaded once for any number of cases, one at a time.

    Args:
        bundle: manifest and files.
        device: see `runtime.backends.select_backend`.
        threads: CPU threads; 0 for as many as can run at a time, a quota considered.
        precision: `fp32` forbids what the manifest allows; None does not.
        budget: memory that may be taken.
        release: give back the networks' memory as soon as a case needs them no more, before clean-up.
        strict_input: refuse images that are doubtful before a network sees them, see
            `inference.trust.input_doubts`.
        statistics: also take mean and deviation of the first channel within each structure.
        writing: what results beside the label map take, which is left to them; None: there are none.
        first: how the case is run that is read while networks are loaded: all are, if it has all in memory at
            a time. None: all are if they take half of the budget at most.

    Raises:
        DeviceError: the device is not there, or a network cannot be loaded on it.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        *,
        device: Device = "auto",
        threads: int = 0,
        precision: Precision | None = None,
        budget: Budget | None = None,
        release: bool = False,
        strict_input: bool = False,
        statistics: bool = False,
        writing: WritingCost | None = None,
        first: InferencePlan | None = None,
    ) -> None:
        self._bundle = bundle
        self._threads = Threads(threads)
        self._precision: Precision | None = precision
        self._budget = budget or Budget()
        self._release = release
        self._strict_input = strict_input
        self._statistics = statistics
        self._writing = writing or WritingCost()
        self._may_leave_gpu = device == "auto"
        self._gpu = gpu_index(device)
        self._small = False
        self._use(select_backend(device))
        # While the first case is read, load what can be; but no CUDA context before the first window is
        # ready.
        load_library(self.backend)
        if self.backend != "cuda":
            if first is None:
                self._sessions.load_all(self._budget.host_mb // 2)
            elif first.at_once == len(bundle.manifest.networks()):
                self._sessions.load_all()

    def _use(self, backend: Backend) -> None:
        self.backend: Backend = backend
        self._sessions = Sessions(
            self._bundle,
            backend,
            threads=self._threads.of_libraries,
            precision=self._precision,
            gpu=self._gpu,
        )
        self._planner = Planner(
            bundle=self._bundle,
            backend=backend,
            precision=self._precision,
            budget=self._budget,
            writing=self._writing,
        )

    def plan(
        self,
        geometry: Geometry,
        region_zyx: Zyx | None = None,
        *,
        voxel_bytes: int | None = None,
        reserved_mb: float = 0.0,
        reading_mb: float = 0.0,
    ) -> InferencePlan:
        """How a case with this grid would be run, from its header alone; see `Planner.plan`.

        Args:
            geometry: as in the header.
            region_zyx: size of the region that is segmented; None before that is known.
            voxel_bytes: what a voxel is expected to take, all channels together; None for int16.
            reserved_mb: MiB of the host's budget that others hold meanwhile.
            reading_mb: MiB that reading the image takes beside its voxels; 0 once it was read.

        Raises:
            BudgetError: the memory budget cannot be kept.
        """
        return self._planner.plan(
            geometry,
            region_zyx,
            voxel_bytes=voxel_bytes,
            small=self._small,
            reserved_mb=reserved_mb,
            reading_mb=reading_mb,
        )

    def predict(
        self,
        volume: Volume,
        plan: InferencePlan | None = None,
        timings: Timings | None = None,
        reserved_mb: float = 0.0,
    ) -> Segmented:
        """Segment one case.

        When the device runs out of memory the case is tried once more with the smallest plan; then, if the
        device was the program's choice, on the CPU.

        Args:
            volume: as read.
            plan: made from its header by `plan`; None makes it here.
            timings: goes on counting where reading left off; None begins anew.
            reserved_mb: MiB of the host's budget that others hold meanwhile, such as an image that is read
                ahead; labels are the same beside it, and nothing is refused.

        Raises:
            InputError: the image is doubtful, and such are to be refused.
            BudgetError: the memory budget cannot be kept.
            DeviceError: the device that was asked for cannot run the networks, or ran out of memory with the
                smallest plan too.
        """
        notes: list[str] = []
        timings = timings or Timings()
        # A case before may have shown that less memory must do, or another device, since the plan was made.
        if plan is not None and (self._small or plan.backend != self.backend):
            plan = None
        while True:
            try:
                planned = plan or self.plan(
                    volume.geometry, voxel_bytes=volume.voxel_bytes, reserved_mb=reserved_mb
                )
                attempt = _Attempt(
                    plan=planned,
                    timings=timings,
                    reserved_mb=reserved_mb,
                    warnings=list(notes),
                )
                return replace(self._predict(volume, attempt), host_peak_mb=peak_mb())
            except (BudgetError, DeviceError) as error:
                self._sessions.close()
                plan = None
                if isinstance(error, DeviceMemoryError) and not self._small:
                    notes.append(f"{error}; trying once more with a smaller plan")
                    self._small = True
                elif self.backend == "cuda" and self._may_leave_gpu:
                    notes.append(f"{error}; GOING ON WITH THE CPU, which is slower")
                    self._small = False
                    self._use(select_backend("cpu"))
                else:
                    for note in notes:
                        error.add_note(note)
                    raise

    def close(self) -> None:
        """Give back the networks' memory."""
        self._sessions.close()

    def _predict(self, volume: Volume, attempt: _Attempt) -> Segmented:
        self._sessions.follow(attempt.plan.loading)
        view = view_case(volume, self._bundle.manifest)
        for doubt in input_doubts(view.canonical, self._bundle.manifest):
            self._doubt_input(doubt, attempt)
        statistics = CaseStatistics(view.cropped)
        manifest = self._bundle.manifest.over(view.volume.geometry.spacing_zyx_mm)
        with attempt.timings.stage("localize"):
            region = self._region(view, manifest, statistics)
        if region is None:
            self._doubt_input(NO_ABDOMEN, attempt)
            return self._nothing_found(view, attempt)
        decided = self._decide(view, manifest, statistics, region, attempt)
        if self._release:
            self._sessions.close()
        with attempt.timings.stage("clean up"):
            labels, runs = sided_labels(decided.decisions, view, manifest, attempt.warn)
            box, plan = decided.box, decided.plan
            del decided
            pieces = count_pieces(labels, view.canonical.geometry)
            runs, removed = clean_labels(labels, runs, view, manifest, attempt.warn)
            stored = view.orientation.undo(labels)
            seen = stored if manifest.preprocessing.orientation == "stored" else labels
            cut = cut_structures(seen, box, view.box, view.volume.geometry.spacing_zyx_mm)
            winners = [ballot.winners for ballot in attempt.ballots]
            judgement = judge(
                labels,
                runs,
                view.canonical,
                manifest,
                pieces=pieces,
                agreement=agreement(winners, len(manifest.output.structures)),
                removed=removed,
                cut=set().union(*cut.values()),
                statistics=self._statistics,
            )
            del runs
            labels = np.ascontiguousarray(stored)
        return Segmented(
            labels=labels,
            plan=plan,
            region=box,
            timings=attempt.timings,
            windows=attempt.windows,
            host_peak_mb=0.0,
            warnings=tuple(attempt.warnings),
            organs=judgement.organs,
            doubts=judgement.doubts,
        )

    def _decide(
        self,
        view: CaseView,
        manifest: Manifest,
        statistics: CaseStatistics,
        region: tuple[Box, Mask | None],
        attempt: _Attempt,
    ) -> _Decided:
        """What the members see in a region, which grows where that goes on, see `Localization.more_looks`."""
        (box, near_organs), localization = region, manifest.localization
        geometry, decisions = view.volume.geometry, np.zeros(view.volume.geometry.size_zyx, np.uint8)
        for look in itertools.count(1):
            plan = self.plan(
                geometry,
                box.size_zyx,
                voxel_bytes=view.volume.voxel_bytes,
                reserved_mb=attempt.reserved_mb,
            )
            self._sessions.follow(plan.loading)
            attempt.ballots.clear()
            Segmentation(
                bundle=replace(self._bundle, manifest=manifest),
                sessions=self._sessions,
                plan=plan,
                region=crop(view.volume, box),
                statistics=statistics,
                near_organs=near_organs,
                timings=attempt.timings,
                threads=self._threads,
                middle=lambda: view.middle(manifest),
                count=attempt.windows,
                ballots=attempt.ballots,
                warn=attempt.warn,
            ).write(decisions[box.slices])
            sides = cut_structures(decisions, box, view.box, geometry.spacing_zyx_mm)
            if localization is None or look > localization.more_looks or not sides:
                break
            box = grown(box, sides, look * localization.margin_mm, view.box, geometry.spacing_zyx_mm)
        return _Decided(decisions=decisions, box=box, plan=plan)

    def _doubt_input(self, doubt: str, attempt: _Attempt) -> None:
        """Warn of an image, or refuse it."""
        if self._strict_input:
            raise InputError(f"{doubt} (refused by --strict-input)")
        attempt.warn(doubt)

    def _nothing_found(self, view: CaseView, attempt: _Attempt) -> Segmented:
        """The result for an image in which no organ is looked for: background."""
        stored = view.orientation.undo(np.zeros(view.canonical.geometry.size_zyx, np.uint8))
        return Segmented(
            labels=np.ascontiguousarray(stored),
            plan=attempt.plan,
            region=view.box,
            timings=attempt.timings,
            windows=attempt.windows,
            host_peak_mb=0.0,
            warnings=tuple(attempt.warnings),
        )

    def _region(
        self, view: CaseView, manifest: Manifest, statistics: CaseStatistics
    ) -> tuple[Box, Mask | None] | None:
        """The box to segment, and where within it windows may find something (None: everywhere).

        None where localization finds no organ, or too little of any.
        """
        localization = manifest.localization
        whole = view.cropped
        grid = whole.geometry
        if localization is None or grid.size_zyx[0] * grid.spacing_zyx_mm[0] < localization.whole_below_mm:
            return view.box, None
        scheme = input_scheme(manifest, localization)
        image = ModelImage(whole, scheme, statistics, self._threads)
        organs = without_specks(
            organ_mask(image, localization, lambda: self._sessions.get(localization), self._threads)
        )
        box = region_of_interest(organs, grid, localization)
        if box is None:
            return None
        near = neighbourhood(organs, grid, box, localization.margin_mm) if localization.skip_outside else None
        return _shifted(box, view.box.start_zyx), near


def _shifted(box: Box, by_zyx: tuple[int, int, int]) -> Box:
    (a, b, c), (d, e, f), (z, y, x) = box.start_zyx, box.stop_zyx, by_zyx
    return Box(start_zyx=(a + z, b + y, c + x), stop_zyx=(d + z, e + y, f + x))
