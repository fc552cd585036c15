"""Column names of score tables, which `score` writes and the other commands read.

    official, FLARE21   Name, DSC_1, NSD-1mm_1, DSC_2, NSD-1mm_2, …
    official, others    Name, Liver_DSC, RK_DSC, …, Liver_NSD, RK_NSD, …
    strict, partial     Name, Liver_DSC, …, Liver_NSD, …, Liver_HD95_mm, …, Liver_VolumeDifference_ml, …

Strict and partial tables end with a column `Error`. Official ones have it only if a case has an error, so
that other programs find the organisers' columns and no other.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.scoring.challenges import Challenge, Rules

NAME = "Name"
ERROR = "Error"


class Metric(StrEnum):
    """A score of a structure; the value is how the names of its columns end."""

    DSC = "DSC"
    NSD = "NSD"
    HD95 = "HD95_mm"
    VOLUME_DIFFERENCE = "VolumeDifference_ml"


def column(challenge: Challenge, structure: str, metric: Metric, rules: Rules = Rules.STRICT) -> str:
    """Name of the column that holds one metric of one structure."""
    if rules is Rules.OFFICIAL and challenge.numbered_columns:
        stem = "NSD-1mm" if metric is Metric.NSD else metric
        return f"{stem}_{challenge.labels.ids[structure]}"
    return f"{challenge.short_names[structure]}_{metric}"


def metrics_of(rules: Rules, with_hd95: bool) -> tuple[Metric, ...]:
    """The metrics of a table, in the order of its columns."""
    if rules is Rules.OFFICIAL:
        return (Metric.DSC, Metric.NSD)
    return (Metric.DSC, Metric.NSD, *((Metric.HD95,) if with_hd95 else ()), Metric.VOLUME_DIFFERENCE)


def score_columns(challenge: Challenge, metrics: Sequence[Metric], rules: Rules) -> list[str]:
    """Names of all columns that hold scores, in their order; `Name` and `Error` are not among them."""
    if rules is Rules.OFFICIAL and challenge.numbered_columns:
        return [
            column(challenge, name, metric, rules) for name in challenge.labels.names for metric in metrics
        ]
    return [column(challenge, name, metric, rules) for metric in metrics for name in challenge.labels.names]


def read_number(path: Path, row: Mapping[str, str], header: str) -> float:
    """Number in a cell of a score or efficiency table; NaN if the cell is empty or there is no such column.

    Args:
        path: the table, for the message.
        row: one of its rows, with a name.
        header: name of the column.

    Raises:
        JudgingError: something else than a number stands there.
    """
    text = row.get(header, "").strip()
    try:
        return float(text) if text else math.nan
    except ValueError as error:
        raise JudgingError(
            f"{path}: {row[NAME]} has {text!r} in column {header}, must be a number"
        ) from error
