"""Clean-up of label maps: connected components, runs of slices, minimum sizes, lesions far from organs.

Arrays are (z, y, x) uint8 label maps in canonical orientation, so that axis 0 runs from foot to head. One
pass finds the bounding box of every label; all further work is done within the boxes of the structures that
have a rule.
"""

from collections.abc import Sequence

import cc3d
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from inference.geometry import Box
from inference.postprocessing.label_statistics import box_around, count_values, find_labels, look_up
from model.arrays import U8, Mask, ZyxMm
from model.labels import LabelSet
from model.manifest.clean_up import (
    CleanUpStep,
    LargestComponent,
    LongestRun,
    MinComponentVolume,
    MinVoxels,
    NearOtherStructures,
)

TOUCHING = 26
"""Voxels that share a corner are one part: thin organs such as adrenals fall apart less."""
BLOCK_MM = 3.0
"""Distances to organs are measured between blocks of about this size."""


def clean_up(labels: U8, spacing_zyx_mm: ZyxMm, steps: Sequence[CleanUpStep], label_set: LabelSet) -> U8:
    """A copy of a label map without the voxels that the steps refuse; these become background.

    Args:
        labels: (z, y, x), ids of `label_set`, left and right already split.
        spacing_zyx_mm: grid of `labels`.
        steps: what is done, in this order.
        label_set: names and ids.

    Raises:
        ValueError: a step for a structure that the set does not have.
    """
    unknown = sorted({name for step in steps for name in step.structures} - set(label_set.ids))
    if unknown:
        raise ValueError(f"label set {label_set.name} has no {', '.join(unknown)}")
    cleaned = labels.copy()
    boxes = {label_id: found.box for label_id, found in find_labels(labels).items()}
    for step in steps:
        ids = [label_set.ids[name] for name in step.structures if label_set.ids[name] in boxes]
        if isinstance(step, NearOtherStructures):
            for label_id in ids:
                remove_far(cleaned, label_id, boxes[label_id], spacing_zyx_mm, step.distance_mm)
            continue
        together = isinstance(step, LargestComponent) and step.together
        for group in [ids] if together and ids else [[label_id] for label_id in ids]:
            crop = cleaned[box_around([boxes[label_id] for label_id in group]).slices]
            mask = _mask_of(crop, group)
            crop[mask & ~kept(mask, float(np.prod(spacing_zyx_mm)), step)] = 0
    return cleaned


def _mask_of(labels: U8, ids: Sequence[int]) -> Mask:
    if len(ids) == 1:
        return np.asarray(labels == ids[0], bool)
    table = np.zeros(256, np.uint8)
    table[list(ids)] = 1
    return look_up(table, labels).view(bool)


def kept(mask: Mask, voxel_mm3: float, step: CleanUpStep) -> Mask:
    """The voxels of a structure (z, y, x) that a step keeps, judged by the structure alone."""
    match step:
        case LargestComponent():
            return largest_part(mask)
        case LongestRun():
            return longest_run(mask)
        case MinVoxels():
            return mask if np.count_nonzero(mask) >= step.voxels else np.zeros_like(mask)
        case MinComponentVolume():
            return without_small_parts(mask, step.mm3 / voxel_mm3)
        case NearOtherStructures():
            return mask


def largest_part(mask: Mask) -> Mask:
    """The connected part with the most voxels; of equals the first along z, y, x."""
    parts, sizes = _parts(mask)
    return _chosen(parts, (np.arange(sizes.size) == sizes.argmax()) & (sizes > 0))


def without_small_parts(mask: Mask, min_voxels: float) -> Mask:
    """The connected parts of at least `min_voxels`."""
    parts, sizes = _parts(mask)
    return _chosen(parts, (sizes > 0) & (sizes >= min_voxels))


