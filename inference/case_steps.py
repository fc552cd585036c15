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
from dataclasses import dataclass, replace

import numpy as np

from inference.attempt import Attempt
from inference.case_view import CaseView, view_case
from inference.errors import InputError
from inference.geometry import Box
from inference.imaging.volume import Volume, crop
from inference.label_map import clean_labels, sided_labels
from inference.planning.plan import InferencePlan
from inference.planning.planner import Planner, localization_for
from inference.preprocessing.model_grid import input_scheme
from inference.preprocessing.model_image import CaseStatistics, ModelImage
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
from inference.sliding_window.member_votes import agreement
from inference.threads import Threads
from inference.trust.input_doubts import input_doubts
from inference.trust.judgement import judge
from inference.trust.organ_figures import count_pieces
from model.arrays import U8, Mask
from model.bundle import ModelBundle
from model.manifest.document import Manifest

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


@dataclass(frozen=True, kw_only=True)
class CaseSteps:
    """The steps of a case, with what they need of the predictor that takes them."""

    bundle: ModelBundle
    sessions: Sessions
    planner: Planner
    small: bool
    """Only the smallest plan, after a device ran out of memory."""
    threads: Threads
    release: bool
    """Give back the networks' memory as soon as the case needs them no more, before clean-up."""
    strict_input: bool
    """Refuse images that are doubtful before a network sees them."""
    statistics: bool
    """Also take mean and deviation of the first channel within each structure."""

    def run(self, volume: Volume, attempt: Attempt) -> Segmented:
        """From a volume as read to what is written.

        Raises:
            InputError: the image is doubtful, and such are to be refused.
            BudgetError: the memory budget cannot be kept for its region.
            DeviceError: the networks cannot be run.
        """
        self.sessions.follow(attempt.plan.loading)
        view = view_case(volume, self.bundle.manifest)
        for doubt in input_doubts(view.canonical, self.bundle.manifest):
            self._doubt_input(doubt, attempt)
        statistics = CaseStatistics(view.cropped)
        manifest = self.bundle.manifest.over(view.volume.geometry.spacing_zyx_mm)
        with attempt.timings.stage("localize"):
            region = self._region(view, manifest, statistics)
        if region is None:
            self._doubt_input(NO_ABDOMEN, attempt)
            return self._nothing_found(view, attempt)
        decided = self._decide(view, manifest, statistics, region, attempt)
        if self.release:
            self.sessions.close()
        with attempt.timings.stage("clean up"):
            labels, runs = sided_labels(decided.decisions, view, manifest, attempt.warn)
            box, plan = decided.box, decided.plan
            del decided
            pieces = count_pieces(labels, view.canonical.geometry)
            runs, removed = clean_labels(labels, runs, view, manifest, attempt.warn)
            stored = view.orientation.undo(labels)
            seen = view.looked_at.undo(labels)
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
                statistics=self.statistics,
            )
            del runs
            labels = np.ascontiguousarray(stored)
        return Segmented(
            labels=labels,
            plan=plan,
            region=box,
            timings=attempt.timings,
            windows=attempt.windows,
            host_peak_mb=peak_mb(),
            warnings=tuple(attempt.warnings),
            image_doubts=tuple(attempt.image_doubts),
            organs=judgement.organs,
            doubts=judgement.doubts,
            is_noise=judgement.is_noise,
        )

    def _decide(
        self,
        view: CaseView,
        manifest: Manifest,
        statistics: CaseStatistics,
        region: tuple[Box, Mask | None],
        attempt: Attempt,
    ) -> _Decided:
        """What the members see in a region, which grows where that goes on, see `Localization.more_looks`."""
        (box, near_organs), localization = region, manifest.localization
        geometry, decisions = view.volume.geometry, np.zeros(view.volume.geometry.size_zyx, np.uint8)
        for look in itertools.count(1):
            plan = self.planner.plan(
                geometry,
                box.size_zyx,
                voxel_bytes=view.volume.voxel_bytes,
                small=self.small,
                reserved_mb=attempt.reserved_mb,
            )
            self.sessions.follow(plan.loading)
            attempt.begin_look(plan.windows)
            Segmentation(
                bundle=replace(self.bundle, manifest=manifest),
                sessions=self.sessions,
                plan=plan,
                region=crop(view.volume, box),
                statistics=statistics,
                near_organs=near_organs,
                attempt=attempt,
                threads=self.threads,
                middle=lambda: view.middle(manifest),
            ).write(decisions[box.slices])
            attempt.end_look()
            sides = cut_structures(decisions, box, view.box, geometry.spacing_zyx_mm)
            if localization is None or look > localization.more_looks or not sides:
                break
            box = grown(box, sides, look * localization.margin_mm, view.box, geometry.spacing_zyx_mm)
        return _Decided(decisions=decisions, box=box, plan=plan)

    def _doubt_input(self, doubt: str, attempt: Attempt) -> None:
        """Warn of an image, or refuse it."""
        if self.strict_input:
            raise InputError(f"{doubt} (refused by --strict-input)")
        attempt.warn(doubt)
        attempt.image_doubts.append(doubt)

    def _nothing_found(self, view: CaseView, attempt: Attempt) -> Segmented:
        """The result for an image in which no organ is looked for: background."""
        stored = view.orientation.undo(np.zeros(view.canonical.geometry.size_zyx, np.uint8))
        return Segmented(
            labels=np.ascontiguousarray(stored),
            plan=attempt.plan,
            region=view.box,
            timings=attempt.timings,
            windows=attempt.windows,
            host_peak_mb=peak_mb(),
            warnings=tuple(attempt.warnings),
            image_doubts=tuple(attempt.image_doubts),
        )

    def _region(
        self, view: CaseView, manifest: Manifest, statistics: CaseStatistics
    ) -> tuple[Box, Mask | None] | None:
        """The box to segment, and where within it windows may find something (None: everywhere).

        None where localization finds no organ, or too little of any.
        """
        whole = view.cropped
        grid = whole.geometry
        localization = localization_for(manifest, grid)
        if localization is None:
            return view.box, None
        scheme = input_scheme(manifest, localization)
        image = ModelImage(whole, scheme, statistics, self.threads)
        organs = without_specks(
            organ_mask(image, localization, lambda: self.sessions.get(localization), self.threads)
        )
        box = region_of_interest(organs, grid, localization)
        if box is None:
            return None
        near = neighbourhood(organs, grid, box, localization.margin_mm) if localization.skip_outside else None
        return _shifted(box, view.box.start_zyx), near


def _shifted(box: Box, by_zyx: tuple[int, int, int]) -> Box:
    (a, b, c), (d, e, f), (z, y, x) = box.start_zyx, box.stop_zyx, by_zyx
    return Box(start_zyx=(a + z, b + y, c + x), stop_zyx=(d + z, e + y, f + x))
