"""Overlap and surface metrics of two masks: pure functions, arrays (z, y, x), lengths in mm, volumes in ml.

    dice                       0 to 1, 1 is best; both masks empty: 1; one empty: 0
    normalized_surface_dice    0 to 1, 1 is best; both masks empty: 1; one empty: 0
    hd95_mm                    0 mm upwards, 0 is best; both masks empty: 0; one empty: infinity
    hd_mm, assd_mm             0 mm upwards, 0 is best; both masks empty: 0; one empty: infinity
    volume_difference_ml       prediction minus truth, any sign, 0 is best

The surface metrics share one costly step, `surface_distances`, which is done once for a pair of masks.
Distances are measured between voxel corners through which a surface passes, so that the work grows with the
surface on which the two masks disagree and not with the volume around them.

Source: Nikolov et al., "Deep learning to achieve clinically applicable segmentation of head and neck anatomy"
(arXiv:1809.04430), as the `surface-distance` package of google-deepmind computes it.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eval.scoring.nearest import distances_mm
from eval.scoring.surfels import neighbour_codes, surfel_areas_mm2
from model.arrays import F64, U8, Mask, ZyxMm

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, kw_only=True)
class SurfaceDistances:
    """Distance of each surface element of one mask from the surface of the other, and the element's area.

    Both arrays of a mask are one-dimensional and in the same order; they are empty if the mask is empty.
    """

    prediction_mm: F64
    """Distance of the prediction's elements to the truth's surface; infinite if that is empty or farther away
    than the limit asked for."""
    prediction_mm2: F64
    """Area of the prediction's elements."""
    truth_mm: F64
    """Distance of the truth's elements to the prediction's surface, infinite likewise."""
    truth_mm2: F64
    """Area of the truth's elements."""


def dice(prediction: Mask, truth: Mask) -> float:
    """Sørensen-Dice coefficient, 0 to 1, of two masks of the same shape with any number of dimensions.

    Two empty masks give 1, one empty mask gives 0.

    Raises:
        ValueError: shapes differ, or an array is not boolean.
    """
    _check_masks(prediction, truth)
    total = np.count_nonzero(prediction) + np.count_nonzero(truth)
    return 2.0 * float(np.count_nonzero(prediction & truth)) / float(total) if total else 1.0


def dice_per_label(prediction: U8, truth: U8, ids: Iterable[int]) -> dict[int, float]:
    """Sørensen-Dice coefficient of each label of two label maps of shape (z, y, x).

    A label in neither map gives 1, a label in only one of them 0.

    Raises:
        ValueError: shapes differ.
    """
    _check_shapes(prediction, truth)
    wanted = tuple(ids)
    boxes = joined_boxes(label_boxes(prediction), label_boxes(truth))
    return {label: dice(*_masks_of(prediction, truth, label, boxes.get(label))) for label in wanted}


