"""The organisers' rules for accuracy, to the letter, in one place.

Three sets of rules:

    official   what the organisers' programs compute, faults included, for comparison with leaderboards
    strict     the same metrics without the faults (the default)
    partial    strict, and structures that a truth does not hold at all are left out: truths annotated in part

All of them give 1, 1 when a structure is in neither map and 0, 0 when it is in only one of them, set NSD to 0 when DSC
is below a threshold, and look at long structures (aorta, inferior vena cava, esophagus) only on the slices that the
truth annotates. The organisers' programs lose the topmost of these slices, and stop at a structure of one slice; `official`
repeats the first fault and scores the second not at all, `strict` counts the slice.

Source: DSC_NSD_eval.py of the FLARE challenges (JunMa11/FLARE, MIT) and the challenge rules.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from math import inf, nan
from types import MappingProxyType

import numpy as np

from eval.metrics import (
    Box,
    LabelMap,
    Mask,
    dice,
    hd95_mm,
    label_boxes,
    normalized_surface_dice,
    surface_distances,
    volume_difference_ml,
)
from eval.surfels import Spacing
from model.labels import AMOS22, FLARE21, FLARE22, FLARE23, LabelSet

MAX_LABEL = 255
DECIMALS = 4
"""Digits after the point in the organisers' tables."""


class Rules(StrEnum):
    """Whose rules decide where organisers' code and good sense differ; see the module's docstring."""

    STRICT = "strict"
    OFFICIAL = "official"
    PARTIAL = "partial"


@dataclass(frozen=True, kw_only=True)
class Challenge:
    """How one challenge scores its structures."""

    labels: LabelSet
    short_names: Mapping[str, str]
    """Structure to its name in the organisers' column names."""
    tolerances_mm: Mapping[str, float]
    """Structure to the tolerance of its NSD."""
    sliced: frozenset[str] = frozenset()
    """Structures scored only on the slices that the truth annotates."""
    least_dice: float = 0.0
    """Below this DSC, NSD is 0."""


@dataclass(frozen=True, kw_only=True)
class StructureScore:
    """Scores of one structure in one case; NaN is "not scored"."""

    dice: float
    """0 to 1."""
    nsd: float
    """0 to 1, at the structure's tolerance."""
    hd95_mm: float = nan
    """0 mm upwards, infinity if only one of the maps holds the structure, NaN if not asked for."""
    volume_difference_ml: float = nan
    """Prediction minus truth."""


LOST = StructureScore(dice=0.0, nsd=0.0, hd95_mm=inf)
"""Score of a structure in a case that failed, under rules that count failures."""
UNSCORED = StructureScore(dice=nan, nsd=nan)

_SHORT_NAMES = {
    "liver": "Liver", "right kidney": "RK", "spleen": "Spleen", "pancreas": "Pancreas", "aorta": "Aorta",
    "inferior vena cava": "IVC", "right adrenal gland": "RAG", "left adrenal gland": "LAG", "gallbladder": "Gallbladder",
    "esophagus": "Esophagus", "stomach": "Stomach", "duodenum": "Duodenum", "left kidney": "LK", "tumor": "Tumor",
    "kidney": "Kidney", "bladder": "Bladder", "prostate/uterus": "Prostate",
}  # fmt: skip
_TOLERANCES_MM = {
    "liver": 5.0, "right kidney": 3.0, "spleen": 3.0, "pancreas": 5.0, "aorta": 2.0, "inferior vena cava": 2.0,
    "right adrenal gland": 2.0, "left adrenal gland": 2.0, "gallbladder": 2.0, "esophagus": 3.0, "stomach": 5.0,
    "duodenum": 7.0, "left kidney": 3.0, "tumor": 2.0, "bladder": 3.0, "prostate/uterus": 3.0,
}  # fmt: skip
_SLICED = frozenset(("aorta", "inferior vena cava", "esophagus"))


def _challenge(labels: LabelSet, tolerances_mm: Mapping[str, float], *, since_flare22: bool = False) -> Challenge:
    return Challenge(
        labels=labels,
        short_names=MappingProxyType({name: _SHORT_NAMES[name] for name in labels.names}),
        tolerances_mm=MappingProxyType({name: tolerances_mm[name] for name in labels.names}),
        sliced=_SLICED if since_flare22 else frozenset(),
        least_dice=0.2 if since_flare22 else 0.0,
    )


CHALLENGES: Mapping[str, Challenge] = MappingProxyType(
    {
        "flare21": _challenge(FLARE21, dict.fromkeys(FLARE21.names, 1.0)),
        "flare22": _challenge(FLARE22, _TOLERANCES_MM, since_flare22=True),
        "flare23": _challenge(FLARE23, _TOLERANCES_MM, since_flare22=True),
        # AMOS22 publishes no tolerances; these are FLARE's, and ours for bladder and prostate/uterus.
        "amos22": _challenge(AMOS22, _TOLERANCES_MM),
    }
)


