"""Clean-up of label maps: connected components along all axes or along head-foot, minimum sizes, tumor far from organs.

Arrays are (z, y, x) uint8 label maps in canonical orientation, so that axis 0 runs from foot to head. One
pass finds the bounding box of every label; all further work is done within the boxes of the structures that
have a rule.
"""

from collections.abc import Mapping

import cc3d
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from inference.geometry import Box
from inference.postprocessing.label_statistics import U8, count_values, find_labels
from model.arrays import Mask
from model.labels import LabelSet
from model.manifest import PostProcessing, ZyxMm

TOUCHING = 26
"""Voxels that share a corner are one part: thin organs such as adrenals fall apart less."""
BLOCK_MM = 3.0
"""Distances to organs are measured between blocks of about this size."""


def clean_up(
    labels: U8, spacing_zyx_mm: ZyxMm, postprocessing: Mapping[str, PostProcessing], label_set: LabelSet
) -> U8:
    """A copy of a label map without the voxels that the rules of its structures refuse.

    These become background.

    Args:
        labels: (z, y, x), ids of `label_set`, left and right already split.
        spacing_zyx_mm: of the grid of `labels`.
        postprocessing: structure name to rule; structures that are not named stay as they are.
        label_set: names and ids.

    Raises:
        ValueError: a rule for a structure that the set does not have.
    """
    unknown = sorted(set(postprocessing) - set(label_set.ids))
    if unknown:
        raise ValueError(f"label set {label_set.name} has no {', '.join(unknown)}")
    cleaned = labels.copy()
    boxes = {label_id: found.box for label_id, found in find_labels(labels).items()}
    ruled = [
        (label_set.ids[name], rule) for name, rule in postprocessing.items() if label_set.ids[name] in boxes
    ]
    for label_id, rule in ruled:
        crop = cleaned[boxes[label_id].slices]
        mask = crop == label_id
        crop[mask & ~kept(mask, float(np.prod(spacing_zyx_mm)), rule)] = 0
    # Only now, so that a structure is not held near by what is no organ.
    for label_id, rule in ruled:
        if rule.max_distance_to_organs_mm is not None:
            remove_far(cleaned, label_id, boxes[label_id], spacing_zyx_mm, rule.max_distance_to_organs_mm)
    return cleaned


def kept(mask: Mask, voxel_mm3: float, rule: PostProcessing) -> Mask:
    """The voxels of one structure (z, y, x) that its rule on parts and sizes keeps, in the order of the rule's fields."""
    if rule.keep == "largest_3d":
        mask = largest_part(mask)
    elif rule.keep == "longest_1d":
        mask = longest_run(mask)
    if np.count_nonzero(mask) < rule.min_voxels:
        return np.zeros_like(mask)
    if rule.min_volume_mm3 > 0:
        mask = without_small_parts(mask, rule.min_volume_mm3 / voxel_mm3)
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

    Of equals the run with the most voxels.

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
    """Take away, in place, the connected parts of a label that lie farther than `reach_mm` from every other label.

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
