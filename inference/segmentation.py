"""From a region of an image to channel indices: members at work, slab by slab, and the recipes that look twice.

| recipe | first look | second look |
|---|---|---|
| plain | all members → channel indices | |
| `crop_after_first` | first member → channel indices | the others, mean with the first, on the organs' slices |
| `after_postprocessing` | each group → what its clean-up removes | mean of all groups without that |

Probabilities that are looked at twice stay in memory or are computed again, whichever the plan says; the
result is the same. Arrays are (z, y, x) in canonical orientation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.planning.planner import InferencePlan, grouped_members
from inference.postprocessing.components import clean_up
from inference.postprocessing.laterality import split_pairs
from inference.preprocessing.intensity import ImageStatistics
from inference.preprocessing.model_image import ModelImage
from inference.preprocessing.resampling import resample_geometry
from inference.restoration.boundaries import Restorer, decide
from inference.runtime.session_pool import Sessions
from inference.sliding_window.groups import Group, Mean, Pass, Stream
from inference.sliding_window.order import Relevance, WindowCount
from inference.timing import Timings
from model.arrays import F32, U8, Mask
from model.bundle import ModelBundle
from model.labels import BACKGROUND, TUMOR
from model.manifest import Manifest, Member, PostProcessing, Zyx

SLICES_AT_ONCE = 16
"""Of probabilities that are given out again."""
MARGIN_MM = 20.0
"""How far above and below the organs a tumor still counts as among them."""


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """One region of one case."""

    bundle: ModelBundle
    sessions: Sessions
    plan: InferencePlan
    region: Volume
    statistics: ImageStatistics | None
    """Of the whole image."""
    near_organs: Mask | None
    """Where windows may find something, on any grid over the region; None for everywhere."""
    timings: Timings
    count: WindowCount = field(default_factory=WindowCount)

    def write(self, out: U8) -> None:
        """Write the region's channel indices into a view of the canonical label map.

        0 is background, else as `decide` says.
        """
        manifest = self.bundle.manifest
        groups: list[Stream] = [self._group(members) for members in grouped_members(self.bundle)]
        if manifest.crop_after_first and len(groups) > 1:
            first = self._twice(groups[0])
            self._restore(first, out, None)
            organs = organ_slices(out, manifest, self.region.geometry.spacing_zyx_mm[0])
            if organs is not None:
                self._restore(Mean([first, *groups[1:]]), out, organs)
            return
        if manifest.fuse == "after_postprocessing" and manifest.postprocessing:
            groups = [self._cleaned(self._twice(group)) for group in groups]
        self._restore(groups[0] if len(groups) == 1 else Mean(groups), out, None)

    def _restore(self, stream: Stream, out: U8, part: tuple[int, int] | None) -> None:
        restorer = Restorer(stream.grid_zyx, out, self.bundle.manifest.output.activation, part)
        slabs = stream.slabs(*restorer.needs)
        while True:
            with self.timings.stage("networks"):
                slab = next(slabs, None)
            if slab is None:
                return
            with self.timings.stage("restore"):
                restorer.add(slab)

    def _group(self, members: Sequence[Member]) -> Group:
        images: dict[object, ModelImage] = {}

        def work(member: Member) -> Pass:
            image = images.setdefault(
                (member.intensity, member.interpolation), ModelImage(self.region, member, self.statistics)
            )
            air = image.air() if member.skip_air and self.bundle.manifest.modality == "CT" else None
            relevant = Relevance(air=air, region=self.near_organs)
            return Pass(
                member=member, image=image, session=lambda: self.sessions.get(member), relevant=relevant
            )

        output = self.bundle.manifest.output
        passes = [work(member) for member in members]
        return Group(passes=passes, channels=output.channels, activation=output.activation, count=self.count)

    def _twice(self, stream: Stream) -> Stream:
        return Kept(stream) if self.plan.keep else stream

    def _cleaned(self, stream: Stream) -> Stream:
        """A stream without what the manifest's rules remove from its own result, judged on its own grid."""
        manifest = self.bundle.manifest
        with self.timings.stage("networks"):
            decisions = np.concatenate(
                [decide(slab, manifest.output.activation) for slab in stream.slabs(0, stream.grid_zyx[0])]
            )
        with self.timings.stage("clean up"):
            removed = removed_by_rules(
                decisions,
                resample_geometry(self.region.geometry, stream.grid_zyx),
                self.region.geometry,
                manifest,
            )
        return Cleaned(stream, decisions, removed, manifest.output.activation == "softmax")


