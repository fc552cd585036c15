"""From a network's grid back to the image's: scores are interpolated, then the winner is taken.

Nearest-neighbour labels would show the coarse grid's steps on the organs' surfaces. But to interpolate all
classes at every voxel takes minutes and gigabytes, and is needed at boundaries only: `candidates` says where
one class is sure to win and, elsewhere, which ones may. So the result is, voxel for voxel, that of
interpolating everything. It comes slab by slab from slabs of the network's grid.

Shapes: scores (channels, z, y, x) float32; decisions (z, y, x) uint8, see `winners.decide`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.geometry import EDGES, Lines
from inference.restoration.candidates import REACH, UNDECIDED, Bits, classify, margin_of
from inference.restoration.interpolation import Axis, axis_positions, blend, interpolate_axis
from inference.restoration.winners import Rule
from inference.threads import Threads
from model.arrays import F32, U8, Zyx
from model.manifest.resampling import Interpolation

Index = NDArray[np.intp]

CROWDED = 5
"""A box is interpolated as a whole where this many times its undecided voxels are more than its voxels."""
BATCH_VOXELS = 1 << 18
"""About as many boundary voxels are interpolated at a time: their eight neighbours take 8 MiB."""
LINEAR: tuple[Interpolation, ...] = ("linear", "linear", "linear")


class Restorer:
    """Takes scores on a network's grid slab by slab and writes decisions on the image's grid.

    Args:
        grid_zyx: size of the network's grid.
        out: (z, y, x) on the image's grid over the same box; any view. Every voxel is written once the last
            slab is in.
        rule: what the scores are.
        threads: work on slices.
        part: first and one past the last of the output slices to write; None for all.
        along: `linear` or `nearest` along z, y and x.
        lines: where the output's voxels lie on the network's axes.
    """

    def __init__(
        self,
        grid_zyx: Zyx,
        out: U8,
        rule: Rule,
        threads: Threads,
        *,
        part: tuple[int, int] | None = None,
        along: Sequence[Interpolation] = LINEAR,
        lines: Lines = EDGES,
    ) -> None:
        self._out = out
        self._rule = rule
        self._threads = threads
        self._z, self._y, self._x = (
            axis_positions(m, n, kind, line)
            for m, n, kind, line in zip(grid_zyx, out.shape, along, lines, strict=True)
        )
        self._written, self._stop = part or (
            0,
            len(self._z),
        )  # The next output slice, and the one after the last.
        self.needs = (
            (int(self._z.low[self._written]), int(self._z.high[self._stop - 1]) + 1)
            if part
            else (0, grid_zyx[0])
        )
        """First and one past the last of the network's slices to be given."""
        self._received = self.needs[0]  # The network's next slice.
        self._last: F32 | None = None  # Its last slice received, (channels, 1, y, x).

    def add(self, slab: F32) -> None:
        """Take the next slices of the network's grid, from feet to head.

        (channels, slices, y, x), not kept.
        """
        first, self._received = self._received, self._received + slab.shape[1]
        if self._last is not None:
            seam = np.concatenate([self._last, slab[:, :1]], axis=1)
            self._write(seam, first - 1, int(np.searchsorted(self._z.low, first)))
        self._write(slab, first, int(np.searchsorted(self._z.high, self._received)))
        self._last = slab[:, -1:].copy()

    def _write(self, slab: F32, origin: int, stop: int) -> None:
        """Write the output slices before `stop`, which lie in the slab that begins at slice `origin`."""
        stop = min(stop, self._stop)
        if stop <= self._written:
            return
        z = self._z.part(self._written, stop, origin)
        used = slice(int(z.low[0]), int(z.high[-1]) + 1)
        axes = (z.part(0, len(z), used.start), self._y, self._x)
        boundary = _Boundary(slab[:, used], axes, self._rule, self._threads)
        out = self._out[self._written : stop]

        def slices(first: int, end: int) -> None:
            for part, decisions in boundary.decisions(first, end):
                out[part] = decisions

        self._threads.spread(slices, len(z))
        self._written = stop


