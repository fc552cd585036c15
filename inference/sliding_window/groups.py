"""Windows times members to probabilities, slab by slab: memory does not grow with the length of the scan.

Windows run in rows from feet to head. As soon as no later row touches a slice, its probabilities are final
and are handed on. Members that share a grid and windows form a group with one buffer, a window deep. Groups
on coarser grids are interpolated to the finest one's.

Probabilities, not logits, are averaged: over mirrored copies, over overlapping windows, over members (FLARE23
low-resource ensemble). All means are running means (`placement.RunningMean`), taken in one order whatever the
plan: row, member, window, group. So slabs hold bit for bit what the whole volume at once would, and networks
    that agree give exactly what
they agree on.

Shapes: images (z, y, x), slabs (channels, slices, y, x), all float32 in canonical orientation.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from inference.errors import UsageError
from inference.restoration.boundaries import Activation
from inference.restoration.interpolation import axis_positions, interpolate, interpolate_axis
from inference.runtime.session import Session
from inference.sliding_window.one_window import window_probabilities
from inference.sliding_window.order import CentreFirst, FullGrid, Relevance, Rows, WindowCount
from inference.sliding_window.placement import (
    RunningMean,
    importance_map,
    read_window,
    update_mean,
    window_starts,
)
from model.arrays import F32
from model.labels import BACKGROUND
from model.manifest import Member, Zyx


class Image(Protocol):
    """A network's input (`preprocessing.model_image.ModelImage`)."""

    size_zyx: Zyx

    def slices(self, first: int, stop: int) -> F32:
        """Slices `first` to before `stop` (z, y, x), not to be changed."""
        ...


class Stream(Protocol):
    """Probabilities of an image that come in slabs, as often as they are asked for."""

    @property
    def grid_zyx(self) -> Zyx:
        """Size of the grid that the probabilities lie on."""
        ...

    @property
    def weight(self) -> float:
        """Share in a mean with other streams."""
        ...

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """Slices `first` to before `stop` from feet to head.

        Each slab may be changed, and holds until the next is asked for.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One member at work on one image."""

    member: Member
    image: Image
    session: Callable[[], Session]
    """Opens the member's network, or finds it open."""
    relevant: Relevance = field(default_factory=Relevance)
    """Windows that are not are skipped."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A stream: the mean of members that share a grid and windows (`grouped`)."""

    passes: Sequence[Pass]
    channels: tuple[str, ...]
    """Names of the networks' channels; background first under softmax."""
    activation: Activation
    count: WindowCount = field(default_factory=WindowCount)
    """Grows with the windows run and skipped."""

    @property
    def grid_zyx(self) -> Zyx:
        """See `Stream`."""
        return self.passes[0].image.size_zyx

    @property
    def weight(self) -> float:
        """See `Stream`."""
        return sum(each.member.weight for each in self.passes)

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `Stream`; only rows of windows that touch these slices are run.

        Raises:
            UsageError: a network has another number of channels than the manifest names.
        """
        size, member = self.grid_zyx, self.passes[0].member
        depth = min(size[0], member.window_zyx[0])
        starts = window_starts(size[0], member.window_zyx[0], member.overlap)
        levels = [z for z in starts if z < stop and z + member.window_zyx[0] > first]
        buffer = RunningMean(len(self.channels), (depth, *size[1:]))
        for z, following in zip(levels, [*levels[1:], stop], strict=True):
            origin, final = max(0, z), max(0, following)
            for each, strategy in zip(self.passes, self._strategies, strict=True):
                rows = Rows(each.image.slices(origin, origin + depth), origin, size)
                left_out = strategy.row(z, _Row(self, each, buffer, rows))
                self.count.skipped += left_out
            part = slice(max(first, origin) - origin, min(final, stop) - origin)
            if part.start < part.stop:
                yield self._filled(buffer.mean[:, part], buffer.weight[part])
            buffer.advance(final - origin)

    @cached_property
    def _strategies(self) -> list[FullGrid | CentreFirst]:
        """One for each pass, the same ones for every look: which levels they left out must not depend on where a look begins."""
        return [self._strategy(each.member) for each in self.passes]

    def _strategy(self, member: Member) -> FullGrid | CentreFirst:
        if member.window_strategy == "centre_first":
            return CentreFirst(member, self.grid_zyx, self.channels)
        return FullGrid(member, self.grid_zyx)

    def _filled(self, slab: F32, weight: F32) -> F32:
        """Background where no window was run."""
        if self.activation == "softmax" and not weight.all():
            slab[self.channels.index(BACKGROUND)][weight == 0] = 1
        return slab


class _Row:
    """Runs windows of one row for one member and adds them to the group's buffer, which begins where the row does."""

    def __init__(self, group: Group, of: Pass, buffer: RunningMean, rows: Rows) -> None:
        self._group, self._of, self._buffer, self._rows = group, of, buffer, rows
        importance = importance_map(of.member.importance, of.member.window_zyx)
        self._importance = importance if of.member.weight == 1 else importance * np.float32(of.member.weight)

    def __call__(self, start: Zyx) -> F32 | None:
        member, group = self._of.member, self._group
        if not self._of.relevant(self._rows, start, member.window_zyx):
            group.count.skipped += 1
            return None
        group.count.run += 1
        z, y, x = start
        here = (z - self._rows.origin, y, x)
        window = read_window(self._rows.voxels, here, member.window_zyx)
        probabilities = window_probabilities(window, member, self._of.session(), group.activation)
        if len(probabilities) != len(group.channels):
            raise UsageError(
                f"{member.file}: has {len(probabilities)} channels, the manifest names {len(group.channels)}"
            )
        self._buffer.add(probabilities, self._importance, here)
        return probabilities


