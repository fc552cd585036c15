"""From the model grid back to the input grid: class probabilities are interpolated, then the winner is taken.

Nearest-neighbour labels would show the model grid's steps on the organs' surfaces. But to interpolate all
classes at every voxel takes minutes and gigabytes, and is needed at boundaries only:

- A voxel between eight model voxels that one class wins with more than half of the probability goes to that
  class: interpolation is a weighted mean, so the class keeps more than half. `SURE` leaves room for float32's
      rounding.
- At the other voxels a class can win only if one of the eight model voxels gives it at least 1/classes; only
  such classes are interpolated.

So the result is, voxel for voxel, that of interpolating everything. It comes slab by slab from slabs of the
model grid.

Shapes: probabilities (channels, z, y, x) float32; decisions (z, y, x) uint8, 0 = background, then as `decide`
    says.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.restoration.interpolation import Axis, axis_positions, blend, interpolate_axis
from inference.threads import spread, threads
from model.manifest import Zyx

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Index = NDArray[np.intp]
Activation = Literal["softmax", "sigmoid"]

SURE = 1e-4
"""How far from one half a probability must be to be sure; rounding moves an interpolated one by less than
1e-6."""
UNDECIDED = 255
"""Stands for "interpolate here" among decisions; there are never so many channels."""
CROWDED = 5
"""A box is interpolated as a whole where this many times its undecided voxels are more than its voxels."""
BATCH_VOXELS = 1 << 18
"""About as many boundary voxels are interpolated at a time: their eight neighbours take 8 MiB."""


def decide(probabilities: F32, activation: Activation) -> U8:
    """The winning channel of each voxel; probabilities (channels, ...), result (...).

    Under softmax the channel with the largest probability, the first of equals. Under sigmoid 0 where no
    channel is above 0.5, else 1 + the last channel that is (nnU-Net's regions: later ones lie inside earlier
    ones).
    """
    if activation == "softmax":
        return np.asarray(probabilities.argmax(axis=0), np.uint8)
    decisions = np.zeros(probabilities.shape[1:], np.uint8)
    for index, channel in enumerate(probabilities, start=1):
        decisions[channel > 0.5] = index
    return decisions


class Restorer:
    """Takes the model grid's probabilities slab by slab and writes decisions on the input grid.

    Args:
        grid_zyx: size of the model grid.
        out: (z, y, x) on the input grid over the same box; any view. Every voxel is written once the last
            slab is in.
        activation: see `decide`.
        part: first and one past the last of the output slices to write; None for all.
    """

    def __init__(
        self, grid_zyx: Zyx, out: U8, activation: Activation, part: tuple[int, int] | None = None
    ) -> None:
        self._out = out
        self._activation: Activation = activation
        self._z, self._y, self._x = (axis_positions(m, n) for m, n in zip(grid_zyx, out.shape, strict=True))
        self._written, self._stop = part or (
            0,
            len(self._z),
        )  # The next output slice to write, and the one after the last.
        self.needs = (
            (int(self._z.low[self._written]), int(self._z.high[self._stop - 1]) + 1)
            if part
            else (0, grid_zyx[0])
        )
        """First and one past the last of the model slices to be given."""
        self._received = self.needs[0]  # The next model slice.
        self._last: F32 | None = None  # The last model slice received, (channels, 1, y, x).

    def add(self, slab: F32) -> None:
        """Take the next slices of the model grid, from feet to head; (channels, slices, y, x), not kept."""
        first, self._received = self._received, self._received + slab.shape[1]
        if self._last is not None:
            seam = np.concatenate([self._last, slab[:, :1]], axis=1)
            self._write(seam, first - 1, int(np.searchsorted(self._z.low, first)))
        self._write(slab, first, int(np.searchsorted(self._z.high, self._received)))
        self._last = slab[:, -1:].copy()

    def _write(self, slab: F32, origin: int, stop: int) -> None:
        """Write the output slices before `stop`, which lie between slices of the slab that begins at `origin`."""
        stop = min(stop, self._stop)
        if stop <= self._written:
            return
        z = self._z.part(self._written, stop, origin)
        used = slice(int(z.low[0]), int(z.high[-1]) + 1)
        boundary = _Boundary(slab[:, used], z.part(0, len(z), used.start), self._y, self._x, self._activation)
        out = self._out[self._written : stop]

        def slices(first: int, end: int) -> None:
            for part, decisions in boundary.decisions(first, end):
                out[part] = decisions

        spread(slices, len(z))
        self._written = stop


class _Boundary:
    """One slab of the model grid, and the output slices that lie in it."""

    def __init__(self, slab: F32, z: Axis, y: Axis, x: Axis, activation: Activation) -> None:
        self._slab = slab
        self._z, self._y, self._x = z, y, x
        self._activation = activation
        depth = slab.shape[1]
        self._planes = np.empty((depth, len(y), len(x)), np.uint8)
        possible: list[NDArray[np.unsignedinteger]] = spread(self._classify, depth)
        self._possible = _any_of_eight(np.concatenate(possible, axis=1))

    def _classify(self, first: int, stop: int) -> NDArray[np.unsignedinteger]:
        """Fill `_planes` for some slices of the slab: what neighbours in the slice agree on.

        And the channels possible in them.
        """
        sure, possible = classify(self._slab[:, first:stop], self._activation)
        self._planes[first:stop] = _agreeing(_agreeing(sure, self._x, 2), self._y, 1)
        return possible

    def decisions(self, first: int, stop: int) -> Iterator[tuple[slice, U8]]:
        """Output slices `first` to before `stop` and their decisions, some slices at a time."""
        step = max(1, BATCH_VOXELS * 8 // (len(self._y) * len(self._x) * threads()))
        for start in range(first, stop, step):
            part = slice(start, min(start + step, stop))
            decisions = _agreeing(self._planes, self._z.part(part.start, part.stop), 0)
            for k, plane in enumerate(decisions):
                self._settle_crowded(plane, part.start + k)
            flat = decisions.reshape(-1)
            undecided = np.flatnonzero(flat == UNDECIDED)
            for batch in np.array_split(undecided, -(-len(undecided) * threads() // BATCH_VOXELS) or 1):
                flat[batch] = self._interpolated(batch + part.start * len(self._y) * len(self._x))
            yield part, decisions

    def _settle_crowded(self, plane: U8, k: int) -> None:
        """Where much of output slice `k` is undecided, interpolate the box around it as a whole, which costs less by the voxel."""
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
        possible = np.bitwise_or.reduce(self._possible[:, low, y0:y1, x0:x1], axis=(1, 2))

        decisions = np.zeros((len(y), len(x)), np.uint8)
        best = np.full(decisions.shape, 0.5 if self._activation == "sigmoid" else -1, np.float32)
        for channel, probabilities in enumerate(self._slab):
            word, bit = divmod(channel, 8 * possible.itemsize)
            if not possible[word] & possible.dtype.type(1 << bit):
                continue
            plane = blend(probabilities[low, y0:y1, x0:x1].copy(), probabilities[high, y0:y1, x0:x1], share)
            value = interpolate_axis(interpolate_axis(plane, y, 0), x, 1)
            np.copyto(decisions, channel + (self._activation == "sigmoid"), where=value > best)
            if self._activation == "softmax":
                np.maximum(best, value, out=best)
        return decisions

    def _interpolated(self, voxels: Index) -> U8:
        """Decisions of single output voxels, given as flat indices into the slab's output slices."""
        z, rest = np.divmod(voxels, len(self._y) * len(self._x))
        y, x = np.divmod(rest, len(self._x))
        height, width = self._slab.shape[2:]
        zs, ys, xs = self._z, self._y, self._x
        corner = (zs.low[z] * height + ys.low[y]) * width + xs.low[x]
        steps = (
            (zs.high - zs.low)[z] * (height * width),
            (ys.high - ys.low)[y] * width,
            (xs.high - xs.low)[x],
        )
        shares = (zs.share[z], ys.share[y], xs.share[x])
        possible = self._possible.reshape(self._possible.shape[0], -1)[:, corner]

        decisions = np.zeros(len(voxels), np.uint8)
        best = np.full(len(voxels), 0.5 if self._activation == "sigmoid" else -1, np.float32)
        for channel, probabilities in enumerate(self._slab):
            word, bit = divmod(channel, 8 * possible.itemsize)
            here = np.flatnonzero(possible[word] & possible.dtype.type(1 << bit))
            if not len(here):
                continue
            value = _at_corners(
                probabilities, corner[here], [step[here] for step in steps], [share[here] for share in shares]
            )
            wins = value > best[here]
            here = here[wins]
            decisions[here] = channel + (self._activation == "sigmoid")
            if self._activation == "softmax":
                best[here] = value[wins]
        return decisions