class _Boundary:
    """One slab of the network's grid, and the output slices that lie in it."""

    def __init__(self, slab: F32, axes: tuple[Axis, Axis, Axis], rule: Rule, threads: Threads) -> None:
        self._slab = slab
        self._z, self._y, self._x = axes
        self._rule = rule
        self._threads = threads
        self._channels = rule.order if not rule.softmax else tuple(range(len(slab)))
        depth = slab.shape[1]
        self._margin = margin_of(slab, rule)
        self._planes = np.empty((depth, len(self._y), len(self._x)), np.uint8)
        parts = threads.spread(self._classify, depth)
        self._possible = _any_of_eight(np.concatenate([possible for possible, _ in parts], axis=1))
        ceilings = [ceiling for _, ceiling in parts if ceiling is not None]
        self._ceiling = np.concatenate(ceilings) if ceilings else None

    def _classify(self, first: int, stop: int) -> tuple[Bits, F32 | None]:
        """Fill `_planes` for some slices of the slab: what neighbours in the slice agree on."""
        found = classify(self._slab[:, first:stop], self._rule, self._margin)
        self._planes[first:stop] = _agreeing(_agreeing(found.sure, self._x, 2), self._y, 1)
        return found.possible, found.ceiling

    def decisions(self, first: int, stop: int) -> Iterator[tuple[slice, U8]]:
        """Output slices `first` to before `stop` and their decisions, some slices at a time."""
        area, workers = len(self._y) * len(self._x), self._threads.count
        step = max(1, BATCH_VOXELS * 8 // (area * workers))
        for start in range(first, stop, step):
            part = slice(start, min(start + step, stop))
            decisions = _agreeing(self._planes, self._z.part(part.start, part.stop), 0)
            for k, plane in enumerate(decisions):
                self._settle_crowded(plane, part.start + k)
            flat = decisions.reshape(-1)
            undecided = np.flatnonzero(flat == UNDECIDED)
            for batch in np.array_split(undecided, -(-len(undecided) * workers // BATCH_VOXELS) or 1):
                flat[batch] = self._interpolated(batch + part.start * area)
            yield part, decisions

    def _settle_crowded(self, plane: U8, k: int) -> None:
        """Where much of output slice `k` is undecided, interpolate the box around it, which costs less."""
        undecided = plane == UNDECIDED
        count = np.count_nonzero(undecided)
        if count * CROWDED < len(self._x):
            return
        rows, columns = np.flatnonzero(undecided.any(axis=1)), np.flatnonzero(undecided.any(axis=0))
        y, x = (slice(int(held[0]), int(held[-1]) + 1) for held in (rows, columns))
        if count * CROWDED >= (y.stop - y.start) * (x.stop - x.start):
            plane[y, x] = self._interpolated_box(k, y, x)

    def _interpolated_box(self, k: int, rows: slice, columns: slice) -> U8:
        """Decisions of a box of output slice `k`."""
        y0, x0 = int(self._y.low[rows.start]), int(self._x.low[columns.start])
        y1, x1 = int(self._y.high[rows.stop - 1]) + 1, int(self._x.high[columns.stop - 1]) + 1
        y, x = self._y.part(rows.start, rows.stop, y0), self._x.part(columns.start, columns.stop, x0)
        low, high, share = int(self._z.low[k]), int(self._z.high[k]), self._z.share[k]

        def interpolated(volume: F32) -> F32:
            plane = blend(volume[low, y0:y1, x0:x1].copy(), volume[high, y0:y1, x0:x1], share)
            return interpolate_axis(interpolate_axis(plane, y, 0), x, 1)

        def winners(channels: Sequence[int]) -> tuple[U8, F32]:
            decisions = np.zeros((len(y), len(x)), np.uint8)
            best = np.full(decisions.shape, self._bar, np.float32)
            for channel in channels:
                value = interpolated(self._slab[channel])
                np.copyto(decisions, self._rule.number(channel), where=value > best)
                if self._rule.softmax:
                    np.maximum(best, value, out=best)
            return decisions, best

        possible = np.bitwise_or.reduce(self._possible[:, low, y0:y1, x0:x1], axis=(1, 2))
        decisions, best = winners([channel for channel in self._channels if _has(possible, channel)])
        if self._ceiling is not None and self._doubtful(best, interpolated(self._ceiling)).any():
            return winners(self._channels)[0]
        return decisions

    def _interpolated(self, voxels: Index) -> U8:
        """Decisions of single output voxels, given as flat indices into the slab's output slices."""
        place = self._place(voxels)
        possible = self._possible.reshape(self._possible.shape[0], -1)[:, place.corner]
        decisions, best = self._winners(place, possible)
        if self._ceiling is not None:
            doubtful = np.flatnonzero(self._doubtful(best, place.interpolate(self._ceiling)))
            if len(doubtful):
                decisions[doubtful] = self._winners(place.part(doubtful), None)[0]
        return decisions

    def _place(self, voxels: Index) -> "_Place":
        z, rest = np.divmod(voxels, len(self._y) * len(self._x))
        y, x = np.divmod(rest, len(self._x))
        height, width = self._slab.shape[2:]
        zs, ys, xs = self._z, self._y, self._x
        return _Place(
            corner=(zs.low[z] * height + ys.low[y]) * width + xs.low[x],
            steps=(
                (zs.high - zs.low)[z] * (height * width),
                (ys.high - ys.low)[y] * width,
                (xs.high - xs.low)[x],
            ),
            shares=(zs.share[z], ys.share[y], xs.share[x]),
        )

    def _winners(self, place: "_Place", possible: Bits | None) -> tuple[U8, F32]:
        """Decisions (n,) and their scores, among the channels that are possible (words, n); None for all."""
        decisions = np.zeros(len(place.corner), np.uint8)
        best = np.full(len(place.corner), self._bar, np.float32)
        for channel in self._channels:
            if possible is None:
                here = np.arange(len(place.corner))
            else:
                here = np.flatnonzero(_has(possible, channel))
                if not len(here):
                    continue
            value = place.part(here).interpolate(self._slab[channel])
            wins = value > best[here]
            here = here[wins]
            decisions[here] = self._rule.number(channel)
            if self._rule.softmax:
                best[here] = value[wins]
        return decisions, best

    @property
    def _bar(self) -> np.float32:
        """What a channel's score must be above to count."""
        return np.float32(-np.inf) if self._rule.softmax else self._rule.threshold

    def _doubtful(self, best: F32, ceiling: F32) -> NDArray[np.bool_]:
        """Where a class that was not interpolated may be above the best one that was (see `candidates`)."""
        return best < ceiling - np.float32(REACH) + self._margin


class _Place:
    """Where single output voxels (n,) lie between eight voxels of the network's grid.

    Args:
        corner: flat index of the neighbour with the lowest indices.
        steps: what leads from there to the next slice, row and column.
        shares: weights of the neighbours that these lead to.
    """

    def __init__(self, corner: Index, steps: tuple[Index, ...], shares: tuple[F32, ...]) -> None:
        self.corner = corner
        self._steps = steps
        self._shares = shares

    def part(self, which: Index) -> "_Place":
        """Some of the voxels."""
        return _Place(
            self.corner[which],
            tuple(step[which] for step in self._steps),
            tuple(share[which] for share in self._shares),
        )

    def interpolate(self, volume: F32) -> F32:
        """Interpolate (z, y, x), contiguous or not, at the voxels: eight neighbours by z, then y, then x."""
        flat = volume.reshape(-1)
        dz, dy, dx = self._steps
        z, y, x = self._shares

        def along_z(first: Index) -> F32:
            return blend(flat[first], flat[first + dz], z)

        def along_y(first: Index) -> F32:
            return blend(along_z(first), along_z(first + dy), y)

        return blend(along_y(self.corner), along_y(self.corner + dx), x)


def _has(possible: Bits, channel: int) -> NDArray[Any]:
    """Whether a channel's bit is set; `possible` is (words, ...)."""
    word, bit = divmod(channel, 8 * possible.itemsize)
    return np.asarray(possible[word] & possible.dtype.type(1 << bit))


def _agreeing(decisions: U8, positions: Axis, axis: int) -> U8:
    """Decisions between neighbours along one axis: what both say, `UNDECIDED` where they differ.

    A new array.
    """
    low = np.take(decisions, positions.low, axis)
    low |= np.negative((low != np.take(decisions, positions.high, axis)).view(np.uint8))
    return low


def _any_of_eight(bits: Bits) -> Bits:
    """Bits that are set in any of the eight voxels of which each voxel is the first; in place."""
    bits[:, :-1] |= bits[:, 1:]
    bits[:, :, :-1] |= bits[:, :, 1:]
    bits[:, :, :, :-1] |= bits[:, :, :, 1:]
    return bits