def longest_run(mask: Mask) -> Mask:
    """The voxels in the longest unbroken run of slices along z that hold any.

    Among equally long runs it is the one with the most voxels.

    Slices that hold the structure, foot to head: `. # # . # # # .` keeps the three on the right. Other than a
    connected component, a run keeps parts that lie side by side in the same slices (FLARE23 low-resource
    ensemble).
    """
    per_slice = np.count_nonzero(mask, axis=(1, 2))
    edges = np.diff(np.concatenate(([False], per_slice > 0, [False])).astype(np.int8))
    runs = list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True))
    if len(runs) < 2:
        return mask
    start, stop = max(runs, key=lambda run: (run[1] - run[0], per_slice[run[0] : run[1]].sum()))
    longest = np.zeros_like(mask)
    longest[start:stop] = mask[start:stop]
    return longest


def remove_far(labels: U8, label_id: int, box: Box, spacing_zyx_mm: ZyxMm, reach_mm: float) -> None:
    """Remove, in place, connected components of a label farther than `reach_mm` from every other label.

    Distances are between the centres of blocks of about `BLOCK_MM`. Where there is no other label at all,
    nothing can be said and nothing is taken away.

    Args:
        labels: (z, y, x).
        label_id: the label whose parts are judged.
        box: holds all its voxels.
        spacing_zyx_mm: of the grid of `labels`.
        reach_mm: a part stays if any of its voxels is as near as this.
    """
    if not _holds_other(labels, label_id):
        return
    around = tuple(
        slice(max(0, part.start - margin), part.stop + margin)
        for part, margin in zip(
            box.slices, (int(np.ceil((reach_mm + BLOCK_MM) / s)) for s in spacing_zyx_mm), strict=True
        )
    )
    crop = labels[around]
    near, factors = _near_blocks(crop, label_id, spacing_zyx_mm, reach_mm)
    parts, sizes = _parts(crop == label_id)
    stays = np.zeros(sizes.size, bool)
    rows, columns = (
        np.arange(size) // factor for size, factor in zip(crop.shape[1:], factors[1:], strict=True)
    )
    for z, plane in enumerate(parts):
        stays[plane[near[z // factors[0]][np.ix_(rows, columns)]]] = True
    crop[_chosen(parts, ~stays & (sizes > 0))] = 0


def _near_blocks(crop: U8, label_id: int, spacing_zyx_mm: ZyxMm, reach_mm: float) -> tuple[Mask, list[int]]:
    """Which blocks lie within `reach_mm` of another label, and the voxels of a block along z, y and x."""
    factors = [max(1, round(BLOCK_MM / spacing)) for spacing in spacing_zyx_mm]
    organs = (crop != 0) & (crop != label_id)
    for axis, factor in enumerate(factors):
        organs = np.logical_or.reduceat(organs, np.arange(0, organs.shape[axis], factor), axis=axis)
    if not organs.any():
        return organs, factors
    image = sitk.GetImageFromArray(organs.view(np.uint8))
    image.SetSpacing(
        [factor * spacing for factor, spacing in zip(factors, spacing_zyx_mm, strict=True)][::-1]
    )
    distance = sitk.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    return np.asarray(sitk.GetArrayViewFromImage(distance) <= reach_mm, bool), factors


def _holds_other(labels: U8, label_id: int) -> bool:
    return any(bool(((plane != 0) & (plane != label_id)).any()) for plane in labels)


def _parts(mask: Mask) -> tuple[NDArray[np.unsignedinteger], NDArray[np.int64]]:
    """The number of each voxel's part, 0 outside, and the voxels of each part.

    The background counts as 0 voxels.
    """
    parts, count = cc3d.connected_components(mask, connectivity=TOUCHING, return_N=True)
    return parts, count_values(parts, count)


def _chosen(parts: NDArray[np.unsignedinteger], choice: Mask) -> Mask:
    """`choice[parts]`, slice by slice to save memory."""
    chosen = np.empty(parts.shape, bool)
    for plane, source in zip(chosen, parts, strict=True):
        plane[...] = choice[source]
    return chosen
