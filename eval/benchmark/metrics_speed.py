"""Time of the metrics on a case of full size, beside that of the `surface-distance` package."""

import importlib
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from eval.eval_errors import JudgingError
from eval.machine import processors
from eval.scoring.challenges import CHALLENGES, Challenge, LabelPair, score_case
from eval.scoring.structure_scores import StructureScore
from model.arrays import U8
from model.labels import FLARE22

SHAPE_ZYX = (300, 512, 512)
SPACING_ZYX_MM = (1.25, 0.8, 0.8)
# Centre (z, y, x) and half axes in mm, of about the sizes and places of an adult's organs.
_ORGANS_MM = {
    "liver": ((230, 180, 130), (75, 70, 85)),
    "right kidney": ((150, 270, 130), (55, 30, 28)),
    "spleen": ((235, 265, 320), (50, 45, 25)),
    "pancreas": ((185, 185, 235), (12, 22, 60)),
    "aorta": ((160, 235, 215), (150, 11, 11)),
    "inferior vena cava": ((160, 225, 180), (140, 13, 12)),
    "right adrenal gland": ((215, 245, 170), (18, 5, 9)),
    "left adrenal gland": ((215, 245, 250), (18, 6, 10)),
    "gallbladder": ((170, 150, 150), (25, 16, 16)),
    "esophagus": ((330, 225, 225), (40, 9, 11)),
    "stomach": ((250, 150, 270), (55, 50, 50)),
    "duodenum": ((165, 190, 185), (35, 18, 20)),
    "left kidney": ((160, 270, 285), (55, 29, 28)),
}


@dataclass(frozen=True, kw_only=True)
class Timing:
    """The time of one way of scoring."""

    what: str
    """Name of the program and its metrics."""
    wall_s: float
    """Wall time, which is longer when other programs use the processors too."""
    cpu_s: float
    """CPU time of this process on all processors together."""


def synthetic_pair() -> LabelPair:
    """A made-up abdomen of 512×512×300 voxels with 13 uneven ellipsoids, and a prediction close to it."""
    return LabelPair(prediction=_abdomen(phase=0.7), truth=_abdomen(phase=0.0), spacing_zyx_mm=SPACING_ZYX_MM)


def _abdomen(phase: float) -> U8:
    labels = np.zeros(SHAPE_ZYX, np.uint8)
    for name, (centre_mm, half_mm) in _ORGANS_MM.items():
        box, places = [], []
        for axis, (centre, half) in enumerate(zip(centre_mm, half_mm, strict=True)):
            size = SPACING_ZYX_MM[axis]
            start, stop = (
                int(np.clip((centre + side * 1.3 * half) / size, 0, SHAPE_ZYX[axis])) for side in (-1, 1)
            )
            box.append(slice(start, stop))
            places.append((np.arange(start, stop) * size - centre) / half)
        z, y, x = np.ix_(*places)
        wobble = 1 + 0.12 * np.sin(4 * z + phase) * np.sin(5 * y + 2 * phase) + 0.06 * np.sin(9 * x - phase)
        labels[tuple(box)][z * z + y * y + x * x < wobble] = FLARE22.ids[name]
    return labels


def time_ours(
    pair: LabelPair, challenge: Challenge, with_hd95: bool
) -> tuple[Timing, dict[str, StructureScore]]:
    """Score a case as `score` does, in as many threads as there are processors; the best of three runs."""
    runs = []
    for _ in range(3):
        fresh = LabelPair(prediction=pair.prediction, truth=pair.truth, spacing_zyx_mm=pair.spacing_zyx_mm)
        score = partial(score_case, fresh, challenge, with_hd95=with_hd95, threads=processors())
        runs.append(_timed(score))
    wall_s, cpu_s, scores = min(runs, key=lambda run: run[0])
    what = "LeanSeg: DSC, NSD, HD95" if with_hd95 else "LeanSeg: DSC, NSD"
    return Timing(what=what, wall_s=wall_s, cpu_s=cpu_s), scores


def time_reference(pair: LabelPair, challenge: Challenge) -> tuple[Timing, dict[str, StructureScore]]:
    """Score a case with `surface-distance`: DSC, NSD and HD95, organ by organ on the full volume.

    Raises:
        JudgingError: the package is not installed.
    """
    package = _surface_distance()

    def score_all() -> dict[str, StructureScore]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return {name: _reference_score(package, pair, challenge, name) for name in challenge.labels.names}

    wall_s, cpu_s, scores = _timed(score_all)
    return Timing(what="surface-distance: DSC, NSD, HD95", wall_s=wall_s, cpu_s=cpu_s), scores


def _surface_distance() -> ModuleType:
    try:
        return importlib.import_module("surface_distance")
    except ImportError as error:
        raise JudgingError(
            "the package surface-distance is not installed; `make test` sets it up, --alone does without it"
        ) from error


def _reference_score(package: Any, pair: LabelPair, challenge: Challenge, name: str) -> StructureScore:  # noqa: ANN401
    label = challenge.labels.ids[name]
    truth, prediction = pair.truth == label, pair.prediction == label
    distances = package.compute_surface_distances(truth, prediction, pair.spacing_zyx_mm)
    return StructureScore(
        dice=float(package.compute_dice_coefficient(truth, prediction)),
        nsd=float(package.compute_surface_dice_at_tolerance(distances, challenge.tolerances_mm[name])),
        hd95_mm=float(package.compute_robust_hausdorff(distances, 95)),
    )


def _timed(work: Callable[[], dict[str, StructureScore]]) -> tuple[float, float, dict[str, StructureScore]]:
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall_s, time.process_time() - cpu_s, result


def challenge_to_time() -> Challenge:
    """FLARE22's organs and tolerances without its special cases, which `surface-distance` does not have."""
    flare22 = CHALLENGES["flare22"]
    return Challenge(
        labels=flare22.labels, short_names=flare22.short_names, tolerances_mm=flare22.tolerances_mm
    )
