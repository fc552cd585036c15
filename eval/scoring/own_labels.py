"""Scoring of a user's own label set: plain DSC and NSD, without the special cases of any challenge.

The file that states the set may give tolerances of the NSD, for some structures or for all:

    {"labels": {"liver": 1, "cyst": 2}, "lesions": ["cyst"], "tolerances_mm": {"liver": 5}}
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.label_sets import find_labels
from eval.scoring.challenges import CHALLENGES, Challenge
from model.label_files import find_label_file
from model.labels import LABEL_SETS, LabelSet

DEFAULT_TOLERANCE_MM = 2.0
"""Tolerance of the NSD where the file states none; the FLARE challenges use it for vessels, small organs and
tumors."""
TOLERANCES = "tolerances_mm"


def find_challenge(name_or_path: str) -> Challenge:
    """The scoring of a label set: that of its challenge, or the plain one for a user's own set.

    Args:
        name_or_path: a challenge, e.g. `flare23`, or a label file, or a folder that holds one.

    Raises:
        JudgingError: there is none, or its file is faulty.
    """
    known = CHALLENGES.get(name_or_path)
    if known is not None:
        return known
    labels = find_labels(name_or_path)
    stated = {} if name_or_path in LABEL_SETS else read_tolerances(find_label_file(name_or_path), labels)
    return Challenge(
        labels=labels,
        short_names={name: name for name in labels.names},
        tolerances_mm={name: stated.get(name, DEFAULT_TOLERANCE_MM) for name in labels.names},
    )


def read_tolerances(path: Path, labels: LabelSet) -> dict[str, float]:
    """Structure to tolerance in mm, as far as a label file states them.

    Args:
        path: a file that `model.label_files` has read as `labels`.
        labels: what it states.

    Raises:
        JudgingError: a tolerance is no number of 0 mm or more, or is that of no structure of the set.
    """
    stated = json.loads(path.read_text(encoding="utf-8")).get(TOLERANCES, {})
    if not isinstance(stated, Mapping):
        raise JudgingError(f"{path}: {TOLERANCES}: must map structures to mm")
    for structure, tolerance_mm in stated.items():
        if structure not in labels.ids:
            raise JudgingError(f"{path}: {TOLERANCES}.{structure}: is no structure of the label set")
        number = isinstance(tolerance_mm, int | float) and not isinstance(tolerance_mm, bool)
        if not number or not 0 <= tolerance_mm < math.inf:
            raise JudgingError(
                f"{path}: {TOLERANCES}.{structure}: must be a number of 0 mm or more, is {tolerance_mm!r}"
            )
    return {structure: float(tolerance_mm) for structure, tolerance_mm in stated.items()}
