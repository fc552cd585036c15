"""Clean-up of label maps: connected components, runs of slices, minimum sizes, lesions far from organs.

Arrays are (z, y, x) uint8 label maps in canonical orientation, so that axis 0 runs from foot to head. All
steps work on the map's runs (`inference.postprocessing.runs`); the map itself is written to at the end.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inference.geometry import Box
from inference.postprocessing.label_statistics import found
from inference.postprocessing.runs import I32, Ints, Runs, fill, find_runs, number_parts, sum_over
from model.arrays import U8, Mask, Zyx, ZyxMm
from model.labels import LabelSet
from model.manifest.clean_up import (
    CleanUpStep,
    LargestComponent,
    LongestRun,
    MinComponentVolume,
    MinVoxels,
    MinWholeVolume,
    NearOtherStructures,
)

BLOCK_MM = 3.0
"""Distances to organs are measured between blocks of about this size."""
BLOCK_BYTES = 24
"""What a block takes while distances are measured."""


def clean_up(labels: U8, spacing_zyx_mm: ZyxMm, steps: Sequence[CleanUpStep], label_set: LabelSet) -> U8:
    """A copy of a label map without the voxels that the steps refuse.

    These become background, or what is around them, as each step says.

    Args:
        labels: (z, y, x), ids of `label_set`, left and right already split.
        spacing_zyx_mm: grid of `labels`.
        steps: what is done, in this order.
        label_set: names and ids.

    Raises:
        ValueError: a step for a structure that the set does not have.
        ScatteredError: the labels are noise.
    """
    cleaned = labels.copy()
    if steps:
        clean_runs(cleaned, find_runs(labels, len(label_set.ids)), spacing_zyx_mm, steps, label_set)
    return cleaned


def clean_runs(
    labels: U8, runs: Runs, spacing_zyx_mm: ZyxMm, steps: Sequence[CleanUpStep], label_set: LabelSet
) -> Runs:
    """Clean a label map of known runs in place, and return the runs that are left; else as `clean_up`."""
    becomes = cleaned_runs(runs, spacing_zyx_mm, steps, label_set)
    changed = becomes != runs.label
    fill(labels, runs.where(changed), becomes[changed])
    return replace(runs, label=becomes).where(becomes > 0)


def cleaned_runs(runs: Runs, spacing_zyx_mm: ZyxMm, steps: Sequence[CleanUpStep], label_set: LabelSet) -> U8:
    """What each run (n,) of a label map is after the steps; see `clean_up` for arguments and errors."""
    unknown = sorted({name for step in steps for name in step.structures} - set(label_set.ids))
    if unknown:
        raise ValueError(f"label set {label_set.name} has no {', '.join(unknown)}")
    now = replace(runs, label=runs.label.copy())
    for step in steps:
        ids = [label_set.ids[name] for name in step.structures]
        together = isinstance(step, LargestComponent) and step.together
        for group in [ids] if together else [[label_id] for label_id in ids]:
            refused = now.has(group)
            if not refused.any():
                continue
            structure = now.where(refused)
            if isinstance(step, NearOtherStructures):
                others = now.where((now.label > 0) & ~refused)
                stays = near_parts(structure, others, spacing_zyx_mm, step.distance_mm)
            else:
                stays = kept(structure, float(np.prod(spacing_zyx_mm)), step)
            refused[refused] = ~stays
            by_surroundings = (
                isinstance(step, MinComponentVolume | MinWholeVolume) and step.becomes == "surroundings"
            )
            now.label[refused] = surroundings(now, refused) if by_surroundings and refused.any() else 0
    return now.label


def surroundings(runs: Runs, chosen: Mask) -> U8:
    """For each of the chosen runs (of n, at least one) the label most ends of its part's runs meet.

    A run has two ends along x; what lies beyond is another run or background (0), which wins where labels
    are equally frequent. Ends at other chosen runs do not count.
    """
    joined = (runs.row[1:] == runs.row[:-1]) & (runs.stop[:-1] == runs.start[1:])
    part, _ = number_parts(runs.where(chosen), touching=26)
    which = np.flatnonzero(chosen)
    votes = []
    for step, is_joined in ((-1, np.append(False, joined)), (1, np.append(joined, False))):
        touches = is_joined[which]
        beside = np.where(touches, which + step, which)
        label = np.where(touches, runs.label[beside], 0)
        counts = ~(touches & chosen[beside])
        votes.append(part[counts].astype(np.int64) * 256 + label[counts])
    # Sorted by part and, within it, by label, so that the first of the most frequent is the least label.
    keys, frequency = np.unique(np.concatenate(votes), return_counts=True)
    order = np.lexsort((-frequency, keys >> 8))
    parts, first = np.unique(keys[order] >> 8, return_index=True)
    winner = np.zeros(int(part.max()) + 1, np.uint8)
    winner[parts] = keys[order][first] & 255
    return np.asarray(winner[part], np.uint8)


def kept(structure: Runs, voxel_mm3: float, step: CleanUpStep) -> Mask:
    """Which runs (n,) of a structure a step keeps, judged by the structure alone."""
    match step:
        case LargestComponent():
            return largest_part(structure)
        case LongestRun():
            return longest_run(structure)
        case MinVoxels():
            return np.full(len(structure), int(structure.voxels.sum()) >= step.voxels)
        case MinComponentVolume():
            return without_small_parts(structure, step.mm3 / voxel_mm3)
        case MinWholeVolume():
            return without_small_parts(structure, step.ml * 1000 / voxel_mm3, or_cut_off=True)
        case NearOtherStructures():
            return np.ones(len(structure), bool)


def largest_part(structure: Runs) -> Mask:
    """Which runs (n,) are of the connected part with the most voxels; of equals the first along z, y, x."""
    parts, sizes = _parts(structure)
    return np.asarray(parts == sizes.argmax() if len(structure) else parts >= 0, bool)


def without_small_parts(structure: Runs, min_voxels: float, *, or_cut_off: bool = False) -> Mask:
    """Which runs (n,) are of connected parts of at least `min_voxels`; or that touch the grid's edge."""
    parts, sizes = _parts(structure)
    stays = np.asarray(sizes >= min_voxels, bool)
    if or_cut_off:
        stays[parts[at_edge(structure)]] = True
    return np.asarray(stays[parts], bool)


