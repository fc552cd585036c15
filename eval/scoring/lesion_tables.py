"""Tables of lesions beside a score table: one row a lesion, and one row a case."""

import math
from collections.abc import Sequence
from pathlib import Path

from eval.files import write_csv
from eval.scoring.columns import NAME
from eval.scoring.lesions import LesionRule, detection
from eval.scoring.pairs import CaseScores
from eval.scoring.score_table import cell

LESION_COLUMNS = (
    NAME, "Structure", "Kind", "TruthVolume_ml", "PredictedVolume_ml", "IoU", "X_mm", "Y_mm", "Z_mm",
)  # fmt: skip
"""X, Y, Z: the centre in world coordinates, LPS."""
CASE_COLUMNS = (
    NAME, "Found", "Missed", "False", "Sensitivity", "F1", "PanopticQuality", "False_ml", "Missed_ml",
)  # fmt: skip


def lesion_paths(scores: Path) -> tuple[Path, Path]:
    """Where the tables of the lesions of a score table are: by lesion, by case."""
    return scores.with_name(f"{scores.stem}_lesions.csv"), scores.with_name(f"{scores.stem}_lesion_cases.csv")


def write_lesions(scores: Path, results: Sequence[CaseScores]) -> None:
    """Write both tables beside a score table."""
    by_lesion, by_case = lesion_paths(scores)
    rows = [
        {
            NAME: result.name,
            "Structure": lesion.structure,
            "Kind": str(lesion.kind),
            "TruthVolume_ml": cell(lesion.truth_ml),
            "PredictedVolume_ml": cell(lesion.prediction_ml),
            "IoU": cell(lesion.iou),
            **dict(zip(("X_mm", "Y_mm", "Z_mm"), map(cell, place_mm), strict=True)),
        }
        for result in results
        for lesion, place_mm in result.lesions
    ]
    write_csv(by_lesion, LESION_COLUMNS, rows)
    write_csv(by_case, CASE_COLUMNS, [_case_row(result) for result in results])


def _case_row(result: CaseScores) -> dict[str, str]:
    counts = detection(lesion for lesion, _ in result.lesions)
    return {
        NAME: result.name,
        "Found": str(counts.found),
        "Missed": str(counts.missed),
        "False": str(counts.false),
        "Sensitivity": cell(counts.sensitivity),
        "F1": cell(counts.f1),
        "PanopticQuality": cell(counts.panoptic_quality),
        "False_ml": cell(counts.false_ml),
        "Missed_ml": cell(counts.missed_ml),
    }


def lesions_text(results: Sequence[CaseScores], rule: LesionRule) -> str:
    """How well lesions were detected over all cases, as the terminal shows it."""
    counts = detection(lesion for result in results for lesion, _ in result.lesions)
    f1 = [detection(lesion for lesion, _ in result.lesions).f1 for result in results]
    smallest = f", {rule.least_ml:g} ml or more" if rule.least_ml else ""
    return (
        f"lesions: {counts.found} of {counts.found + counts.missed} found (sensitivity "
        f"{_shown(counts.sensitivity)}), {counts.false} false ({counts.false / len(results):.2f} a case, "
        f"{counts.false_ml / len(results):.2f} ml a case touch no true one)\n"
        f"         F1 {_shown(counts.f1)} over all, {sum(f1) / len(f1):.3f} as mean of cases; panoptic "
        f"quality {_shown(counts.panoptic_quality)}; IoU of {rule.least_iou:g} or more, 26 "
        f"neighbours{smallest}\n"
    )


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
