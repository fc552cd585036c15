"""Data of a page without scores: what was found in images whose truth nobody knows.

It has the fields of `eval.report.page_data`, with no metric and no table, and in their place the volume of
each structure of each case.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.files import SUFFIXES, stem_of
from eval.label_sets import check_labels
from eval.report.case_script import CONVERT
from eval.report.page_data import Json, structures_of
from eval.scoring.challenges import DECIMALS, Challenge, structure_volumes_ml
from eval.scoring.metrics import label_boxes
from eval.volumes import read_labels


def unscored_page(predictions: Path, run: Path | None, challenge: Challenge, title: str) -> Json:
    """All data of the page but the voxels; a label map that cannot be read is a case in error.

    Args:
        predictions: folder of label maps.
        run: what `predict.py --report` wrote when it made them, for its warnings and doubts.
        challenge: what the labels mean.
        title: heading.

    Raises:
        JudgingError: there is no such folder, or no label map in it, or the run's report is none.
    """
    doubts = read_doubts(run) if run else {}
    if not predictions.is_dir():
        raise JudgingError(f"{predictions}: no such folder")
    paths = [path for path in sorted(predictions.iterdir()) if path.name.endswith(SUFFIXES)]
    if not paths:
        raise JudgingError(f"{predictions}: holds no label map; give the folder that they were written to")
    return {
        "title": title,
        "challenge": challenge.labels.name,
        "metrics": [],
        "structures": structures_of(challenge),
        "cases": [_case(path, challenge) | {"doubts": doubts.get(stem_of(path.name), [])} for path in paths],
        "summary": [],
        "tolerances": {},
        "comparison": None,
        "ranking": None,
        "ranking_details": None,
        "sources": [],
        "lesion": None,
        "lesion_rows": [],
    }


def read_doubts(run: Path) -> Mapping[str, list[str]]:
    """Case to what `predict.py` warned of in its image and doubts of its result.

    Raises:
        JudgingError: the file cannot be read or is no report of a run.
    """
    try:
        cases = json.loads(run.read_text(encoding="utf-8"))["cases"]
        return {stem_of(case["output"]): [*case["warnings"], *case["doubts"]] for case in cases}
    except OSError as error:
        raise JudgingError(f"{run}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise JudgingError(f"{run}: is no report of a run; write it with `predict.py --report`") from error


def _case(path: Path, challenge: Challenge) -> Json:
    volumes: Sequence[float] | None = None
    error = ""
    try:
        found = read_labels(path)
        boxes = label_boxes(found.labels)
        check_labels(path, boxes, challenge.labels, CONVERT)
        each = structure_volumes_ml(found.labels, boxes, found.spacing_zyx_mm, challenge.labels)
        volumes = [round(ml, DECIMALS) for ml in each.values()]
    except JudgingError as fault:
        error = str(fault)
    return {
        "name": path.name,
        "stem": stem_of(path.name),
        "error": error,
        "values": {},
        "volumes_ml": volumes,
        "held": [],
        "efficiency": None,
        "log": None,
        "volume": None,
    }
