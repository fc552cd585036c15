"""Held-out cases of a fold, segmented by the engine as users run it, and scored on the images' own grids.

The trainer's own validation is of another kind: on the network's grid, left and right still one channel, and
without clean-up. What a fold is worth is what its bundle writes.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from model.arrays import counts_of_ids
from model.case_names import as_cell, from_cell
from model.labels import LabelSet
from training.case_scores import Score, channel_scores
from training.data.found_cases import CaseFiles
from training.data.on_grid import as_ids, read_canonical, refuse_foreign, refuse_other_grid
from training.data.prepared import paths_of, read_record
from training.training_errors import DataError
from training.whole_files import write_text

COLUMNS = ("case", "structure", "dice", "hd95_mm")


def raw_files(case: CaseFiles) -> CaseFiles:
    """A case with the files that it was prepared from, if it is prepared.

    Raises:
        DataError: they are not there any more.
    """
    if case.prepared is None:
        return case
    record = read_record(case.prepared, case.name)
    paths = paths_of(record) if record is not None else []
    gone = next((path for path in paths if not path.exists()), None)
    if gone is not None or not paths:
        raise DataError(
            f"{gone or case.labels}: case {case.name} was prepared from it and is validated on it, but it is "
            "gone; bring it back, or, where the data were moved, run prepare on them there with --output "
            f"{case.prepared}"
        )
    return replace(case, images=tuple(paths[:-1]), labels=paths[-1], prepared=None)


def score_labels(cases: Sequence[CaseFiles], folder: Path, labels: LabelSet) -> list[Score]:
    """Scores of label maps that the engine wrote: of each structure that a case holds and people annotated.

    Args:
        cases: with their truths.
        folder: holds `CASE.nii.gz` of each.
        labels: what their ids mean.

    Raises:
        DataError: a label map is missing or lies on another grid, or a truth holds other ids.
    """
    name_of = labels.names_by_id
    scores = []
    for case in cases:
        truth, path = read_canonical(case.labels), folder / f"{case.name}.nii.gz"
        prediction = read_canonical(path)
        refuse_other_grid(truth.geometry, prediction.geometry, path, "its truth")
        truth_ids = as_ids(truth.array, case.labels)
        refuse_foreign(counts_of_ids(truth_ids), labels, case.labels)
        spacing, annotated = truth.geometry.spacing_zyx_mm, case.judged.annotated
        for label_id, dsc, hd95 in channel_scores(as_ids(prediction.array, path), truth_ids, spacing):
            structure = name_of[label_id]
            if annotated is None or structure in annotated:
                scores.append(Score(case=case.name, structure=structure, dice=dsc, hd95_mm=hd95))
    return scores


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    """Write scores as CSV; a file that is already there is replaced only when the new one is complete."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (as_cell(score.case), as_cell(score.structure), repr(score.dice), repr(score.hd95_mm))
        for score in scores
    )
    write_text(path, table.getvalue())


def read_scores(path: Path) -> list[Score]:
    """Scores as `write_scores` wrote them.

    Raises:
        DataError: the file is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return [
                Score(
                    case=from_cell(row["case"]),
                    structure=from_cell(row["structure"]),
                    dice=float(row["dice"]),
                    hd95_mm=float(row["hd95_mm"]),
                )
                for row in csv.DictReader(stream)
            ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({error}); delete it, and the fold is scored again") from error
