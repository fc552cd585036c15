"""From a region of an image to decisions: members at work, slab by slab, and the fusions that look twice.

| fusion | first look | second look |
|---|---|---|
| `mean` | all members → decisions | |
| `first_then_organs` | first member → decisions | the others, mean with the first, on the organs' slices |
| `cleaned_groups` | each group (of groups) → what its clean-up removes | mean of all groups without that |
| `restored_ensembles` | each ensemble → probabilities on the image's grid → mean → decisions | |

Scores that are looked at twice stay in memory or are computed again, whichever the plan says; the result is
the same. Arrays are (z, y, x).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from inference.attempt import Attempt
from inference.geometry import Geometry, Lines
from inference.imaging.volume import Volume
from inference.planning.plan import InferencePlan
from inference.postprocessing.components import clean_up
from inference.postprocessing.laterality import split_pairs
from inference.postprocessing.midline import Midline
from inference.postprocessing.runs import ScatteredError
from inference.preprocessing.model_grid import input_scheme, model_grid
from inference.preprocessing.model_image import CaseStatistics, ModelImage
from inference.preprocessing.resampling import resample_geometry
from inference.restoration.boundaries import Restorer
from inference.restoration.winners import Rule, decide, rule_of, window_rule_of
from inference.runtime.session_pool import Sessions
from inference.sliding_window.groups import Group, Pass
from inference.sliding_window.member_votes import Ballot, points_over
from inference.sliding_window.order import Air, Relevance
from inference.sliding_window.streams import Cleaned, Kept, Mean, Restored, Stream
from inference.threads import Threads
from model.arrays import U8, Mask
from model.bundle import ModelBundle
from model.labels import channel_ids
from model.manifest.clean_up import CleanUpStep, MinVoxels
from model.manifest.fusion import FirstThenOrgansFusion, RestoredEnsemblesFusion
from model.manifest.network import Member
from model.manifest.output import Output, Softmax
from model.manifest.resampling import along_axes

MARGIN_MM = 20.0
"""How far above and below the organs a lesion still counts as among them."""


@dataclass(frozen=True, kw_only=True)
class Segmentation:
    """One region of one case."""

    bundle: ModelBundle
    sessions: Sessions
    plan: InferencePlan
    region: Volume
    """What is segmented, in the orientation in which the networks look at it."""
    statistics: CaseStatistics
    near_organs: Mask | None
    """Where windows may find something, on any grid over the region; None for everywhere."""
    attempt: Attempt
    """Counts windows, takes times, warnings and what each of several members says by itself."""
    threads: Threads
    middle: Callable[[], Midline | None]
    """Finds the body's middle, for pairs without an aorta to go by."""

    def write(self, out: U8) -> None:
        """Write the region's decisions into a view of the map: 0 is background, n the n-th structure."""
        manifest = self.bundle.manifest
        members_of = self.plan.members(manifest)
        self.sessions.prepare([member for members in members_of for member in members])
        groups: list[Stream] = [self._group(members) for members in members_of]
        if isinstance(manifest.fusion, FirstThenOrgansFusion) and len(groups) > 1:
            first = self._twice(groups[0])
            self._restore(first, out, None)
            organs = organ_slices(out, manifest.output, self.region.geometry.spacing_zyx_mm[0])
            if organs is not None:
                self._restore(Mean([first, *groups[1:]]), out, organs)
            return
        names = [members[0].ensemble for members in members_of]
        if isinstance(manifest.fusion, RestoredEnsemblesFusion):
            groups = [self._restored(stream) for _, stream in ensembles(groups, names)]
        if manifest.cleans_before_fusion:
            groups = [
                self._cleaned(self._twice(stream), manifest.clean_up_of(name))
                for name, stream in ensembles(groups, names)
            ]
        self._restore(_mean(groups), out, None)

    @property
    def _rule(self) -> Rule:
        return rule_of(self.bundle.manifest)

    def _restore(self, stream: Stream, out: U8, part: tuple[int, int] | None) -> None:
        restoration, geometry = self.bundle.manifest.restoration, self.region.geometry
        along = along_axes(restoration, stream.spacing_zyx_mm, geometry.spacing_zyx_mm)
        restorer = Restorer(
            stream.grid_zyx, out, self._rule, self.threads, part=part, along=along, lines=self._lines
        )
        slabs = stream.slabs(*restorer.needs)
        while True:
            with self.attempt.timings.stage("networks"):
                slab = next(slabs, None)
            if slab is None:
                return
            with self.attempt.timings.stage("restore"):
                restorer.add(slab)

    @property
    def _lines(self) -> Lines:
        """Where the region's voxels lie on the axes of the networks' grids."""
        manifest, geometry = self.bundle.manifest, self.region.geometry
        scheme = input_scheme(manifest, manifest.members[0])
        z, y, x = (
            line and line.inverse
            for line in model_grid(geometry.size_zyx, geometry.spacing_zyx_mm, scheme).lines
        )
        return z, y, x

    def _group(self, members: Sequence[Member]) -> Group:
        manifest = self.bundle.manifest
        images: dict[object, ModelImage] = {}

        def work(member: Member) -> Pass:
            scheme = input_scheme(manifest, member)
            if scheme not in images:
                images[scheme] = ModelImage(self.region, scheme, self.statistics, self.threads)
            image, ct = images[scheme], manifest.ct_channel
            air = Air(ct, image.air(ct)) if member.tiling.skip_air and ct is not None else None
            return Pass(
                member=member,
                image=image,
                session=lambda: self.sessions.get(member),
                relevant=Relevance(air=air, region=self.near_organs),
                ballot=self._ballot(member, image),
            )

        return Group(
            passes=[work(member) for member in members],
            channels=manifest.output.channels,
            rule=window_rule_of(manifest),
            probabilities=window_rule_of(manifest) != self._rule
            and not isinstance(manifest.fusion, RestoredEnsemblesFusion),
            threads=self.threads,
            alone=len(self.plan.groups) == 1,
            count=self.attempt.count_windows,
        )

    def _ballot(self, member: Member, image: ModelImage) -> Ballot | None:
        """What takes a member's own winners, where there are others."""
        if len(self.bundle.manifest.members) < 2:
            return None
        points = points_over(self.region.geometry.size_zyx, self.region.geometry.spacing_zyx_mm)
        ballot = Ballot(points, image.size_zyx, member, window_rule_of(self.bundle.manifest))
        self.attempt.ballots.append(ballot)
        return ballot

    def _twice(self, stream: Stream) -> Stream:
        return Kept(stream) if self.plan.keep else stream

    def _restored(self, stream: Stream) -> Stream:
        """Probabilities of an ensemble on the image's grid."""
        geometry, manifest = self.region.geometry, self.bundle.manifest
        return Restored(
            stream,
            geometry.size_zyx,
            geometry.spacing_zyx_mm,
            along=along_axes(manifest.restoration, stream.spacing_zyx_mm, geometry.spacing_zyx_mm),
            channels=len(manifest.output.channels),
            softmax=self._rule.softmax,
            threads=self.threads,
        )

    def _cleaned(self, stream: Stream, steps: Sequence[CleanUpStep]) -> Stream:
        """A stream without what clean-up removes from its own result, judged on its own grid."""
        rule = self._rule
        with self.attempt.timings.stage("networks"):
            decisions = np.concatenate([decide(slab, rule) for slab in stream.slabs(0, stream.grid_zyx[0])])
        with self.attempt.timings.stage("clean up"):
            grid = resample_geometry(self.region.geometry, stream.grid_zyx)
            output = self.bundle.manifest.output
            try:
                removed = removed_by_steps(decisions, grid, self.region.geometry, output, steps, self.middle)
            except ScatteredError as error:
                self.attempt.warn(str(error))
                return stream
        return Cleaned(stream, decisions, removed, removed_channels(output))


