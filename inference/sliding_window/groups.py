"""Windows times members to scores, slab by slab.

Windows run in rows from feet to head. As soon as no later row touches a slice, its scores are final and are
handed on. Members that share a grid and windows form a group with one buffer, a window deep.

All means (over mirrored copies, overlapping windows and members) are running means
(`running_mean.RunningMean`), taken in one order whatever the plan: row, member, window, group. So slabs hold
bit for bit what the whole volume at once would, and networks that agree give exactly what they agree on.

Shapes: images (channels, z, y, x), slabs (classes, slices, y, x), all float32.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from inference.errors import UsageError
from inference.restoration.winners import Rule, fill_unseen
from inference.runtime.session import Session
from inference.sliding_window.importance import importance_map
from inference.sliding_window.member_votes import Ballot
from inference.sliding_window.one_window import activate, window_scores
from inference.sliding_window.order import Relevance, Rows, WindowOrder, order_of
from inference.sliding_window.placement import read_window, starts_of
from inference.sliding_window.running_mean import RunningMean, WholeWindows
from inference.threads import ONE_THREAD, Threads
from model.arrays import F32, Zyx, ZyxMm
from model.manifest.document import Manifest
from model.manifest.fusion import FirstThenOrgansFusion, MeanFusion, fused_scores, window_scores_of
from model.manifest.network import Member
from model.manifest.tiling import AllWindows
from model.manifest.window import AnyWindow

AddWindow = Callable[[F32, Zyx], None]
"""Adds the scores of a window that begins at a voxel of the buffer."""
CountWindows = Callable[[int, int], None]
"""Takes how many windows were run, and how many skipped, since it was called last."""


class Image(Protocol):
    """A network's input (`preprocessing.model_image.ModelImage`)."""

    size_zyx: Zyx

    def slices(self, first: int, stop: int) -> F32:
        """Slices `first` to before `stop` (channels, slices, y, x), not to be changed."""
        ...


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One member at work on one image."""

    member: Member
    image: Image
    session: Callable[[], Session]
    """Opens the member's network, or finds it open."""
    relevant: Relevance = field(default_factory=Relevance)
    """Windows that are not relevant are skipped."""
    ballot: Ballot | None = None
    """Takes what this member alone says, where there are others to compare it with."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A stream: the mean of members that share a grid and windows (`grouped`)."""

    passes: Sequence[Pass]
    channels: tuple[str, ...]
    """Names of the networks' channels; background first under softmax."""
    rule: Rule
    """What the scores of a window are."""
    probabilities: bool = False
    """Whether the mean over windows, of logits, becomes probabilities."""
    threads: Threads = ONE_THREAD
    """Work on slices."""
    alone: bool = False
    """Whether no network of another group runs while a slab is in use: it may then lie in the memory that a
    network wrote it to."""
    count: CountWindows = lambda run, skipped: None
    """Told of windows when they are done; what it raises ends the case."""

    @property
    def grid_zyx(self) -> Zyx:
        """See `streams.Stream`."""
        return self.passes[0].image.size_zyx

    @property
    def spacing_zyx_mm(self) -> ZyxMm:
        """See `streams.Stream`."""
        return self.passes[0].member.spacing_zyx_mm

    @property
    def weight(self) -> float:
        """See `streams.Stream`."""
        return sum(each.member.weight for each in self.passes)

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `streams.Stream`; only rows of windows that touch these slices are run.

        Raises:
            UsageError: a network has another number of channels than the manifest names.
        """
        size, member = self.grid_zyx, self.passes[0].member
        window = member.window_zyx[0]
        depth = min(size[0], window)
        levels = [z for z in starts_of(member, size)[0] if z < stop and z + window > first]
        whole = self.alone and whole_windows(size, [each.member for each in self.passes])
        buffer = (WholeWindows if whole else RunningMean)(len(self.channels), (depth, *size[1:]))
        for z, following in zip(levels, [*levels[1:], stop], strict=True):
            origin, final = max(0, z), max(0, following)
            for each, order in zip(self.passes, self._orders, strict=True):
                rows = Rows(each.image.slices(origin, origin + depth), origin, size)
                if left_out := order.row(z, _Row(self, each, self._adder(buffer, each), rows)):
                    self.count(0, left_out)
            part = slice(max(first, origin) - origin, min(final, stop) - origin)
            if part.start < part.stop:
                slab = fill_unseen(buffer.mean[:, part], buffer.weight[part], self.rule)
                yield activate(slab, self.rule.softmax, self.threads) if self.probabilities else slab
            buffer.advance(final - origin)

    def _adder(self, buffer: RunningMean | WholeWindows, of: Pass) -> AddWindow:
        """What adds a pass's windows to the buffer, each voxel by its importance and the member's weight."""
        if isinstance(buffer, WholeWindows):
            return lambda scores, start: buffer.take(scores, start, self.threads)
        weight = of.member.weight
        importance = self._importance if weight == 1 else self._importance * np.float32(weight)
        return lambda scores, start: buffer.add(scores, importance, start, self.threads)

    @cached_property
    def _importance(self) -> F32:
        """How much a window counts at each of its voxels, for a member of weight 1."""
        member = self.passes[0].member
        return importance_map(member.tiling.importance, member.window_zyx)

    @cached_property
    def _orders(self) -> list[WindowOrder]:
        """One for each pass.

        The same ones for every look: which levels they left out must not depend on where a look begins.
        """
        return [order_of(each.member, self.grid_zyx, self.channels, self.rule) for each in self.passes]


class _Row:
    """Runs windows of one row for one member and adds them to the group's buffer."""

    def __init__(self, group: Group, of: Pass, add: AddWindow, rows: Rows) -> None:
        self._group, self._of, self._add, self._rows = group, of, add, rows

    def __call__(self, start: Zyx) -> F32 | None:
        member, group = self._of.member, self._group
        if not self._of.relevant(self._rows, start, member.window_zyx):
            group.count(0, 1)
            return None
        z, y, x = start
        here = (z - self._rows.origin, y, x)
        window = read_window(self._rows.voxels, here, member.window_zyx, member.tiling.padding)
        scores = window_scores(window, member, self._of.session(), group.rule, group.threads)
        if len(scores) != len(group.channels):
            named = len(group.channels)
            raise UsageError(f"{member.file}: has {len(scores)} channels, the manifest names {named}")
        if self._of.ballot is not None:
            self._of.ballot.add(scores, start)  # First: adding the only window may move its scores.
        self._add(scores, here)
        group.count(1, 0)
        return scores


