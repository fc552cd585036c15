"""A label map as runs: stretches of one label above 0 along x, in rows of constant z and y.

    . 1 1 . 2 2 2 .    two runs: label 1 from 1 to 3, label 2 from 4 to 7 (stop not included)

Left and right, connected parts and all clean-up work on runs. There are hundreds of voxels to a run on real
label maps, and what a run takes does not depend on how far a structure reaches: a stray voxel at the far end
of the scan costs one run, where a mask in the box around both would be the size of the scan.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.arrays import U8, Mask, Zyx

I32 = NDArray[np.int32]
Ints = NDArray[np.int64]
Index = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
"""The z, y and x of n voxels, as `np.nonzero` gives them."""

RUN_BYTES = 80
"""What a run takes at most while its part is looked for."""
VOXELS_A_RUN = (16, 64)
"""Fewer voxels of the image than this to a run are noise, for many structures and for few: whole bodies in
117 structures have 33 to 107, 13 abdominal organs 200 and more."""
RUNS_ALWAYS = 1 << 18
RUNS_NEVER = 3 << 20
RUNS_AT_ONCE = 1 << 15
VOXELS_AT_ONCE = 1 << 18
VISIT_BYTES = 120
"""What a voxel takes while runs are gone through voxel by voxel."""

Axis = Literal[0, 1, 2]
Touching = Literal[6, 26]
"""Whether voxels are one part that share a face (6), or already those that share a corner (26)."""

BEFORE: dict[Touching, tuple[tuple[int, int], ...]] = {
    6: ((0, -1), (-1, 0)),
    26: ((0, -1), (-1, -1), (-1, 0), (-1, 1)),
}
"""Steps along z and y to those rows beside a row that come before it."""


class ScatteredError(Exception):
    """A label map in so many pieces that it is noise, and that the planned memory does not suffice."""

    def __init__(self) -> None:
        super().__init__("labels are scattered like noise; left as they are, without clean-up")


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Runs of a label map, n in all, in the order of z, y, x."""

    size_zyx: Zyx
    """Of the label map."""
    row: I32
    """(n,) z * height + y."""
    start: I32
    """(n,) the first x."""
    stop: I32
    """(n,) the x after the last one."""
    label: U8
    """(n,) above 0."""

    def __len__(self) -> int:
        return int(self.row.size)

    @property
    def z(self) -> I32:
        """(n,)."""
        return self.row // np.int32(self.size_zyx[1])

    @property
    def y(self) -> I32:
        """(n,)."""
        return self.row % np.int32(self.size_zyx[1])

    @property
    def voxels(self) -> I32:
        """(n,) how many voxels each run has."""
        return self.stop - self.start

    def where(self, chosen: Mask) -> "Runs":
        """The runs for which `chosen` (n,) says so."""
        return Runs(
            size_zyx=self.size_zyx,
            row=self.row[chosen],
            start=self.start[chosen],
            stop=self.stop[chosen],
            label=self.label[chosen],
        )

    def of(self, labels: Sequence[int]) -> "Runs":
        """The runs of some labels."""
        return self.where(self.has(labels))

    def has(self, labels: Sequence[int]) -> Mask:
        """(n,) which runs are of some labels."""
        wanted = np.zeros(256, bool)
        wanted[list(labels)] = True
        return np.asarray(wanted[self.label], bool)


