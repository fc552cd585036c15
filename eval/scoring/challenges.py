"""How the challenges score the accuracy of a case, following their organisers' programs.

There are three sets of rules:

    official   what the organisers' programs compute, faults included, for comparison with leaderboards
    strict     the same metrics without the faults (the default)
    partial    strict, but structures that a truth does not hold are not scored: for truths in which only
               some structures are annotated

All of them give DSC 1 and NSD 1 to a structure that is in neither map, and 0 and 0 if it is in only one of
them. Where a challenge says so, NSD is 0 if DSC is below a threshold, and long structures (aorta, inferior
vena cava, esophagus) are scored only on the slices that the truth annotates. The organisers' programs lose
the topmost of these slices, and stop with an error at a structure of one slice: `official` repeats the first
fault and leaves a structure of the second kind without a score, `strict` counts the slice.

Source: DSC_NSD_eval.py of the FLARE challenges (JunMa11/FLARE, MIT) and the challenge rules.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from math import inf, isnan, nan, prod
from types import MappingProxyType

import numpy as np

from eval.scoring.centre_lines import cl_dice
from eval.scoring.metrics import (
    Box,
    assd_mm,
    dice,
    hd95_mm,
    hd_mm,
    joined_boxes,
    label_boxes,
    normalized_surface_dice,
    surface_distances,
    volume_difference_ml,
)
from eval.scoring.structure_scores import LOST, UNSCORED, StructureScore
from model.arrays import U8, Mask, ZyxMm
from model.labels import AMOS22, FLARE21, FLARE22, FLARE23, FLARE24_LESION, LabelSet

NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
DECIMALS = 4
"""Digits after the point in the organisers' tables."""


class Rules(StrEnum):
    """What is done where the organisers' programs have faults; see the module's docstring."""

    STRICT = "strict"
    OFFICIAL = "official"
    PARTIAL = "partial"


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """How one challenge scores its structures."""

    labels: LabelSet
    """The structures."""
    short_names: Mapping[str, str]
    """Structure to its name in the columns of the score tables that are written."""
    other_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Structure to names that columns of the organisers' own tables have instead; they are read alike."""
    tolerances_mm: Mapping[str, float]
    """Structure to the tolerance of its NSD, in mm."""
    sliced: frozenset[str] = frozenset()
    """Structures scored only on the slices that the truth annotates."""
    least_dice: float = 0.0
    """Below this DSC, NSD is 0. From FLARE22 on it is FLARE24's; the published program of FLARE22 has none,
    that of FLARE23 0.1 (docs/judging.md)."""
    foreign_loses: bool = False
    """Whether the organisers' program gives 0 to a prediction that holds a label outside the set."""
    numbered_columns: bool = False
    """Whether the organisers' columns name structures by their ids: `DSC_1` instead of `Liver_DSC`."""


_SHORT_NAMES = {
    "liver": "Liver", "right kidney": "RK", "spleen": "Spleen", "pancreas": "Pancreas", "aorta": "Aorta",
    "inferior vena cava": "IVC", "right adrenal gland": "RAG", "left adrenal gland": "LAG",
    "gallbladder": "Gallbladder", "esophagus": "Esophagus", "stomach": "Stomach", "duodenum": "Duodenum",
    "left kidney": "LK", "tumor": "Tumor", "kidney": "Kidney", "bladder": "Bladder",
    "prostate/uterus": "Prostate",
}  # fmt: skip
_TOLERANCES_MM = {
    "liver": 5.0, "right kidney": 3.0, "spleen": 3.0, "pancreas": 5.0, "aorta": 2.0,
    "inferior vena cava": 2.0, "right adrenal gland": 2.0, "left adrenal gland": 2.0, "gallbladder": 2.0,
    "esophagus": 3.0, "stomach": 5.0, "duodenum": 7.0, "left kidney": 3.0, "tumor": 2.0, "bladder": 3.0,
    "prostate/uterus": 3.0,
}  # fmt: skip
_SLICED = frozenset(("aorta", "inferior vena cava", "esophagus"))