def at_edge(runs: Runs) -> Mask:
    """Which runs (n,) touch the first or last slice, row or column of their grid."""
    depth, height, width = runs.size_zyx
    along_z = (runs.z == 0) | (runs.z == depth - 1)
    along_y = (runs.y == 0) | (runs.y == height - 1)
    return np.asarray(along_z | along_y | (runs.start == 0) | (runs.stop == width), bool)


def longest_run(structure: Runs) -> Mask:
    """Which runs (n,) lie in the longest unbroken succession of slices along z that hold any.

    Among equally long successions it is the one with the most voxels.

    Slices that hold the structure, foot to head: `. # # . # # # .` keeps the three on the right. Other than a
    connected component, this keeps parts that lie side by side in the same slices (FLARE23 low-resource
    ensemble).
    """
    per_slice = sum_over(structure.z, structure.voxels, structure.size_zyx[0])
    edges = np.diff(np.concatenate(([False], per_slice > 0, [False])).astype(np.int8))
    successions = list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True))
    if len(successions) < 2:
        return np.ones(len(structure), bool)
    start, stop = max(successions, key=lambda one: (one[1] - one[0], per_slice[one[0] : one[1]].sum()))
    return np.asarray((start <= structure.z) & (structure.z < stop), bool)


def near_parts(structure: Runs, others: Runs, spacing_zyx_mm: ZyxMm, reach_mm: float) -> Mask:
    """Which runs (n,) are of connected parts that are not farther than `reach_mm` from every other label.

    Distances are between the centres of blocks of about `BLOCK_MM`. Where there is no other label at all,
    nothing can be said and everything stays.

    Args:
        structure: what is judged, at least one run.
        others: all other labels.
        spacing_zyx_mm: of the grid.
        reach_mm: a part stays if any of its voxels is as near as this.
    """
    if not len(others):
        return np.ones(len(structure), bool)
    box = found(structure).box
    margin = [int(np.ceil((reach_mm + BLOCK_MM) / spacing)) for spacing in spacing_zyx_mm]
    start = [max(0, edge - more) for edge, more in zip(box.start_zyx, margin, strict=True)]
    stop = [
        min(size, edge + more)
        for size, edge, more in zip(structure.size_zyx, box.stop_zyx, margin, strict=True)
    ]
    blocks = _Blocks(box=Box(start_zyx=_zyx(start), stop_zyx=_zyx(stop)), spacing_zyx_mm=spacing_zyx_mm)
    held = blocks.held_by(others)
    if not held.any():
        return np.zeros(len(structure), bool)
    parts, sizes = _parts(structure)
    near = np.zeros(sizes.size, bool)
    near[parts[blocks.touch(structure, blocks.within(held, reach_mm))]] = True
    return np.asarray(near[parts], bool)