@dataclass(frozen=True)
class Mean:
    """A stream: the weighted mean of several on the grid of the finest one, to which the others are interpolated."""

    streams: Sequence[Stream]

    @property
    def grid_zyx(self) -> Zyx:
        """See `Stream`."""
        return max((stream.grid_zyx for stream in self.streams), key=lambda size: float(np.prod(size)))

    @property
    def weight(self) -> float:
        """See `Stream`."""
        return sum(stream.weight for stream in self.streams)

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `Stream`."""
        driver, *others = sorted(self.streams, key=lambda stream: stream.grid_zyx != self.grid_zyx)
        readers = [_Reader(stream, self.grid_zyx, first, stop) for stream in others]
        for slab in driver.slabs(first, stop):
            total = driver.weight
            for reader in readers:
                total += reader.weight
                reader.blend_into(slab, np.float32(reader.weight / total))
            yield slab


class _Reader:
    """Reads a stream on another grid a few slices at a time."""

    def __init__(self, stream: Stream, grid_zyx: Zyx, first: int, stop: int) -> None:
        self.weight = stream.weight
        self._z = axis_positions(stream.grid_zyx[0], grid_zyx[0])
        self._next = first  # Slice of the target grid that comes next.
        self._origin = int(self._z.low[first])  # Slice of the stream's grid that `_held` begins with.
        self._slabs = stream.slabs(self._origin, int(self._z.high[stop - 1]) + 1)
        self._held: F32 = np.zeros((0, 0, 0, 0), np.float32)

    def blend_into(self, slab: F32, share: np.float32) -> None:
        """Move the next slices of the mean (channels, slices, y, x) towards this stream's by `share`."""
        z = self._z.part(self._next, self._next + slab.shape[1])
        self._fill(int(z.low[0]), int(z.high[-1]) + 1)
        z = self._z.part(self._next, self._next + slab.shape[1], self._origin)
        depth, height, width = slab.shape[1:]
        for mean, held in zip(slab, self._held, strict=True):
            update_mean(mean, interpolate(interpolate_axis(held, z, 0), (depth, height, width)), share)
        self._next += depth

    def _fill(self, first: int, stop: int) -> None:
        """Hold the stream's slices `first` to before `stop`."""
        parts = [self._held] if self._held.size else []
        end = self._origin + self._held.shape[1]
        while end < stop:
            parts.append(next(self._slabs).copy())
            end += parts[-1].shape[1]
        self._held = np.concatenate(parts, axis=1)[:, first - self._origin :]
        self._origin = first


def grouped(members: Sequence[Member]) -> list[list[Member]]:
    """Members in groups that share grid, windows and strategy, in the order of the first of each."""
    groups: dict[object, list[Member]] = {}
    for member in members:
        key = (
            member.spacing_zyx_mm,
            member.window_zyx,
            member.overlap,
            member.importance,
            member.window_strategy,
        )
        groups.setdefault(key, []).append(member)
    return list(groups.values())