def label_boxes(labels: U8) -> dict[int, Box]:
    """Smallest box around each label of a label map of shape (z, y, x); labels that it lacks are left out."""
    # Projections find the region that holds labels faster than `find_objects` walks through the whole map.
    planes = np.flatnonzero(labels.any(axis=(1, 2)))
    if planes.size == 0:
        return {}
    first, last = int(planes[0]), int(planes[-1])
    seen = np.bitwise_or.reduce(labels[first : last + 1], axis=0)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    starts = (first, int(rows[0]), int(columns[0]))
    objects = ndimage.find_objects(
        labels[first : last + 1, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    )
    boxes: dict[int, Box] = {}
    for label, slices in enumerate(objects, start=1):
        if slices is not None:
            z, y, x = (
                slice(part.start + start, part.stop + start)
                for part, start in zip(slices, starts, strict=True)
            )
            boxes[label] = (z, y, x)
    return boxes


def labels_at_edge(boxes: Mapping[int, Box], shape_zyx: tuple[int, ...]) -> frozenset[int]:
    """Labels that reach the first or last slice, row or column of a map: some of each may lie outside.

    Args:
        boxes: what `label_boxes` gives for the map.
        shape_zyx: shape of the map.
    """
    return frozenset(
        label
        for label, box in boxes.items()
        if any(part.start == 0 or part.stop == size for part, size in zip(box, shape_zyx, strict=True))
    )


def joined_boxes(first: Mapping[int, Box], second: Mapping[int, Box]) -> dict[int, Box]:
    """Smallest box around both boxes of each label; a label with one box keeps it."""
    joined = {**first, **second}
    for label in first.keys() & second.keys():
        z, y, x = (
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(first[label], second[label], strict=True)
        )
        joined[label] = (z, y, x)
    return joined


def surface_distances(
    prediction: Mask, truth: Mask, spacing_zyx_mm: ZyxMm, limit_mm: float = math.inf
) -> SurfaceDistances:
    """Distances between the surfaces of two masks of shape (z, y, x), for the metrics below.

    This is fastest on masks that are cut to a box around both; the result does not depend on the cut.

    Args:
        prediction: the mask that is judged.
        truth: the mask that it is compared with.
        spacing_zyx_mm: voxel size, each above 0.
        limit_mm: larger distances may be given as infinity, which is faster. `normalized_surface_dice` needs
            no more than its tolerance; `hd95_mm` needs the default.

    Raises:
        ValueError: shapes differ, an array is not boolean or not three-dimensional, or a voxel size is not
            above 0.
    """
    _check_masks(prediction, truth)
    if prediction.ndim != 3:
        raise ValueError(f"masks have {prediction.ndim} dimensions, surface distances need 3 (z, y, x)")
    if len(spacing_zyx_mm) != 3 or not all(0 < size < math.inf for size in spacing_zyx_mm):
        raise ValueError(f"spacing_zyx_mm is {tuple(spacing_zyx_mm)}, must be three voxel sizes above 0 mm")
    codes = [neighbour_codes(mask) for mask in (prediction, truth)]
    surfaces = [code + np.uint8(1) > 1 for code in codes]
    corners = [np.flatnonzero(surface) for surface in surfaces]
    lengths = [distances_mm(corners[i], surfaces[1 - i], spacing_zyx_mm, limit_mm) for i in (0, 1)]
    areas = surfel_areas_mm2(spacing_zyx_mm)
    return SurfaceDistances(
        prediction_mm=lengths[0],
        prediction_mm2=areas[codes[0].ravel()[corners[0]]],
        truth_mm=lengths[1],
        truth_mm2=areas[codes[1].ravel()[corners[1]]],
    )


def normalized_surface_dice(distances: SurfaceDistances, tolerance_mm: float) -> float:
    """Share of the area of both surfaces that lies within a tolerance (≤) of the other surface; 0 to 1.

    Two empty masks give 1, one empty mask gives 0.

    Raises:
        ValueError: the tolerance is negative.
    """
    if not tolerance_mm >= 0:
        raise ValueError(f"tolerance_mm is {tolerance_mm}, must be 0 mm or more")
    total_mm2 = distances.prediction_mm2.sum() + distances.truth_mm2.sum()
    if total_mm2 == 0:
        return 1.0
    near_mm2 = (
        distances.prediction_mm2[distances.prediction_mm <= tolerance_mm].sum()
        + distances.truth_mm2[distances.truth_mm <= tolerance_mm].sum()
    )
    return float(near_mm2 / total_mm2)


def hd95_mm(distances: SurfaceDistances) -> float:
    """95th percentile in mm of the surface distances, weighted by area; the larger one of both directions.

    Two empty masks give 0, one empty mask gives infinity. The distances must have been computed without a
    limit.
    """
    directions = (
        (distances.prediction_mm, distances.prediction_mm2),
        (distances.truth_mm, distances.truth_mm2),
    )
    if all(lengths.size == 0 for lengths, _ in directions):
        return 0.0
    return max(_weighted_percentile(lengths, areas, 0.95) for lengths, areas in directions)


def hd_mm(distances: SurfaceDistances) -> float:
    """Largest surface distance in mm (Hausdorff), of both directions; one stray voxel decides it.

    Two empty masks give 0, one empty mask gives infinity. The distances must have been computed without a
    limit.
    """
    lengths = np.concatenate((distances.prediction_mm, distances.truth_mm))
    return float(lengths.max()) if lengths.size else 0.0


def assd_mm(distances: SurfaceDistances) -> float:
    """Average symmetric surface distance in mm: the mean over both surfaces, weighted by area.

    Two empty masks give 0, one empty mask gives infinity. The distances must have been computed without a
    limit.
    """
    lengths = np.concatenate((distances.prediction_mm, distances.truth_mm))
    areas = np.concatenate((distances.prediction_mm2, distances.truth_mm2))
    return float((lengths * areas).sum() / areas.sum()) if lengths.size else 0.0


def volume_difference_ml(prediction: Mask, truth: Mask, spacing_zyx_mm: ZyxMm) -> float:
    """Volume of the prediction minus volume of the truth, in ml; 0 for two empty masks."""
    voxels = np.count_nonzero(prediction) - np.count_nonzero(truth)
    return float(voxels) * math.prod(spacing_zyx_mm) / 1000.0


def _masks_of(prediction: U8, truth: U8, label: int, box: Box | None) -> tuple[Mask, Mask]:
    cut = box if box is not None else (slice(0, 0),) * 3
    return prediction[cut] == label, truth[cut] == label


def _weighted_percentile(distances_mm: F64, areas_mm2: F64, share: float) -> float:
    if distances_mm.size == 0:
        return math.inf
    order = np.lexsort((areas_mm2, distances_mm))
    cumulated = np.cumsum(areas_mm2[order])
    index = int(np.searchsorted(cumulated / cumulated[-1], share))
    return float(distances_mm[order[min(index, order.size - 1)]])


def _check_masks(prediction: Mask, truth: Mask) -> None:
    _check_shapes(prediction, truth)
    for name, mask in (("prediction", prediction), ("truth", truth)):
        if mask.dtype != np.bool_:
            raise ValueError(
                f"{name} mask holds {mask.dtype}, must be boolean: compare the label map with one label"
            )


def _check_shapes(prediction: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    if prediction.shape != truth.shape:
        raise ValueError(
            f"prediction has shape {prediction.shape}, truth {truth.shape}: they must be the same"
        )