class Kept:
    """A stream whose slabs stay in memory, to be given out again.

    Each slice may be changed in its second look only.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._held: F32 | None = None
        self.grid_zyx: Zyx = stream.grid_zyx
        self.weight: float = stream.weight

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `sliding_window.groups.Stream`; the first call must ask for all slices and take all slabs."""
        if self._held is not None:
            for start in range(first, stop, SLICES_AT_ONCE):
                yield self._held[:, start : min(start + SLICES_AT_ONCE, stop)]
            return
        assert (first, stop) == (0, self.grid_zyx[0]), "the first look is at everything"
        done = 0
        for slab in self._stream.slabs(first, stop):
            if self._held is None:
                self._held = np.empty((len(slab), *self.grid_zyx), np.float32)
            self._held[:, done : done + slab.shape[1]] = slab
            done += slab.shape[1]
            yield slab


class Cleaned:
    """A stream whose removed voxels have no probability left for the structure that was removed."""

    def __init__(self, stream: Stream, decisions: U8, removed: Mask, softmax: bool) -> None:
        self._stream = stream
        self._decisions = decisions
        self._removed = removed
        self._softmax = softmax
        self.grid_zyx: Zyx = stream.grid_zyx
        self.weight: float = stream.weight

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `sliding_window.groups.Stream`. Under softmax what the structure had goes to the background."""
        for slab in self._stream.slabs(first, stop):
            part = slice(first, first + slab.shape[1])
            first = part.stop
            z, y, x = np.nonzero(self._removed[part])
            if len(z):
                # Under sigmoid there is no background among the channels, so that decision n is channel n -
                # 1.
                channel = self._decisions[part][z, y, x] - (not self._softmax)
                if self._softmax:
                    slab[0, z, y, x] += slab[channel, z, y, x]
                slab[channel, z, y, x] = 0
            yield slab


def removed_by_rules(decisions: U8, grid: Geometry, image: Geometry, manifest: Manifest) -> Mask:
    """Voxels whose structure the manifest's post-processing removes.

    Args:
        decisions: (z, y, x) channel indices on a model's grid.
        grid: of `decisions`.
        image: grid on which the rules count voxels.
        manifest: rules and names.
    """
    labels = split_pairs(decisions, grid, manifest.output)
    ratio = image.voxel_ml / grid.voxel_ml
    rules: dict[str, PostProcessing] = {
        name: replace(rule, min_voxels=ceil(rule.min_voxels * ratio))
        for name, rule in (manifest.postprocessing or {}).items()
    }
    cleaned = clean_up(labels, grid.spacing_zyx_mm, rules, manifest.output.as_label_set())
    return np.asarray(labels != cleaned, bool)


def organ_slices(decisions: U8, manifest: Manifest, spacing_z_mm: float) -> tuple[int, int] | None:
    """The slices that the other members look at after the first: those of the organs, if no tumor lies above or below.

    Args:
        decisions: (z, y, x) the first member's channel indices.
        manifest: names of the channels.
        spacing_z_mm: between the slices.

    Returns:
        First and one past the last slice, with a margin; all slices where a tumor lies outside; None where
        nothing was found.
    """
    structures = [name for name in manifest.output.channels if name != BACKGROUND]
    tumor = structures.index(TUMOR) + 1 if TUMOR in structures else 0
    everything = np.array([plane.any() for plane in decisions], bool)
    if not everything.any():
        return None
    organs = np.array([bool(((plane != 0) & (plane != tumor)).any()) for plane in decisions], bool)
    held = np.flatnonzero(organs)
    margin = ceil(MARGIN_MM / spacing_z_mm)
    first, stop = (
        (max(0, int(held[0]) - margin), min(len(organs), int(held[-1]) + 1 + margin)) if held.size else (0, 0)
    )
    outside = everything[:first].any() or everything[stop:].any()
    return (0, len(organs)) if outside else (first, stop)
