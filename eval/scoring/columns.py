"""Column names of score tables, which `score` writes and the other commands read.

    official, FLARE21   Name, DSC_1, NSD-1mm_1, DSC_2, NSD-1mm_2, …
    official, others    Name, Liver_DSC, RK_DSC, …, Liver_NSD, RK_NSD, …
    strict, partial     Name, Liver_DSC, …, Liver_NSD, …, Liver_HD95_mm, …, Liver_VolumeDifference_ml, …,
                        Liver_TruthVolume_ml, …, Diagonal_mm, Error

`Diagonal_mm` is the length of the image's diagonal, by which infinite distances are replaced in means.
Official tables have `Error` only if a case has an error, so that other programs find the organisers' columns
and no other. A challenge has one map of columns; where organisers call a structure otherwise (`Lesion_DSC`
for the tumor), the map knows both names.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eval.eval_errors import JudgingError
from eval.scoring.challenges import DECIMALS, Challenge, Rules
from eval.scoring.structure_scores import DISTANCES, SHARES, TRUTH_VOLUME, Metric

NAME = "Name"
ERROR = "Error"
DIAGONAL = "Diagonal_mm"

_NAMED = re.compile(f"^(?P<stem>.+)_(?P<end>{'|'.join([*Metric, TRUTH_VOLUME])})$")
_NUMBERED = re.compile(r"^(?P<end>DSC|NSD)(?:-1mm)?_(?P<id>\d+)$")


def column(challenge: Challenge, structure: str, metric: str, rules: Rules = Rules.STRICT) -> str:
    """Name of the column that holds one metric of one structure, or its volume in the truth."""
    if rules is Rules.OFFICIAL and challenge.numbered_columns:
        stem = "NSD-1mm" if metric is Metric.NSD else metric
        return f"{stem}_{challenge.labels.ids[structure]}"
    return f"{challenge.short_names[structure]}_{metric}"


def metrics_of(rules: Rules, with_hd95: bool, also: Sequence[Metric] = ()) -> tuple[Metric, ...]:
    """The metrics of a table, in the order of its columns; `also` are those asked for."""
    if rules is Rules.OFFICIAL:
        return (Metric.DSC, Metric.NSD)
    asked = {Metric.DSC, Metric.NSD, Metric.HD95, Metric.VOLUME_DIFFERENCE, *also}
    return tuple(metric for metric in Metric if metric in asked and (with_hd95 or metric not in DISTANCES))


def score_columns(challenge: Challenge, metrics: Sequence[str], rules: Rules) -> list[str]:
    """Names of all columns that hold scores, in their order; `Name` and `Error` are not among them."""
    if rules is Rules.OFFICIAL and challenge.numbered_columns:
        return [
            column(challenge, name, metric, rules) for name in challenge.labels.names for metric in metrics
        ]
    return [column(challenge, name, metric, rules) for metric in metrics for name in challenge.labels.names]


def holds_scores(columns: Sequence[str]) -> bool:
    """Whether a table with these columns is a score table, of whatever challenge."""
    ends = {found["end"] for name in columns if (found := _NAMED.match(name) or _NUMBERED.match(name))}
    return NAME in columns and Metric.DSC in ends


def column_map(columns: Iterable[str], challenge: Challenge) -> dict[tuple[str, str], str]:
    """Structure and end of a column's name to the column, for a table of a challenge.

    Raises:
        ValueError: a column of scores belongs to no structure of the challenge, two stand for the same, or a
            structure lacks its DSC or NSD.
    """
    structure_of = {challenge.short_names[name]: name for name in challenge.labels.names}
    structure_of |= {other: name for name, others in challenge.other_names.items() for other in others}
    found: dict[tuple[str, str], str] = {}
    for header in columns:
        if numbered := _NUMBERED.match(header) if challenge.numbered_columns else None:
            number = int(numbered["id"])
            structure, end = challenge.labels.names_by_id.get(number), numbered["end"]
        elif named := _NAMED.match(header):
            structure, end = structure_of.get(named["stem"]), named["end"]
        else:
            continue
        if structure is None:
            raise ValueError(f"{header} belongs to no structure of it")
        if (structure, end) in found:
            raise ValueError(f"{found[structure, end]} and {header} both stand for {structure}")
        found[structure, end] = header
    for structure in challenge.labels.names:
        for metric in (Metric.DSC, Metric.NSD):
            if (structure, metric) not in found:
                raise ValueError(f"there is no {column(challenge, structure, metric)}")
    return found


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


def read_score(path: Path, row: Mapping[str, str], header: str, metric: Metric) -> float:
    """Number in a cell of a score table that a metric can have; see `read_number`.

    Raises:
        JudgingError: something else stands there.
    """
    value = read_number(path, row, header)
    if metric in SHARES and not math.isnan(value) and not 0 <= round(value, DECIMALS) <= 1:
        raise JudgingError(
            f"{path}: {row[NAME]} has {row[header].strip()} in column {header}, must be 0 to 1; is it a "
            "percentage?"
        )
    return read_cost(path, row, header) if metric in DISTANCES else value


def read_cost(path: Path, row: Mapping[str, str], header: str) -> float:
    """Number in a cell that is better the nearer it is to 0, below which nothing can be; see `read_number`.

    Raises:
        JudgingError: something else stands there.
    """
    value = read_number(path, row, header)
    if value < 0:
        raise JudgingError(
            f"{path}: {row[NAME]} has {row[header].strip()} in column {header}, must be 0 or more"
        )
    return value