def _challenge(
    labels: LabelSet, tolerances_mm: Mapping[str, float], *, since_flare22: bool = False
) -> Challenge:
    return Challenge(
        labels=labels,
        short_names={name: _SHORT_NAMES[name] for name in labels.names},
        tolerances_mm={name: tolerances_mm[name] for name in labels.names},
        sliced=_SLICED if since_flare22 else frozenset(),
        least_dice=0.2 if since_flare22 else 0.0,
        other_names={name: ("Lesion",) for name in labels.lesions},
    )


CHALLENGES: Mapping[str, Challenge] = MappingProxyType(
    {
        "flare21": replace(_challenge(FLARE21, dict.fromkeys(FLARE21.names, 1.0)), numbered_columns=True),
        "flare22": _challenge(FLARE22, _TOLERANCES_MM, since_flare22=True),
        "flare23": _challenge(FLARE23, _TOLERANCES_MM, since_flare22=True),
        "flare24-lesion": replace(
            _challenge(FLARE24_LESION, _TOLERANCES_MM, since_flare22=True),
            short_names={"tumor": "Lesion"},
            other_names={"tumor": ("Tumor",)},
            foreign_loses=True,
        ),
        # AMOS22 publishes no tolerances; these are FLARE's, and ours for bladder and prostate/uterus.
        "amos22": _challenge(AMOS22, _TOLERANCES_MM),
    }
)


def score_structure(
    prediction: Mask,
    truth: Mask,
    spacing_zyx_mm: ZyxMm,
    tolerance_mm: float,
    *,
    least_dice: float = 0.0,
    with_hd95: bool = False,
) -> StructureScore:
    """Scores of one structure from its two masks of shape (z, y, x), already cut to the slices that count.

    Two empty masks give DSC 1, NSD 1 and HD95 0; one empty mask gives 0, 0 and infinity. If DSC is below
    `least_dice`, NSD is 0.
    """
    overlap = dice(prediction, truth)
    surplus_ml = volume_difference_ml(prediction, truth, spacing_zyx_mm)
    if not prediction.any() or not truth.any():
        apart_mm = (0.0 if overlap else inf) if with_hd95 else nan
        return StructureScore(
            dice=overlap,
            nsd=overlap,
            hd95_mm=apart_mm,
            hd_mm=apart_mm,
            assd_mm=apart_mm,
            volume_difference_ml=surplus_ml,
        )
    if overlap < least_dice and not with_hd95:
        return StructureScore(dice=overlap, nsd=0.0, volume_difference_ml=surplus_ml)
    distances = surface_distances(prediction, truth, spacing_zyx_mm, inf if with_hd95 else tolerance_mm)
    return StructureScore(
        dice=overlap,
        nsd=0.0 if overlap < least_dice else normalized_surface_dice(distances, tolerance_mm),
        hd95_mm=hd95_mm(distances) if with_hd95 else nan,
        hd_mm=hd_mm(distances) if with_hd95 else nan,
        assd_mm=assd_mm(distances) if with_hd95 else nan,
        volume_difference_ml=surplus_ml,
    )


@dataclass(frozen=True, kw_only=True)
class LabelPair:
    """A prediction and its truth, on one grid.

    Raises:
        ValueError: shapes differ.
    """

    prediction: U8
    """Label map of shape (z, y, x)."""
    truth: U8
    """Label map of the same shape and voxel order."""
    spacing_zyx_mm: ZyxMm
    """Voxel size of the truth."""
    head_axis: int = 0
    """Array axis that runs from feet to head; the organisers' programs assume the first."""

    def __post_init__(self) -> None:
        if self.prediction.shape != self.truth.shape:
            raise ValueError(
                f"prediction has shape {self.prediction.shape}, truth {self.truth.shape}: "
                "they must be the same"
            )

    @cached_property
    def prediction_boxes(self) -> dict[int, Box]:
        """Label to its box in the prediction."""
        return label_boxes(self.prediction)

    @cached_property
    def truth_boxes(self) -> dict[int, Box]:
        """Label to its box in the truth."""
        return label_boxes(self.truth)