def score_structure(
    prediction: Mask,
    truth: Mask,
    spacing_zyx_mm: Spacing,
    tolerance_mm: float,
    *,
    least_dice: float = 0.0,
    with_hd95: bool = False,
) -> StructureScore:
    """Scores of one structure from its two masks of shape (z, y, x), cut as the rules say.

    Both empty: DSC 1, NSD 1, HD95 0. Only one empty: 0, 0, infinity. DSC below `least_dice`: NSD 0.
    """
    overlap = dice(prediction, truth)
    surplus_ml = volume_difference_ml(prediction, truth, spacing_zyx_mm)
    if not prediction.any() or not truth.any():
        return StructureScore(dice=overlap, nsd=overlap, hd95_mm=0.0 if overlap else inf, volume_difference_ml=surplus_ml)
    if overlap < least_dice and not with_hd95:
        return StructureScore(dice=overlap, nsd=0.0, volume_difference_ml=surplus_ml)
    distances = surface_distances(prediction, truth, spacing_zyx_mm, inf if with_hd95 else tolerance_mm)
    return StructureScore(
        dice=overlap,
        nsd=0.0 if overlap < least_dice else normalized_surface_dice(distances, tolerance_mm),
        hd95_mm=hd95_mm(distances) if with_hd95 else nan,
        volume_difference_ml=surplus_ml,
    )


def score_case(
    prediction: LabelMap,
    truth: LabelMap,
    spacing_zyx_mm: Spacing,
    challenge: Challenge,
    *,
    rules: Rules = Rules.STRICT,
    with_hd95: bool = False,
    slice_axis: int = 0,
    threads: int = 1,
) -> dict[str, StructureScore]:
    """Scores of every structure of a challenge in one case, in the order of their ids.

    Args:
        prediction: label map, shape (z, y, x).
        truth: label map of the same shape and voxel order.
        spacing_zyx_mm: voxel size of the truth.
        challenge: structures, tolerances and special cases.
        rules: see the module's docstring.
        with_hd95: also compute the 95th percentile of the surface distances, which takes longer.
        slice_axis: array axis from feet to head; the organisers take the first for granted.
        threads: structures worked on at the same time.

    Raises:
        ValueError: shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, truth {truth.shape}: they must be the same")
    boxes = label_boxes((prediction, truth), MAX_LABEL)
    truth_boxes = label_boxes((truth,), MAX_LABEL)

    def score(name: str) -> StructureScore:
        label = challenge.labels.ids[name]
        box, truth_box = boxes.get(label), truth_boxes.get(label)
        if truth_box is None and rules is Rules.PARTIAL:
            return UNSCORED
        if box is None:
            return StructureScore(dice=1.0, nsd=1.0, hd95_mm=0.0 if with_hd95 else nan, volume_difference_ml=0.0)
        if name in challenge.sliced and truth_box is not None and np.any(prediction[box] == label):
            box = annotated_slices(box, truth_box, rules, slice_axis)
            if box[slice_axis].start == box[slice_axis].stop:
                return UNSCORED
        return score_structure(
            prediction[box] == label,
            truth[box] == label,
            spacing_zyx_mm,
            challenge.tolerances_mm[name],
            least_dice=challenge.least_dice,
            with_hd95=with_hd95,
        )

    with ThreadPoolExecutor(max_workers=threads) as pool:
        return dict(zip(challenge.labels.names, pool.map(score, challenge.labels.names), strict=True))


def annotated_slices(box: Box, truth_box: Box, rules: Rules, slice_axis: int = 0) -> Box:
    """A box around a structure in both maps, cut to the slices that the truth annotates.

    The organisers write `z_lower:z_upper` with the index of the last slice, which Python leaves out. For a truth on
    slices 40 to 60 `official` gives slices 40 to 59, the others 40 to 60; for one slice `official` gives none.
    """
    extent = truth_box[slice_axis]
    stop = extent.stop - 1 if rules is Rules.OFFICIAL else extent.stop
    return tuple(slice(extent.start, stop) if axis == slice_axis else part for axis, part in enumerate(box))  # type: ignore[return-value]


def mean_scores(scores: Mapping[str, float]) -> tuple[float, float]:
    """Mean over the organs, and the tumor's own value (NaN without one); structures not scored (NaN) are left out.

    Args:
        scores: structure to its score, in a case or averaged over cases.
    """
    organs = [value for name, value in scores.items() if name != "tumor" and not np.isnan(value)]
    return float(np.mean(organs)) if organs else nan, scores.get("tumor", nan)