def classify(slab: F32, activation: Activation) -> tuple[U8, NDArray[np.unsignedinteger]]:
    """What each model voxel settles by itself, and which channels could win near it.

    Returns:
        Sure decisions (z, y, x), `UNDECIDED` where there is none; and channels that may win next to the voxel
        as bits, (words, z, y, x), channel c in bit c % bits of word c // bits.
    """
    channels, depth = slab.shape[:2]
    dtype = np.dtype(np.uint8 if channels <= 8 else np.uint16 if channels <= 16 else np.uint32)
    possible = np.zeros((-(-channels // (8 * dtype.itemsize)), *slab.shape[1:]), dtype)
    sure = np.full(slab.shape[1:], UNDECIDED if activation == "softmax" else 0, np.uint8)
    could_win = np.float32((1 / channels if activation == "softmax" else 0.5) - SURE)
    for k in range(depth):  # A slice at a time stays in the processor's cache.
        for channel in range(channels):
            plane = slab[channel, k]
            word, bit = divmod(channel, 8 * dtype.itemsize)
            possible[word, k] |= (plane >= could_win).astype(dtype) << dtype.type(bit)
            if activation == "softmax":
                # At most one channel is above one half, so these never meet.
                sure[k] ^= (plane > np.float32(0.5 + SURE)).view(np.uint8) * np.uint8(UNDECIDED ^ channel)
            else:
                np.copyto(sure[k], channel + 1, where=plane > 0.5)
                np.copyto(sure[k], UNDECIDED, where=np.abs(plane - np.float32(0.5)) < SURE)
    return sure, possible


def _agreeing(decisions: U8, positions: Axis, axis: int) -> U8:
    """Decisions between neighbours along one axis: what both say, `UNDECIDED` where they differ.

    A new array.
    """
    low = np.take(decisions, positions.low, axis)
    low |= np.negative((low != np.take(decisions, positions.high, axis)).view(np.uint8))
    return low


def _any_of_eight(bits: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """Bits that are set in any of the eight voxels of which each voxel is the first; in place."""
    bits[:, :-1] |= bits[:, 1:]
    bits[:, :, :-1] |= bits[:, :, 1:]
    bits[:, :, :, :-1] |= bits[:, :, :, 1:]
    return bits


def _at_corners(probabilities: F32, corner: Index, steps: list[Index], shares: list[F32]) -> F32:
    """Interpolate one channel (z, y, x) at single voxels (n,): eight neighbours by z, then y, then x.

    Args:
        probabilities: one channel; need not be contiguous.
        corner: flat index of the neighbour with the lowest indices.
        steps: what leads from there to the next slice, row and column.
        shares: weights of the neighbours that these lead to.
    """
    flat = probabilities.reshape(-1)
    dz, dy, dx = steps
    z, y, x = shares

    def along_z(first: Index) -> F32:
        return blend(flat[first], flat[first + dz], z)

    def along_y(first: Index) -> F32:
        return blend(along_z(first), along_z(first + dy), y)

    return blend(along_y(corner), along_y(corner + dx), x)
