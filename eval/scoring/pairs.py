"""From pairs of files to scored cases: check them, score them in parallel.

A truth without a prediction is a case in error; a faulty truth ends the run, since no submission is to blame.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from eval.eval_errors import JudgingError
from eval.image_files import stored_size, without_itk_warnings
from eval.label_sets import check_labels
from eval.machine import processors
from eval.pool import side_by_side
from eval.scoring.challenges import Challenge, LabelPair, Rules, score_case, structure_volumes_ml
from eval.scoring.confusion import confusion_ml
from eval.scoring.lesions import Lesion, LesionRule, find_lesions
from eval.scoring.metrics import label_boxes
from eval.scoring.pairing import PairedCase
from eval.scoring.structure_scores import LOST, UNSCORED, StructureScore
from eval.scoring.voxel_counts import VoxelCounts, count_voxels
from eval.volumes import (
    TIMES_AS_FINE,
    LabelVolume,
    grid_difference,
    is_too_fine,
    onto_grid,
    read_labels,
    size_difference,
)
from model.arrays import F64
from model.labels import LabelSet

XyzMm = tuple[float, float, float]
MEMORY_SHARE = 0.6
"""Share of the free memory that all scoring processes together may use."""
WORKING_BYTES = 10
"""Bytes per voxel of each map that scoring needs beside the file and its array, as measured on noise
(1683 MiB for 512×512×300 voxels, 5 % of them with a label at random); three times what whole bodies take."""
OTHER_GRID = "prediction and truth lie on different grids"
IN_SPACE = "--resample compares in physical space"
CONVERT = "choose another --labels or convert the file"


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """How cases are scored."""

    challenge: Challenge
    """Structures, tolerances and special cases."""
    rules: Rules = Rules.STRICT
    """What is done with faulty cases, and where the organisers' programs have faults."""
    with_hd95: bool = True
    """Whether the 95th percentile of the surface distances is computed."""
    with_cl_dice: bool = False
    """Whether the overlap of centre lines is computed."""
    resample: bool = False
    """Whether a prediction on another grid is resampled onto the truth's; otherwise it is an error."""
    lesion_rule: LesionRule | None = None
    """What a lesion is; None leaves lesions as things out."""
    with_confusion: bool = False
    """Whether it is counted which structure is taken for which."""
    with_counts: bool = False
    """Whether voxels are counted, for nnU-Net's figures."""


@dataclass(frozen=True, kw_only=True)
class CaseScores:
    """Scores of one case."""

    name: str
    """File name, as in `PairedCase`."""
    scores: dict[str, StructureScore]
    """Structure to its scores, in the order of ids."""
    error: str = ""
    """Why the case could not be scored properly, in one line; empty if it could."""
    diagonal_mm: float = math.nan
    """Length of the image's diagonal, which stands for infinite distances in means; NaN if nobody said."""
    lesions: tuple[tuple[Lesion, XyzMm], ...] = ()
    """Lesions, each with its centre in the world (LPS); under official rules none of a case in error."""
    f1_without_lesions: float = 1.0
    """F1 and panoptic quality of the case if it has no lesions; what the rules give to a case in error."""
    confusion_ml: F64 | None = None
    """Volume by true and predicted structure; None if it was not counted."""
    counts: Mapping[str, VoxelCounts] | None = None
    """Structure to its voxels, as far as the rules score it; None if they were not counted."""


def truth_fault(case: PairedCase, options: ScoreOptions) -> str:
    """Why a case's truth cannot be used, in one line; empty if it can.

    Under official rules labels outside the set are no fault, since the organisers' programs pass over them.
    """
    try:
        truth = read_labels(case.truth)
        if options.rules is not Rules.OFFICIAL:
            check_labels(truth.path, label_boxes(truth.labels), options.challenge.labels, CONVERT)
    except JudgingError as error:
        return str(error)
    return ""


def check_truths(cases: Sequence[PairedCase], options: ScoreOptions, jobs: int) -> list[str]:
    """The faults of all truths, `jobs` read at a time, in the order of the cases' names.

    Raises:
        JudgingError: a process ran out of memory.
    """
    return sorted(filter(None, side_by_side(partial(truth_fault, options=options), cases, jobs)))


