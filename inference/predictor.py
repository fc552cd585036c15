"""The whole recipe for one case: a volume goes in, labels on its own grid come out.

| step | grid | what |
|---|---|---|
| plan | | what is kept where, from the header alone |
| turn | input | axes to canonical S, P, L |
| localize | low resolution | box around the organs |
| networks | model | resample and normalize, windows x members to class probabilities, slab by slab |
| restore | input, in the box | interpolate probabilities, take the winner, slab by slab |
| clean up | input | left/right, connected parts, small tumors |
| turn back | input | axes as stored |
"""

import logging
from dataclasses import dataclass, field

import numpy as np

from inference.errors import BudgetError, DeviceError, DeviceMemoryError
from inference.geometry import Box
from inference.imaging.volume import Volume, crop, to_canonical
from inference.planning.planner import Budget, InferencePlan, Planner
from inference.postprocessing.components import clean_up
from inference.postprocessing.laterality import split_pairs
from inference.postprocessing.midline import Midline, body_middle
from inference.preprocessing.intensity import ImageStatistics, image_statistics
from inference.preprocessing.model_image import ModelImage
from inference.runtime.process_memory import peak_mb, reset_peak
from inference.runtime.session import Backend, Device, Precision, load_library, select_backend
from inference.runtime.session_pool import Sessions
from inference.segmentation import Segmentation
from inference.sliding_window.localization import (
    neighbourhood,
    organ_mask,
    region_of_interest,
    without_specks,
)
from inference.sliding_window.order import WindowCount
from inference.threads import use_threads
from inference.timing import Timings
from model.arrays import U8, Mask
from model.bundle import ModelBundle

FEW_SLICES = 3
"""Up to so many from feet to head a network that learned from whole scans has little to go by; the user is
told."""

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Record:
    """What was done for a case."""

    plan: InferencePlan
    region: Box | None = None
    """Of the canonical image."""
    windows: WindowCount = field(default_factory=WindowCount)
    host_peak_mb: float = 0.0
    """Of the whole process, reading ahead included."""