def whole_windows(grid_zyx: Zyx, members: Sequence[Member]) -> bool:
    """Whether `WholeWindows` gives a group's mean.

    Its members are one, or two that count as much and do not share a network, which would write both results
    to one place; the single window of each covers the whole grid, and decides on no other.
    """
    several = (
        len(members) == 2 and members[0].weight == members[1].weight and members[0].file != members[1].file
    )
    every = isinstance(members[0].tiling.order, AllWindows)
    return (len(members) == 1 or several) and every and covers(members[0].window_zyx, grid_zyx)


def covers(window_zyx: Zyx, grid_zyx: Zyx) -> bool:
    """Whether one window covers a whole grid."""
    return all(size <= side for size, side in zip(grid_zyx, window_zyx, strict=True))


def grouped(members: Sequence[Member]) -> list[list[Member]]:
    """Members in groups that share grid, windows and their order, in the order of the first of each.

    Members of different ensembles are in different groups.
    """
    groups: dict[object, list[Member]] = {}
    for member in members:
        tiling = member.tiling
        key = (
            member.spacing_zyx_mm,
            member.window_zyx,
            replace(member.window, memory=None) if isinstance(member.window, AnyWindow) else None,
            tiling.overlap,
            None if tiling.placement == "even" else member.from_end_zyx,
            tiling.importance,
            tiling.order,
            member.ensemble,
        )
        groups.setdefault(key, []).append(member)
    return list(groups.values())


def grouped_members(manifest: Manifest) -> list[list[Member]]:
    """The members in the groups in which they are run.

    The first one is alone where the others may see only a part; each is where the mean over windows is of
    logits and that over members of probabilities.
    """
    members = manifest.members
    mean = isinstance(manifest.fusion, MeanFusion)
    if mean and window_scores_of(manifest.fusion) != fused_scores(manifest.fusion):
        return [[member] for member in members]
    if isinstance(manifest.fusion, FirstThenOrgansFusion) and len(members) > 1:
        return [[members[0]], *grouped(members[1:])]
    return grouped(members)