def judge(case: PairedCase, options: ScoreOptions, threads: int = 1) -> CaseScores:
    """Score one case; a fault of the prediction is reported in `error` and raises no exception.

    Under official rules a faulty case has no scores, since the organisers' program stops at it. Under strict
    rules all its structures have the worst scores, under partial rules those that the truth holds.

    Raises:
        JudgingError: the truth cannot be used; see `truth_fault`.
    """
    truth = read_labels(case.truth)
    rule, f1_without_lesions, countable = options.lesion_rule, 1.0, options.with_counts
    try:
        if case.prediction is None:
            raise JudgingError("missing: there is no prediction of this name")
        if fault := _size_fault(stored_size(case.prediction), truth.grid.GetSize(), options.resample):
            raise JudgingError(fault)
        pair = _on_one_grid(read_labels(case.prediction), truth, options)
        scores, remarks = _compared(pair, options, threads)
    except JudgingError as error:
        # A prediction of no use finds no lesion, and gives every voxel to the background.
        pair = LabelPair(
            prediction=np.zeros_like(truth.labels), truth=truth.labels, spacing_zyx_mm=truth.spacing_zyx_mm
        )
        scores, remarks = failed(options.challenge, options.rules, truth), str(error)
        if options.rules is Rules.OFFICIAL:
            rule, countable = None, False
        f1_without_lesions = 0.0 if options.rules is Rules.STRICT else math.nan
    labels = options.challenge.labels
    return CaseScores(
        name=case.name,
        scores=scores,
        error=remarks,
        diagonal_mm=truth.diagonal_mm,
        lesions=_lesions(pair, truth, labels, rule),
        f1_without_lesions=f1_without_lesions,
        confusion_ml=confusion_ml(pair.prediction, pair.truth, pair.spacing_zyx_mm, labels)
        if options.with_confusion
        else None,
        counts=_counts(pair, options) if countable else None,
    )


def _counts(pair: LabelPair, options: ScoreOptions) -> dict[str, VoxelCounts]:
    every = count_voxels(pair, options.challenge.labels)
    partial = options.rules is Rules.PARTIAL
    return {name: counts for name, counts in every.items() if counts.truth or not partial}


def _lesions(
    pair: LabelPair, truth: LabelVolume, labels: LabelSet, rule: LesionRule | None
) -> tuple[tuple[Lesion, XyzMm], ...]:
    if rule is None:
        return ()
    found = []
    for name in labels.lesions:
        for lesion in find_lesions(
            pair.prediction, pair.truth, labels.ids[name], name, pair.spacing_zyx_mm, rule
        ):
            z, y, x = lesion.centre_zyx
            found.append((lesion, truth.grid.TransformContinuousIndexToPhysicalPoint((x, y, z))))
    return tuple(found)


def failed(challenge: Challenge, rules: Rules, truth: LabelVolume) -> dict[str, StructureScore]:
    """Scores that the rules give to a case in error: it predicts nothing, so all of the volume is missing."""
    if rules is Rules.OFFICIAL:
        return dict.fromkeys(challenge.labels.names, UNSCORED)
    volumes_ml = structure_volumes_ml(
        truth.labels, label_boxes(truth.labels), truth.spacing_zyx_mm, challenge.labels
    )
    return {
        name: replace(LOST, truth_ml=volume_ml, volume_difference_ml=0.0 - volume_ml)
        if rules is Rules.STRICT or volume_ml > 0
        else replace(UNSCORED, truth_ml=volume_ml)
        for name, volume_ml in volumes_ml.items()
    }