class Predictor:
    """A bundle whose networks are loaded once for any number of cases, one at a time.

    Args:
        bundle: manifest and files.
        device: see `runtime.session.select_backend`.
        threads: CPU threads of the networks; 0 leaves the number to the library.
        precision: `fp32` forbids what the manifest allows; None does not.
        budget: memory that may be taken.
        release: give back the networks' memory as soon as a case needs them no more, before post-processing.

    Raises:
        DeviceError: the device is not there, or a network cannot be loaded on it.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        *,
        device: Device | Backend = "auto",
        threads: int = 0,
        precision: Precision | None = None,
        budget: Budget | None = None,
        release: bool = False,
    ) -> None:
        self.record: Record | None = None
        """Of the last case."""
        self._bundle = bundle
        self._threads = threads
        self._precision: Precision | None = precision
        self._budget = budget or Budget()
        self._release = release
        self._may_leave_gpu = device == "auto"
        self._small = False
        use_threads(threads)
        self._use(select_backend(device))
        # While the first case is read, load what can be; but no CUDA context before the first window is
        # ready.
        if self.backend == "cuda":
            load_library("cuda")
        else:
            self._sessions.load_all(self._budget.host_mb // 2)

    def _use(self, backend: Backend) -> None:
        self.backend: Backend = backend
        self._sessions = Sessions(self._bundle, backend, threads=self._threads, precision=self._precision)
        self._planner = Planner(
            bundle=self._bundle, backend=backend, precision=self._precision, budget=self._budget
        )

    def predict(self, volume: Volume, timings: Timings) -> U8:
        """Label ids (z, y, x) on the volume's own grid, in its stored axis order.

        When the device runs out of memory the case is tried once more with the smallest plan; then, if the
        device was the program's choice, on the CPU.

        Args:
            volume: as read.
            timings: collects the seconds of each step.

        Raises:
            BudgetError: the memory budget cannot be kept.
            DeviceError: the device that was asked for cannot run the networks, or ran out of memory all the
                same.
        """
        reset_peak()
        _warn_of_few_slices(volume)
        while True:
            try:
                labels = self._predict(volume, timings)
                if self.record:
                    self.record.host_peak_mb = peak_mb()
                return labels
            except (BudgetError, DeviceError) as error:
                self._sessions.close()
                if isinstance(error, DeviceMemoryError) and not self._small:
                    logger.warning("%s; trying once more with a smaller plan", error)
                    self._small = True
                elif self.backend == "cuda" and self._may_leave_gpu:
                    logger.warning("%s; GOING ON WITH THE CPU, which is slower", error)
                    self._small = False
                    self._use(select_backend("cpu"))
                else:
                    raise

    def room_mb(self, volume: Volume) -> float:
        """MiB of the host's budget that a case leaves to others, such as the next one.

        0 where its plan cannot be kept.
        """
        try:
            plan = self._planner.plan(volume.geometry, voxel_bytes=volume.array.itemsize, small=self._small)
            return self._budget.host_mb - plan.host_mb
        except BudgetError:
            return 0.0

    def account(self) -> dict[str, object]:
        """What was done for the last case, in JSON values."""
        if self.record is None:
            return {}
        plan, windows = self.record.plan, self.record.windows
        return {
            "plan": plan.as_json(),
            "region": self.record.region
            and [list(self.record.region.start_zyx), list(self.record.region.stop_zyx)],
            "windows_run": windows.run,
            "windows_skipped": windows.skipped,
            "host_peak_mb": round(self.record.host_peak_mb),
        }

    def _predict(self, volume: Volume, timings: Timings) -> U8:
        manifest = self._bundle.manifest
        voxel_bytes = volume.array.itemsize
        self.record = Record(
            plan=self._planner.plan(volume.geometry, voxel_bytes=voxel_bytes, small=self._small)
        )
        self._sessions.follow(self.record.plan)
        canonical, orientation = to_canonical(volume)
        statistics = image_statistics(canonical.array) if self._needs_statistics() else None
        with timings.stage("localize"):
            box, near_organs = self._region(canonical, statistics)
        self.record.region = box
        self.record.plan = self._planner.plan(
            volume.geometry, box.size_zyx, voxel_bytes=voxel_bytes, small=self._small
        )
        channels = np.zeros(canonical.geometry.size_zyx, np.uint8)
        Segmentation(
            bundle=self._bundle,
            sessions=self._sessions,
            plan=self.record.plan,
            region=crop(canonical, box),
            statistics=statistics,
            near_organs=near_organs,
            timings=timings,
            count=self.record.windows,
        ).write(channels[box.slices])
        if self._release:
            self._sessions.close()
        with timings.stage("clean up"):
            labels = split_pairs(channels, canonical.geometry, manifest.output, self._middle(canonical))
            del channels
            if manifest.fuse != "after_postprocessing":
                rules = manifest.postprocessing or {}
                labels = clean_up(
                    labels, canonical.geometry.spacing_zyx_mm, rules, manifest.output.as_label_set()
                )
            return np.ascontiguousarray(orientation.undo(labels))

    def close(self) -> None:
        """Give back the networks' memory."""
        self._sessions.close()

    def _needs_statistics(self) -> bool:
        return any(
            network.intensity.scheme == "zscore" for network in self._bundle.manifest.networks().values()
        )

    def _region(self, canonical: Volume, statistics: ImageStatistics | None) -> tuple[Box, Mask | None]:
        """The box to segment, and where within it windows may find something (None: everywhere)."""
        localization = self._bundle.manifest.localization
        geometry = canonical.geometry
        if localization is None:
            return Box(start_zyx=(0, 0, 0), stop_zyx=geometry.size_zyx), None
        image = ModelImage(canonical, localization, statistics)
        organs = without_specks(organ_mask(image, localization, lambda: self._sessions.get(localization)))
        box = region_of_interest(organs, geometry, localization)
        if not (localization.skip_outside and organs.any()):
            return box, None
        return box, neighbourhood(organs, geometry, box, localization.margin_mm)

    def _middle(self, canonical: Volume) -> Midline | None:
        """The body's middle, for merged pairs without an aorta to go by; HU are needed to see the body."""
        output = self._bundle.manifest.output
        if self._bundle.manifest.modality != "CT" or not any(
            pair.merged in output.channels for pair in output.pairs
        ):
            return None
        return body_middle(canonical.array, canonical.geometry)


def _warn_of_few_slices(volume: Volume) -> None:
    slices = to_canonical(volume)[0].geometry.size_zyx[0]
    if slices <= FEW_SLICES:
        logger.warning(
            "has only %d slice%s from feet to head; expect poor labels", slices, "s" * (slices > 1)
        )