def score_case(
    pair: LabelPair,
    challenge: Challenge,
    rules: Rules = Rules.STRICT,
    *,
    with_hd95: bool = False,
    with_cl_dice: bool = False,
    threads: int = 1,
) -> dict[str, StructureScore]:
    """Scores of every structure of a challenge in one case, in the order of their ids.

    Args:
        pair: the label maps of the case.
        challenge: structures, tolerances and special cases.
        rules: see the module's docstring.
        with_hd95: also compute the surface distances beyond the tolerance, which takes longer.
        with_cl_dice: also compute the overlap of centre lines, which takes longer still.
        threads: number of structures that are scored at the same time.
    """
    boxes = joined_boxes(pair.prediction_boxes, pair.truth_boxes)
    lost = challenge.foreign_loses and bool(challenge.labels.foreign(pair.prediction_boxes))

    def score(name: str) -> StructureScore:
        label = challenge.labels.ids[name]
        if lost:
            return LOST
        if label not in pair.truth_boxes and rules is Rules.PARTIAL:
            return UNSCORED
        box = boxes.get(label, NOWHERE)
        if name in challenge.sliced and label in pair.truth_boxes and label in pair.prediction_boxes:
            box = annotated_slices(box, pair.truth_boxes[label], rules, pair.head_axis)
            if box[pair.head_axis].start == box[pair.head_axis].stop:
                return UNSCORED
        prediction, truth = pair.prediction[box] == label, pair.truth[box] == label
        found = score_structure(
            prediction,
            truth,
            pair.spacing_zyx_mm,
            challenge.tolerances_mm[name],
            least_dice=challenge.least_dice,
            with_hd95=with_hd95,
        )
        return replace(found, cl_dice=cl_dice(prediction, truth)) if with_cl_dice else found

    truth_ml = structure_volumes_ml(pair.truth, pair.truth_boxes, pair.spacing_zyx_mm, challenge.labels)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        scores = dict(zip(challenge.labels.names, pool.map(score, challenge.labels.names), strict=True))
    return {name: replace(found, truth_ml=truth_ml[name]) for name, found in scores.items()}


def structure_volumes_ml(
    label_map: U8, boxes: Mapping[int, Box], spacing_zyx_mm: ZyxMm, labels: LabelSet
) -> dict[str, float]:
    """Volume in ml of each structure of a label map of shape (z, y, x); 0 for those that it lacks.

    Args:
        label_map: the label map.
        boxes: what `label_boxes` gives for it.
        spacing_zyx_mm: voxel size.
        labels: the structures.
    """
    voxel_ml = prod(spacing_zyx_mm) / 1000.0
    return {
        name: float(np.count_nonzero(label_map[boxes.get(label, NOWHERE)] == label)) * voxel_ml
        for name, label in labels.ids.items()
    }


def annotated_slices(box: Box, truth_box: Box, rules: Rules, head_axis: int = 0) -> Box:
    """The box around a structure in both maps, cut to the slices that the truth annotates.

    The organisers' programs slice `z_lower:z_upper` with the index of the last slice, which Python excludes.
    For a truth on slices 40 to 60 `official` gives slices 40 to 59, the other rules 40 to 60; for a truth on
    a single slice `official` gives none.
    """
    extent = truth_box[head_axis]
    stop = extent.stop - 1 if rules is Rules.OFFICIAL else extent.stop
    z, y, x = (slice(extent.start, stop) if axis == head_axis else part for axis, part in enumerate(box))
    return (z, y, x)


def mean_scores(scores: Mapping[str, float], labels: LabelSet) -> tuple[float, float]:
    """Mean over the organs of a label set, and mean over its lesions; NaN where there is nothing to average.

    Structures that are not scored (NaN) are left out.

    Args:
        scores: structure to its score, in a case or averaged over cases.
        labels: which structures are organs and which are lesions.
    """
    organs, lesions = (
        [scores[name] for name in names if not isnan(scores.get(name, nan))]
        for names in (labels.organs, labels.lesions)
    )
    return _mean(organs), _mean(lesions)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else nan
