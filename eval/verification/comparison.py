"""Contenders run one after the other, each case in a new process; their labels are held against others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median

import numpy as np
import SimpleITK as sitk

from eval.benchmark.cold_runs import Measured, free_limits, measure
from eval.eval_errors import JudgingError
from eval.scoring.metrics import dice_per_label, label_boxes
from eval.verification.contenders import ROOT, Case, Contender, label_map_of
from eval.volumes import grid_difference, read_labels
from model.labels import LabelSet, look_up

ERROR = "error:"
"""How programs begin the line that says why a case failed."""
MOST_SECONDS = 7200.0
"""Seconds after which a run is stopped."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far two label maps of a case agree."""

    dice: Mapping[str, float]
    """Dice of each structure that either map holds."""
    differing: int
    """Voxels with another label."""
    voxels: int
    """Voxels of the image."""
    left_out: tuple[int, ...] = ()
    """Ids that the other map holds and the label set has not, rising; their voxels count as background."""

    @property
    def mean_dice(self) -> float:
        """Over the structures that either map holds; 1 where both are empty."""
        return mean(self.dice.values()) if self.dice else 1.0


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What one contender did."""

    contender: str
    runs: Mapping[str, Measured] = field(default_factory=dict)
    """Case to time and memory."""
    against: Mapping[str, Agreement] = field(default_factory=dict)
    """Case to agreement with the reference; empty for the reference itself."""
    truth: Mapping[str, Agreement] = field(default_factory=dict)
    """Case to agreement with the truth, where there is one."""

    @property
    def wall_s(self) -> float:
        """Median over the cases."""
        return median(run.wall_s for run in self.runs.values())

    @property
    def cpu_s(self) -> float:
        """Median over the cases."""
        return median(run.cpu_s for run in self.runs.values())

    @property
    def peak_mb(self) -> float:
        """The largest of all cases, MiB."""
        return max(run.peak_mb for run in self.runs.values())

    @property
    def mean_dice(self) -> float:
        """Agreement with the reference: over cases, of the means over structures."""
        return mean(each.mean_dice for each in self.against.values())

    @property
    def least_dice(self) -> float:
        """Of any structure of any case."""
        return min((dice for each in self.against.values() for dice in each.dice.values()), default=1.0)


def run_all(contender: Contender, cases: Sequence[Case], folder: Path) -> dict[str, Measured]:
    """Label every case in a new process.

    Args:
        contender: the program.
        cases: what it is given.
        folder: new; label maps and the program's output lie there afterwards.

    Raises:
        JudgingError: a run fails, or writes no label map.
    """
    folder.mkdir(parents=True)
    runs = {}
    for case in cases:
        log = folder / f"{case.name}.log"
        measured, _ = measure(contender.command(case, folder), free_limits(MOST_SECONDS), log, ROOT)
        if measured.exit_code or measured.stopped or not label_map_of(case, folder).is_file():
            said = reason_in(log.read_text(encoding="utf-8", errors="replace"))
            why = measured.stopped or said or f"exit code {measured.exit_code}"
            raise JudgingError(f"{contender.name} failed on {case.name}: {why}")
        runs[case.name] = measured
    return runs


def reason_in(log: str) -> str:
    r"""The line of a program's output that says why it failed; empty where it said nothing.

    The last one that begins with `error:`, after which `predict.py` sums up its cases, or else the last one,
    which of a traceback names the exception.

    >>> reason_in("error: a.nii.gz: is no image\n1 case: 1 failed; 0.0 s\n")
    'a.nii.gz: is no image'
    """
    lines = [line.strip() for line in log.strip().splitlines()]
    errors = [line.removeprefix(ERROR).strip() for line in lines if line.startswith(ERROR)]
    return (errors or lines or [""])[-1]


def translate(cases: Sequence[Case], folder: Path, ids: Mapping[int, int]) -> None:
    """Write the label maps of a folder anew with other ids, in their place.

    Args:
        cases: whose label maps lie there.
        folder: of label maps that may be overwritten.
        ids: of each structure there to the one that is written, 0 for none. Nothing is written anew where
            all stay.

    Raises:
        JudgingError: a label map cannot be read, or holds an id that is not named.
    """
    if all(theirs == ours for theirs, ours in ids.items()):
        return
    table = np.zeros(256, np.uint8)
    table[list(ids)] = list(ids.values())
    for case in cases:
        volume = read_labels(label_map_of(case, folder))
        foreign = sorted(label_boxes(volume.labels).keys() - ids.keys())
        if foreign:
            raise JudgingError(f"{volume.path}: holds {foreign[0]}, which is no label of its model")
        written = replace(volume, labels=look_up(table, volume.labels))
        sitk.WriteImage(written.as_image(), str(volume.path))


def agreement(case: Case, ours: Path, theirs: Path, labels: LabelSet) -> Agreement:
    """Compare the label maps of a case in two folders.

    What the other map labels with ids that the label set has not is left out: `ours` cannot hold it.

    Raises:
        JudgingError: one is missing, or they are not on one grid.
    """
    one, other = (read_labels(label_map_of(case, folder)) for folder in (ours, theirs))
    difference = grid_difference(one.grid, other.grid)
    if difference:
        raise JudgingError(f"{other.path}: is not on the grid of {one.path}: {difference}")
    foreign = labels.foreign(label_boxes(other.labels))
    held = {*label_boxes(one.labels), *label_boxes(other.labels)} - set(foreign)
    known = np.arange(256, dtype=np.uint8)
    known[foreign] = 0
    reference = look_up(known, other.labels) if foreign else other.labels
    scores = dice_per_label(one.labels, reference, sorted(held))
    return Agreement(
        dice={labels.name_of(number): float(dice) for number, dice in scores.items()},
        differing=int(np.count_nonzero(one.labels != reference)),
        voxels=int(one.labels.size),
        left_out=tuple(foreign),
    )