def ensembles(groups: Sequence[Stream], names: Sequence[str | None]) -> list[tuple[str | None, Stream]]:
    """Each name and the mean of its groups, in the order of the first of each.

    A group without a name stands for itself.
    """
    found: dict[object, list[int]] = {}
    for index, name in enumerate(names):
        found.setdefault(index if name is None else name, []).append(index)
    return [(names[held[0]], _mean([groups[index] for index in held])) for held in found.values()]


def _mean(streams: Sequence[Stream]) -> Stream:
    return streams[0] if len(streams) == 1 else Mean(streams)


def removed_channels(output: Output) -> Mask:
    """Which channels (structures + 1, channels) lose their probability where a decision is removed.

    Under softmax those that are written as the same structure; under sigmoid all: what is removed becomes
    background, not the region around it.
    """
    softmax = isinstance(output.activation, Softmax)
    table = np.zeros((len(output.structures) + 1, len(output.channels)), bool)
    for number, structure in enumerate(output.structures, start=1):
        for channel, other in enumerate(output.channels):
            same = other in output.structures and output.structure_of(other) == output.structure_of(structure)
            table[number, channel] = same or not softmax
    return table


def removed_by_steps(
    decisions: U8,
    grid: Geometry,
    image: Geometry,
    output: Output,
    steps: Sequence[CleanUpStep],
    middle: Callable[[], Midline | None] = lambda: None,
) -> Mask:
    """Voxels whose structure clean-up removes.

    Args:
        decisions: (z, y, x) on a network's grid.
        grid: where `decisions` lie.
        image: grid on which the steps count voxels.
        output: names and ids.
        steps: of the clean-up.
        middle: finds that of the body, see `split_pairs`.

    Raises:
        ScatteredError: the decisions are noise.
    """
    labels = split_pairs(decisions, grid, output, middle)
    ratio = image.voxel_ml / grid.voxel_ml
    on_grid = [
        replace(step, voxels=max(1, ceil(step.voxels * ratio))) if isinstance(step, MinVoxels) else step
        for step in steps
    ]
    cleaned = clean_up(labels, grid.spacing_zyx_mm, on_grid, output.as_label_set())
    return np.asarray(labels != cleaned, bool)


def organ_slices(decisions: U8, output: Output, spacing_z_mm: float) -> tuple[int, int] | None:
    """The slices that the other members look at after the first.

    Those of the organs, if no lesion lies above or below.

    Args:
        decisions: (z, y, x) the first member's.
        output: names of the channels, and which of them are lesions.
        spacing_z_mm: between the slices.

    Returns:
        First and one past the last slice, with a margin; all slices where a lesion lies outside; None where
        nothing was found.
    """
    label_set, is_organ = output.as_label_set(), np.zeros(256, bool)
    lesions = {output.labels[lesion] for lesion in output.lesions}
    for number, channel in enumerate(output.structures, start=1):
        written = output.structure_of(channel)
        is_organ[number] = written is not None and not lesions.issuperset(channel_ids(label_set, written))
    everything = np.array([plane.any() for plane in decisions], bool)
    if not everything.any():
        return None
    organs = np.array([bool(is_organ[np.unique(plane)].any()) for plane in decisions], bool)
    held = np.flatnonzero(organs)
    margin = ceil(MARGIN_MM / spacing_z_mm)
    first, stop = (
        (max(0, int(held[0]) - margin), min(len(organs), int(held[-1]) + 1 + margin)) if held.size else (0, 0)
    )
    outside = everything[:first].any() or everything[stop:].any()
    return (0, len(organs)) if outside else (first, stop)
