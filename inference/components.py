"""Clean-up of label maps: connected components along all axes or along head-foot, minimum sizes, tumor far from organs.

Arrays are (z, y, x) uint8 label maps in canonical orientation, so that axis 0 runs from foot to head. One pass finds the
bounding box of every label; all further work is done within the boxes of the structures that have a rule.
"""

from collections.abc import Mapping

import cc3d
import numpy as np
from numpy.typing import NDArray

from inference.found import U8, find_labels
from model.labels import LabelSet
from model.manifest import PostProcessing, ZyxMm

Mask = NDArray[np.bool_]

TOUCHING = 26
"""Voxels that share a corner are one part: thin organs such as adrenals are cut by less."""


def clean_up(labels: U8, spacing_zyx_mm: ZyxMm, postprocessing: Mapping[str, PostProcessing], label_set: LabelSet) -> U8:
    """A copy of a label map without the voxels that the rules of its structures refuse; these become background.

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
    voxel_mm3 = float(np.prod(spacing_zyx_mm))
    found = find_labels(labels)
    for structure, rule in postprocessing.items():
        label_id = label_set.ids[structure]
        if label_id not in found:
            continue
        crop = cleaned[found[label_id].box.slices]
        mask = crop == label_id
        crop[mask & ~kept(mask, voxel_mm3, rule)] = 0
    return cleaned


def kept(mask: Mask, voxel_mm3: float, rule: PostProcessing) -> Mask:
    """The voxels of one structure that its rule keeps; the steps follow the order of the rule's fields."""
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
    return parts == np.argmax(sizes) if sizes.any() else mask


def without_small_parts(mask: Mask, min_voxels: float) -> Mask:
    """The connected parts of at least `min_voxels`."""
    parts, sizes = _parts(mask)
    return np.asarray((sizes >= max(min_voxels, 1))[parts], bool)


def longest_run(mask: Mask) -> Mask:
    """The voxels in the longest unbroken run of slices along z that hold any; of equals the run with the most voxels.

    Slices that hold the structure, foot to head: `. # # . # # # .` keeps the three on the right. Other than a connected
    component, a run keeps parts that lie side by side in the same slices (FLARE23 low-resource ensemble).
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


def _parts(mask: Mask) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The number of each voxel's part, 0 outside, and the voxels of each part; the background counts as 0 voxels."""
    parts = np.asarray(cc3d.connected_components(mask, connectivity=TOUCHING, out_dtype=np.uint32))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return parts, sizes