def _size_fault(prediction_xyz: tuple[int, ...], truth_xyz: tuple[int, ...], resample: bool) -> str:
    """Why a prediction is refused before its voxels are read, for a header may state any number of them.

    Args:
        prediction_xyz: its size by its header.
        truth_xyz: that of the truth.
        resample: whether predictions of other sizes are resampled, as long as they are of use.
    """
    if not (difference := size_difference(prediction_xyz, truth_xyz)):
        return ""
    if not resample:
        return f"{OTHER_GRID}: {difference}; {IN_SPACE}"
    if not is_too_fine(prediction_xyz, truth_xyz):
        return ""
    return (
        f"{OTHER_GRID}: {difference}; --resample takes up to {TIMES_AS_FINE} times as many as the truth has"
    )


def _on_one_grid(prediction: LabelVolume, truth: LabelVolume, options: ScoreOptions) -> LabelPair:
    """A prediction and its truth as a pair, on the truth's grid.

    The truth is never resampled: what a coarser grid does not show of it, nobody could miss.

    Raises:
        JudgingError: they lie on different grids, or the prediction holds foreign labels.
    """
    official = options.rules is Rules.OFFICIAL
    if options.resample and grid_difference(prediction.grid, truth.grid):
        prediction = onto_grid(prediction, truth.grid)
    difference = grid_difference(prediction.grid, truth.grid)
    if difference and not (official and prediction.labels.shape == truth.labels.shape):
        raise JudgingError(f"{OTHER_GRID}: {difference}; {IN_SPACE}")
    pair = LabelPair(
        prediction=prediction.labels,
        truth=truth.labels,
        spacing_zyx_mm=truth.spacing_zyx_mm,
        head_axis=0 if official else truth.head_axis,
    )
    if not official:
        check_labels(prediction.path, pair.prediction_boxes, options.challenge.labels, CONVERT)
    return pair


def _compared(pair: LabelPair, options: ScoreOptions, threads: int) -> tuple[dict[str, StructureScore], str]:
    """The scores of a prediction, and what was left out."""
    official = options.rules is Rules.OFFICIAL
    scores = score_case(
        pair,
        options.challenge,
        options.rules,
        with_hd95=options.with_hd95 and not official,
        with_cl_dice=options.with_cl_dice and not official,
        threads=threads,
    )
    return scores, _remarks(scores) if official else ""


def _remarks(scores: dict[str, StructureScore]) -> str:
    lost = [name for name, score in scores.items() if score.dice != score.dice]
    return (
        f"not scored: {', '.join(lost)} on one slice of the truth, where the organisers' program stops"
        if lost
        else ""
    )


def judge_all(cases: Sequence[PairedCase], options: ScoreOptions, jobs: int) -> Iterator[CaseScores]:
    """Score cases in `jobs` processes, a single one in `jobs` threads; yields them as they are finished.

    Raises:
        JudgingError: a process ran out of memory.
    """
    yield from side_by_side(
        partial(judge, options=options, threads=jobs if len(cases) == 1 else 1), cases, jobs
    )


def affordable_jobs(cases: Sequence[PairedCase], memory_bytes: int, resample: bool = False) -> int:
    """Number of cases that fit into memory together, from 1 to the number of processors.

    All are taken to be as large as the largest one.

    Args:
        cases: the files.
        memory_bytes: memory that is free.
        resample: whether predictions of other sizes are read.
    """
    needed = max((_bytes_needed(case, resample) for case in cases), default=1)
    return max(1, min(processors(), int(memory_bytes * MEMORY_SHARE / max(needed, 1))))


def _bytes_needed(case: PairedCase, resample: bool) -> int:
    truth_xyz, total = _stated(case.truth)
    if case.prediction is None:
        return total
    prediction_xyz, more = _stated(case.prediction)
    return total if _size_fault(prediction_xyz, truth_xyz, resample) else total + more


def _stated(path: Path) -> tuple[tuple[int, ...], int]:
    """Size of a label map by its header, and the bytes that scoring needs for it; 0 if it cannot be read."""
    without_itk_warnings()
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        bytes_each = sitk.Image((1, 1, 1), reader.GetPixelID()).GetSizeOfPixelComponent()
    except RuntimeError:
        return (), 0
    size_xyz = tuple(reader.GetSize())
    return size_xyz, math.prod(size_xyz) * (2 * bytes_each + WORKING_BYTES)
