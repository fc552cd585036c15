"""Tables of lesions beside a score table: one row a lesion, and one row a case."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import read_csv, stem_of, write_csv
from eval.scoring.columns import NAME, read_number
from eval.scoring.lesions import Detection, LesionRule, detection
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


def _detection(result: CaseScores) -> Detection:
    return detection((lesion for lesion, _ in result.lesions), nothing=result.f1_without_lesions)


def _case_row(result: CaseScores) -> dict[str, str]:
    counts = _detection(result)
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


@dataclass(frozen=True, kw_only=True)
class LesionRow:
    """One lesion read back from a table."""

    kind: str
    """What became of it: found, missed or false."""
    structure: str
    """Name of its label."""
    volume_ml: float
    """Volume of the true lesion, or of a false one."""
    iou: float
    """Overlap with its match, 0 to 1."""
    place_mm: tuple[float, float, float]
    """Its centre in the world: x, y, z, LPS."""


def read_lesions(scores: Path) -> dict[str, list[LesionRow]]:
    """Name of a case to its lesions, from the table beside a score table; empty if there is none.

    Raises:
        JudgingError: the table cannot be read or is of another kind.
    """
    path, _ = lesion_paths(scores)
    if not path.is_file():
        return {}
    columns, rows = read_csv(path)
    if columns != list(LESION_COLUMNS):
        raise JudgingError(f"{path}: is no table of lesions; its columns must be {', '.join(LESION_COLUMNS)}")
    found: dict[str, list[LesionRow]] = {}
    for row in rows:
        volumes = (read_number(path, row, f"{which}Volume_ml") for which in ("Truth", "Predicted"))
        x, y, z = (read_number(path, row, f"{axis}_mm") for axis in "XYZ")
        found.setdefault(stem_of(row[NAME]), []).append(
            LesionRow(
                kind=row["Kind"],
                structure=row["Structure"],
                volume_ml=next((volume for volume in volumes if volume > 0), 0.0),
                iou=read_number(path, row, "IoU"),
                place_mm=(x, y, z),
            )
        )
    return found


def lesions_text(results: Sequence[CaseScores], rule: LesionRule) -> str:
    """How well lesions were detected over all cases, as the terminal shows it."""
    f1 = [each for result in results if not math.isnan(each := _detection(result).f1)]
    counts = detection(
        (lesion for result in results for lesion, _ in result.lesions), nothing=min(f1, default=math.nan)
    )
    mean_f1 = sum(f1) / len(f1) if f1 else math.nan
    smallest = f", {rule.least_ml:g} ml or more" if rule.least_ml else ""
    return (
        f"lesions: {counts.found} of {counts.found + counts.missed} found (sensitivity "
        f"{_shown(counts.sensitivity)}), {counts.false} false ({counts.false / len(results):.2f} a case, "
        f"{counts.false_ml / len(results):.2f} ml a case touch no true one)\n"
        f"         F1 {_shown(counts.f1)} over all, {_shown(mean_f1)} as mean of cases; panoptic "
        f"quality {_shown(counts.panoptic_quality)}; IoU of {rule.least_iou:g} or more, 26 "
        f"neighbours{smallest}\n"
    )


def _shown(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