def blocks_zyx(size_zyx: Zyx, spacing_zyx_mm: ZyxMm) -> Zyx:
    """How many blocks of about `BLOCK_MM` there are in a box of a grid."""
    z, y, x = (-(-n // factor) for n, factor in zip(size_zyx, _factors(spacing_zyx_mm), strict=True))
    return z, y, x


def _factors(spacing_zyx_mm: ZyxMm) -> list[int]:
    """Voxels to a block along z, y and x."""
    return [max(1, round(BLOCK_MM / spacing)) for spacing in spacing_zyx_mm]


class _Blocks:
    """Blocks of about `BLOCK_MM` in a box of a grid; the first begins where the box does."""

    def __init__(self, *, box: Box, spacing_zyx_mm: ZyxMm) -> None:
        self._box = box
        self._factors = _factors(spacing_zyx_mm)
        self._spacing_zyx_mm = [f * s for f, s in zip(self._factors, spacing_zyx_mm, strict=True)]
        self._size = blocks_zyx(box.size_zyx, spacing_zyx_mm)

    def held_by(self, runs: Runs) -> Mask:
        """Which blocks (z, y, x) hold a voxel of some runs, of which parts may lie outside the box."""
        z0, y0, x0 = self._box.start_zyx
        z1, y1, x1 = self._box.stop_zyx
        inside = (z0 <= runs.z) & (runs.z < z1) & (y0 <= runs.y) & (runs.y < y1)
        inside &= (runs.start < x1) & (x0 < runs.stop)
        z, y, first, last = self._of(runs.where(inside))
        # One more from the first block of a run on, one less after its last.
        steps = np.zeros((*self._size[:2], self._size[2] + 1), np.int32)
        np.add.at(steps, (z, y, first), 1)
        np.add.at(steps, (z, y, last + 1), -1)
        return np.asarray(np.cumsum(steps, axis=2, out=steps)[:, :, :-1] > 0, bool)

    def touch(self, runs: Runs, chosen: Mask) -> Mask:
        """Which runs (n,), all within the box, have a voxel in one of the chosen blocks (z, y, x)."""
        before = np.zeros((*self._size[:2], self._size[2] + 1), np.int32)
        np.cumsum(chosen, axis=2, out=before[:, :, 1:])
        z, y, first, last = self._of(runs)
        return np.asarray(before[z, y, last + 1] > before[z, y, first], bool)

    def within(self, held: Mask, reach_mm: float) -> Mask:
        """Which blocks (z, y, x) have their centre at most so far from that of one that is held.

        Squared distances along one axis after the other; nothing beyond the reach is looked at.
        """
        squared = np.where(held, np.float32(0), np.float32(np.inf))
        for axis, step_mm in enumerate(self._spacing_zyx_mm):
            along = np.moveaxis(squared, axis, 0)
            least = along.copy()
            for shift in range(1, min(int(reach_mm / step_mm) + 1, len(along))):
                more = np.float32((shift * step_mm) ** 2)
                np.minimum(least[shift:], along[:-shift] + more, out=least[shift:])
                np.minimum(least[:-shift], along[shift:] + more, out=least[:-shift])
            squared = np.moveaxis(least, 0, axis)
        return np.asarray(squared <= reach_mm**2 * (1 + 1e-6), bool)

    def _of(self, runs: Runs) -> tuple[I32, I32, I32, I32]:
        """Along z and y the block of each run, along x those of its first and last voxel in the box."""
        (z0, y0, x0), (_, _, x1), (fz, fy, fx) = self._box.start_zyx, self._box.stop_zyx, self._factors
        first, last = np.maximum(runs.start, x0) - x0, np.minimum(runs.stop, x1) - 1 - x0
        return (runs.z - z0) // fz, (runs.y - y0) // fy, first // fx, last // fx


def _zyx(values: Sequence[int]) -> Zyx:
    z, y, x = values
    return z, y, x


def _parts(structure: Runs) -> tuple[I32, Ints]:
    """The connected part of each run, and the voxels of each part.

    Voxels that share a corner are one part: thin organs such as adrenals fall apart less.
    """
    return number_parts(structure, touching=26)
