"""Scores of an image in slabs from feet to head, so that memory does not grow with the scan.

| stream | what it gives |
|---|---|
| `groups.Group` | the mean of members that share grid and windows, from the networks |
| `Mean` | the weighted mean of several streams, on the finest one's grid |
| `Kept` | another stream, held in memory to be given out again |
| `Cleaned` | another stream, without what clean-up removes from its own result |
| `Restored` | another stream's logits, as probabilities on the image's grid |

Shapes: slabs (classes, slices, y, x) float32.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from inference.restoration.interpolation import Axis, axis_positions, interpolate_axis
from inference.sliding_window.one_window import activate
from inference.sliding_window.running_mean import update_mean
from inference.threads import Threads
from model.arrays import F32, U8, Mask, Zyx, ZyxMm
from model.manifest.resampling import Interpolation

SLICES_AT_ONCE = 16
"""Slices of kept scores, and of restored ones at most, that are given out at a time."""
RESTORED_BYTES = 1 << 25
"""About as much restored scores take that are given out at a time."""


class Stream(Protocol):
    """Scores of an image that come in slabs, as often as they are asked for."""

    @property
    def grid_zyx(self) -> Zyx:
        """Size of the grid that the scores lie on."""
        ...

    @property
    def spacing_zyx_mm(self) -> ZyxMm:
        """Voxel size that the grid was made for."""
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


@dataclass(frozen=True)
class Mean:
    """The weighted mean of several streams, interpolated to the grid of the finest one."""

    streams: Sequence[Stream]

    @property
    def grid_zyx(self) -> Zyx:
        """See `Stream`."""
        return self._finest.grid_zyx

    @property
    def spacing_zyx_mm(self) -> ZyxMm:
        """See `Stream`."""
        return self._finest.spacing_zyx_mm

    @property
    def _finest(self) -> Stream:
        return max(self.streams, key=lambda stream: float(np.prod(stream.grid_zyx)))

    @property
    def weight(self) -> float:
        """See `Stream`."""
        return sum(stream.weight for stream in self.streams)

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `Stream`."""
        driver, *others = sorted(self.streams, key=lambda stream: stream.grid_zyx != self.grid_zyx)
        readers = [_Reader(stream, _axes(stream.grid_zyx, self.grid_zyx), first, stop) for stream in others]
        for slab in driver.slabs(first, stop):
            total = driver.weight
            for reader in readers:
                total += reader.weight
                reader.blend_into(slab, np.float32(reader.weight / total))
            yield slab


class _Reader:
    """Reads a stream on another grid a few slices at a time."""

    def __init__(self, stream: Stream, axes: tuple[Axis, Axis, Axis], first: int, stop: int) -> None:
        self.weight = stream.weight
        self._z, *self._in_plane = axes
        self._next = first  # Slice of the target grid that comes next.
        self._origin = int(self._z.low[first])  # Slice of the stream's grid that `_held` begins with.
        self._slabs = stream.slabs(self._origin, int(self._z.high[stop - 1]) + 1)
        self._held: F32 = np.zeros((0, 0, 0, 0), np.float32)

    def blend_into(self, slab: F32, share: np.float32) -> None:
        """Move the next slices of the mean (classes, slices, y, x) towards this stream's by `share`."""
        for mean, found in zip(slab, self.channels(slab.shape[1]), strict=True):
            update_mean(mean, found, share)

    def channels(self, depth: int) -> Iterator[F32]:
        """The next slices of each channel (slices, y, x); all are to be taken before more are asked for."""
        z = self._z.part(self._next, self._next + depth)
        self._fill(int(z.low[0]), int(z.high[-1]) + 1)
        z = self._z.part(self._next, self._next + depth, self._origin)
        self._next += depth
        for held in self._held:
            found = interpolate_axis(held, z, 0)
            for axis, positions in enumerate(self._in_plane, start=1):
                if found.shape[axis] != len(positions):  # Grids of one size are the same.
                    found = interpolate_axis(found, positions, axis)
            yield found

    def _fill(self, first: int, stop: int) -> None:
        """Hold the stream's slices `first` to before `stop`.

        A slab is copied only where some of it is still needed when the next one is asked for.
        """
        passed = min(first - self._origin, self._held.shape[1])
        origin, held = self._origin + passed, self._held[:, passed:]
        end = origin + held.shape[1]
        if end < stop:
            parts = [held.copy()] if held.size else []
            self._held = held = np.zeros((0, 0, 0, 0), np.float32)
            while end < stop:
                slab = next(self._slabs)
                end += slab.shape[1]
                parts.append(slab.copy() if end < stop else slab)
            held = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        self._held, self._origin = held[:, first - origin :], first


