"""Lesions as things: which were found, which were missed, and what was called a lesion and is none.

Voxel overlap says little where lesions are many and small: the largest one decides. Metrics Reloaded
(Maier-Hein et al., Nature Methods 2024) therefore asks for detection beside segmentation:

    lesion            a connected component (26 neighbours, as BraTS has it) of a lesion's label of at least
                      a stated volume
    match             pairs of a true and a predicted lesion, one to one, the largest IoU first, down to a
                      stated IoU (0.1 by default: small lesions rarely overlap by half)
    sensitivity       found / true
    F1                2 found / (2 found + missed + false)
    panoptic quality  mean IoU of the found × F1 (Kirillov et al., CVPR 2019)
    false volume      ml of the predicted lesions that touch no true one at all, as autoPET has it
    missed volume     ml of the true lesions that no predicted one touches

A case without lesions in both maps has F1 1 and no sensitivity; a false lesion there gives F1 0. A case in
error has F1 0 under strict rules, also where there is no true lesion: nobody said so. Under partial rules it
has none there, and under official rules no lesions at all.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from eval.scoring.metrics import label_boxes
from model.arrays import F64, U8, Mask, ZyxMm

NEIGHBOURS = np.ones((3, 3, 3), np.bool_)


class Kind(StrEnum):
    """What became of a lesion."""

    FOUND = "found"
    MISSED = "missed"
    FALSE = "false"


@dataclass(frozen=True, kw_only=True)
class LesionRule:
    """What a lesion is, and when it is found.

    Raises:
        ValueError: a threshold is out of range.
    """

    least_iou: float = 0.1
    """Intersection over union of a true and a predicted lesion that match, above 0 to 1."""
    least_ml: float = 0.0
    """Smaller lesions, true or predicted, are not counted."""

    def __post_init__(self) -> None:
        if not 0 < self.least_iou <= 1:
            raise ValueError(f"least_iou is {self.least_iou:g}, must be above 0, to 1")
        if not 0 <= self.least_ml < math.inf:
            raise ValueError(f"least_ml is {self.least_ml:g}, must be 0 ml or more")


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One lesion of the truth, of the prediction, or of both."""

    structure: str
    """Name of its label."""
    kind: Kind
    """What became of it."""
    truth_ml: float
    """Volume of the true lesion; 0 for a false one."""
    prediction_ml: float
    """Volume of the predicted lesion; 0 for a missed one."""
    iou: float
    """Intersection over union of both, 0 to 1."""
    touches: bool
    """Whether it overlaps any lesion of the other map, matched or not."""
    centre_zyx: tuple[float, float, float]
    """Voxel indices of its centre of mass: that of the true one, if there is one."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """How well lesions were detected, in a case or over all.

    Figures are NaN where there is nothing to count.
    """

    found: int
    missed: int
    false: int
    false_ml: float
    """Volume of the false lesions that touch no true one."""
    missed_ml: float
    """Volume of the missed lesions that no predicted one touches."""
    mean_iou: float
    """Mean IoU of the found lesions; NaN if none was found."""
    nothing: float = 1.0
    """F1 and panoptic quality where there is nothing to find and nothing was."""

    @property
    def sensitivity(self) -> float:
        """Share of the true lesions that were found."""
        true = self.found + self.missed
        return self.found / true if true else math.nan

    @property
    def f1(self) -> float:
        """2 found / (2 found + missed + false); `nothing` if there is nothing to find and nothing was."""
        counted = 2 * self.found + self.missed + self.false
        return 2 * self.found / counted if counted else self.nothing

    @property
    def panoptic_quality(self) -> float:
        """Mean IoU of the found lesions × F1; `nothing` if there is nothing to find and nothing was."""
        if not self.found:
            return self.f1
        return self.mean_iou * self.f1


def find_lesions(
    prediction: U8, truth: U8, label: int, structure: str, spacing_zyx_mm: ZyxMm, rule: LesionRule
) -> list[Lesion]:
    """The lesions of one label in two label maps of shape (z, y, x), the true ones first.

    Args:
        prediction: the label map that is judged.
        truth: the true one, of the same shape.
        label: id of the lesion.
        structure: its name.
        spacing_zyx_mm: voxel size.
        rule: what counts as a lesion and as a match.
    """
    boxes = [box for labels in (prediction, truth) if (box := label_boxes(labels).get(label)) is not None]
    if not boxes:
        return []
    start = [min(box[axis].start for box in boxes) for axis in range(3)]
    stop = [max(box[axis].stop for box in boxes) for axis in range(3)]
    z, y, x = (slice(a, b) for a, b in zip(start, stop, strict=True))
    voxel_ml = math.prod(spacing_zyx_mm) / 1000.0
    predicted, true = (
        _components(labels[z, y, x] == label, rule.least_ml / voxel_ml, start)
        for labels in (prediction, truth)
    )
    size = math.prod(b - a for a, b in zip(start, stop, strict=True))
    overlaps = _overlaps(predicted, true, size)
    partner_of = _matched(overlaps, rule.least_iou)
    touched_predicted, touched_true = set(overlaps.predicted.tolist()), set(overlaps.true.tolist())
    found = []
    for i in range(1, len(true.voxels)):
        j, iou = partner_of.get(i, (None, 0.0))
        found.append(
            Lesion(
                structure=structure,
                kind=Kind.MISSED if j is None else Kind.FOUND,
                truth_ml=float(true.voxels[i]) * voxel_ml,
                prediction_ml=0.0 if j is None else float(predicted.voxels[j]) * voxel_ml,
                iou=iou,
                touches=i in touched_true,
                centre_zyx=true.centre_zyx(i),
            )
        )
    matched = {j for j, _ in partner_of.values()}
    found += [
        Lesion(
            structure=structure,
            kind=Kind.FALSE,
            truth_ml=0.0,
            prediction_ml=float(predicted.voxels[j]) * voxel_ml,
            iou=0.0,
            touches=j in touched_predicted,
            centre_zyx=predicted.centre_zyx(j),
        )
        for j in range(1, len(predicted.voxels))
        if j not in matched
    ]
    return found


@dataclass(frozen=True, kw_only=True)
class _Components:
    """Connected components of a mask, numbered from 1."""

    places: NDArray[np.intp]
    """Voxels of the mask that belong to one, as flat indices, rising."""
    numbers: NDArray[np.int32]
    """Component of each of these voxels."""
    voxels: NDArray[np.int64]
    """Voxels of component n at n; 0 at 0."""
    centres_zyx: F64
    """Voxel indices of the centre of mass of component n at n, in the whole map."""

    def centre_zyx(self, number: int) -> tuple[float, float, float]:
        z, y, x = self.centres_zyx[number].tolist()
        return (z, y, x)


@dataclass(frozen=True, kw_only=True)
class _Overlaps:
    """Pairs of a predicted and a true component that have voxels in common, by their numbers, rising."""

    predicted: NDArray[np.int64]
    true: NDArray[np.int64]
    iou: F64
    """Intersection over union of each pair."""


def _components(mask: Mask, least_voxels: float, start_zyx: Sequence[int]) -> _Components:
    """Components of a mask that begins at `start_zyx` of its map; those that are too small are background."""
    # Maps of the numbers take several times the memory of labels: what stays is a list of the mask's voxels.
    numbered, count = ndimage.label(mask, NEIGHBOURS)
    places = np.flatnonzero(mask)
    numbers = numbered.ravel()[places]
    del numbered
    sizes = np.bincount(numbers, minlength=count + 1)
    kept = np.flatnonzero(sizes[1:] >= least_voxels - 1e-9) + 1
    table = np.zeros(len(sizes), np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    numbers = table[numbers]
    large = numbers > 0
    places, numbers = places[large], numbers[large]
    voxels = np.bincount(numbers, minlength=len(kept) + 1)
    # All components at once: maps of thousands of specks are what a failed network writes.
    centres = []
    for axis, first in enumerate(start_zyx):
        along = places // math.prod(mask.shape[axis + 1 :]) % mask.shape[axis]
        sums = np.bincount(numbers, weights=along, minlength=len(voxels))
        centres.append(sums / np.maximum(voxels, 1) + first)
    return _Components(places=places, numbers=numbers, voxels=voxels, centres_zyx=np.stack(centres, axis=1))


def _overlaps(predicted: _Components, true: _Components, size: int) -> _Overlaps:
    """Which components of masks of `size` voxels have voxels in common."""
    true_at = np.zeros(size, np.int32)
    true_at[true.places] = true.numbers
    partners = true_at[predicted.places]
    both = partners > 0
    pairs = predicted.numbers[both].astype(np.int64) * len(true.voxels) + partners[both]
    keys, common = np.unique(pairs, return_counts=True)
    j, i = np.divmod(keys, len(true.voxels))
    return _Overlaps(predicted=j, true=i, iou=common / (predicted.voxels[j] + true.voxels[i] - common))


def _matched(overlaps: _Overlaps, least_iou: float) -> dict[int, tuple[int, float]]:
    """True lesion to its predicted one and their IoU; pairs are taken from the largest IoU on."""
    order = np.argsort(-overlaps.iou, kind="stable")
    order = order[overlaps.iou[order] >= least_iou]
    columns = (overlaps.predicted[order], overlaps.true[order], overlaps.iou[order])
    partner_of: dict[int, tuple[int, float]] = {}
    taken = set()
    for predicted, true, iou in zip(*(column.tolist() for column in columns), strict=True):
        if true not in partner_of and predicted not in taken:
            partner_of[true] = (predicted, iou)
            taken.add(predicted)
    return partner_of


def detection(lesions: Iterable[Lesion], nothing: float = 1.0) -> Detection:
    """Counts over some lesions: those of a case, or of all cases.

    Args:
        lesions: the lesions.
        nothing: F1 and panoptic quality if there are none.
    """
    every = list(lesions)
    found = [lesion for lesion in every if lesion.kind is Kind.FOUND]
    missed = [lesion for lesion in every if lesion.kind is Kind.MISSED]
    false = [lesion for lesion in every if lesion.kind is Kind.FALSE]
    return Detection(
        found=len(found),
        missed=len(missed),
        false=len(false),
        false_ml=sum(lesion.prediction_ml for lesion in false if not lesion.touches),
        missed_ml=sum(lesion.truth_ml for lesion in missed if not lesion.touches),
        mean_iou=float(np.mean([lesion.iou for lesion in found])) if found else math.nan,
        nothing=nothing,
    )