def most_runs(voxels: int, structures: int) -> int:
    """How many runs a map of so many voxels and structures may have before it is taken for noise."""
    fewest, most = VOXELS_A_RUN
    per_run = min(max(1024 // structures, fewest), most)
    return min(max(voxels // per_run, RUNS_ALWAYS), RUNS_NEVER)


def find_runs(labels: U8, structures: int = 1) -> Runs:
    """All runs of a label map (z, y, x) of so many structures.

    Raises:
        ScatteredError: there are more than `most_runs`.
    """
    depth, height, width = labels.shape
    # A column of background before each row: no run reaches into the next row.
    padded = np.zeros((height, width + 1), np.uint8)
    flat = padded.reshape(-1)
    rows, starts, stops, values = [], [], [], []
    count, most = 0, most_runs(labels.size, structures)
    for z, plane in enumerate(labels):
        padded[:, 1:] = plane
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        value = flat[edges]
        begins = value > 0
        count += int(np.count_nonzero(begins))
        if count > most:
            raise ScatteredError
        first, after = edges[begins], np.append(edges[1:], flat.size)[begins]
        row = first // (width + 1)
        before = row * (width + 1) + 1
        rows.append((z * height + row).astype(np.int32))
        starts.append((first - before).astype(np.int32))
        stops.append((after - before).astype(np.int32))
        values.append(value[begins])
    return Runs(
        size_zyx=(depth, height, width),
        row=np.concatenate(rows),
        start=np.concatenate(starts),
        stop=np.concatenate(stops),
        label=np.concatenate(values),
    )


def number_parts(runs: Runs, touching: Touching) -> tuple[I32, Ints]:
    """The connected parts of all runs together, whatever their labels.

    Returns:
        The number of each run's part (n,), from 0 in the order in which parts begin along z, y, x; and the
        voxels of each part.
    """
    width = np.int64(runs.size_zyx[2] + 2)
    first, last = runs.row * width + runs.start, runs.row * width + runs.stop
    reach = 1 if touching == 26 else 0
    parent = np.arange(len(runs), dtype=np.int32)
    for begin in range(0, len(runs), RUNS_AT_ONCE):
        these = slice(begin, begin + RUNS_AT_ONCE)
        z, y = np.divmod(runs.row[these].astype(np.int64), runs.size_zyx[1])
        follows = np.flatnonzero(first[these][1:] == last[these][:-1]) + begin
        _join(parent, follows, follows + 1)
        if begin and first[begin] == last[begin - 1]:
            _join(parent, np.array([begin - 1]), np.array([begin]))
        for dz, dy in BEFORE[touching]:
            there = (z + dz >= 0) & (y + dy >= 0) & (y + dy < runs.size_zyx[1])
            own = np.flatnonzero(there) + begin
            shift = (dz * runs.size_zyx[1] + dy) * width
            # Those of the other row that end after this one begins, and begin before it ends.
            low = np.searchsorted(last, first[own] + shift - reach, side="right")
            high = np.searchsorted(first, last[own] + shift + reach, side="left")
            _join(parent, *_pairs(own, low, np.maximum(high, low)))
    del first, last
    parent = _flat(parent)
    roots = np.flatnonzero(parent == np.arange(len(runs), dtype=np.int32))
    part = np.searchsorted(roots, parent).astype(np.int32)
    return part, sum_over(part, runs.voxels, roots.size)


def sum_over(group: NDArray[np.integer], amount: NDArray[np.integer], groups: int) -> Ints:
    """Sum of whole numbers (n,) over each of `groups`: exact up to 2**53."""
    return np.bincount(group, weights=amount, minlength=groups).astype(np.int64)


def count_along(runs: Runs, axis: Axis) -> Ints:
    """How many voxels lie in each column along an axis: what `np.count_nonzero` of the mask along it says.

    Shape (y, x) for axis 0, (z, x) for 1, (z, y) for 2.
    """
    depth, height, width = runs.size_zyx
    if axis == 2:
        return sum_over(runs.row, runs.voxels, depth * height).reshape(depth, height)
    other = runs.y if axis == 0 else runs.z
    # One more from the start of a run on, one less from its stop.
    steps = np.zeros((height if axis == 0 else depth, width + 1), np.int64)
    np.add.at(steps, (other, runs.start), 1)
    np.add.at(steps, (other, runs.stop), -1)
    return np.asarray(np.cumsum(steps, axis=1)[:, :-1], np.int64)


def voxels_of(runs: Runs) -> Iterator[tuple[Index, NDArray[np.intp]]]:
    """The voxels of runs, some at a time: their index, and for each the number of its run."""
    ends = np.cumsum(runs.voxels, dtype=np.int64)
    begin = 0
    while begin < len(runs):
        before = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, before + VOXELS_AT_ONCE, side="right")))
        lengths = runs.voxels[begin:end].astype(np.intp)
        number = np.repeat(np.arange(begin, end), lengths)
        within = np.arange(number.size) - np.repeat(ends[begin:end] - before - lengths, lengths)
        z, y = np.divmod(runs.row[number].astype(np.intp), runs.size_zyx[1])
        yield (z, y, runs.start[number] + within), number
        begin = end


def fill(labels: U8, runs: Runs, values: U8 | int) -> None:
    """Write a value, or one for each run (n,), over the voxels of runs, in place."""
    values = np.broadcast_to(np.asarray(values, np.uint8), len(runs))
    for index, number in voxels_of(runs):
        labels[index] = values[number]


def _pairs(
    own: NDArray[np.intp], low: NDArray[np.intp], high: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each of `own` with each number from its `low` to below its `high`."""
    counts = high - low
    offset = np.repeat(np.cumsum(counts) - counts - low, counts)
    return np.repeat(own, counts), np.arange(offset.size) - offset


def _join(parent: I32, some: NDArray[np.intp], others: NDArray[np.intp]) -> None:
    """Make each of `some` and the one of `others` beside it the same part, in place.

    A run's parent is a run before it in the same part, or itself for a root.
    """
    while some.size:
        some, others = _roots(parent, some), _roots(parent, others)
        apart = some != others
        some, others = some[apart], others[apart]
        np.minimum.at(parent, np.maximum(some, others), np.minimum(some, others).astype(np.int32))


def _roots(parent: I32, runs: NDArray[np.intp]) -> NDArray[np.intp]:
    """The root of each of `runs`; their ways to it become half as long with each round."""
    while True:
        above = parent[runs]
        top = parent[above]
        if np.array_equal(above, top):
            return top.astype(np.intp)
        parent[runs] = top


def _flat(parent: I32) -> I32:
    """Every run's root as its parent."""
    while True:
        above = parent[parent]
        if np.array_equal(above, parent):
            return parent
        parent = above