def _axes(
    size_zyx: Zyx, to_zyx: Zyx, along: Sequence[Interpolation] = ("linear",) * 3
) -> tuple[Axis, Axis, Axis]:
    z, y, x = (axis_positions(m, n, kind) for m, n, kind in zip(size_zyx, to_zyx, along, strict=True))
    return z, y, x


class Restored:
    """A stream of logits on another grid, as probabilities on the image's.

    Args:
        stream: what is restored.
        grid_zyx: size of the image's region.
        spacing_zyx_mm: the image's.
        along: how it is interpolated along z, y and x.
        channels: of the scores.
        softmax: whether they exclude each other; else each is on or off (sigmoid).
        threads: work on slices.
    """

    def __init__(
        self,
        stream: Stream,
        grid_zyx: Zyx,
        spacing_zyx_mm: ZyxMm,
        *,
        along: Sequence[Interpolation],
        channels: int,
        softmax: bool,
        threads: Threads,
    ) -> None:
        self._stream = stream
        self._along = along
        self._channels = channels
        self._softmax = softmax
        self._threads = threads
        self.grid_zyx: Zyx = grid_zyx
        self.spacing_zyx_mm: ZyxMm = spacing_zyx_mm
        self.weight: float = stream.weight

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `Stream`."""
        reader = _Reader(self._stream, _axes(self._stream.grid_zyx, self.grid_zyx, self._along), first, stop)
        step = restored_slices(self.grid_zyx, self._channels)
        for start in range(first, stop, step):
            slab = np.empty((self._channels, min(step, stop - start), *self.grid_zyx[1:]), np.float32)
            for channel, found in zip(slab, reader.channels(slab.shape[1]), strict=True):
                channel[...] = found
            yield activate(slab, self._softmax, self._threads)


def restored_slices(grid_zyx: Zyx, channels: int) -> int:
    """Slices that `Restored` gives out at a time, of a grid of this size."""
    _, height, width = grid_zyx
    return min(grid_zyx[0], max(1, min(SLICES_AT_ONCE, RESTORED_BYTES // (4 * channels * height * width))))


class Kept:
    """A stream whose slabs stay in memory, to be given out again.

    Each slice may be changed in its second look only.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._held: F32 | None = None
        self.grid_zyx: Zyx = stream.grid_zyx
        self.spacing_zyx_mm: ZyxMm = stream.spacing_zyx_mm
        self.weight: float = stream.weight

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `Stream`; the first call must ask for all slices and take all slabs."""
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
    """A stream of probabilities in which removed voxels have none left for what was removed.

    Args:
        stream: what is cleaned.
        decisions: (z, y, x) winners of the stream, see `winners.decide`.
        removed: (z, y, x) voxels whose winner is removed.
        channels: (decisions, channels) which channels lose their probability where a decision is removed.
            Channel 0 gets it, as the background, unless it is among those of any decision.
    """

    def __init__(self, stream: Stream, decisions: U8, removed: Mask, channels: Mask) -> None:
        self._stream = stream
        self._decisions = decisions
        self._removed = removed
        self._channels = channels
        self.grid_zyx: Zyx = stream.grid_zyx
        self.spacing_zyx_mm: ZyxMm = stream.spacing_zyx_mm
        self.weight: float = stream.weight

    def slabs(self, first: int, stop: int) -> Iterator[F32]:
        """See `Stream`."""
        background = not self._channels[:, 0].any()
        for slab in self._stream.slabs(first, stop):
            part = slice(first, first + slab.shape[1])
            first = part.stop
            z, y, x = np.nonzero(self._removed[part])
            if len(z):
                lost = self._channels[self._decisions[part][z, y, x]]
                for channel, where in enumerate(lost.T):
                    here = z[where], y[where], x[where]
                    if background:
                        slab[0][here] += slab[channel][here]
                    slab[channel][here] = 0
            yield slab
