"""Input of a ranking: the tables in a submission's folder, and the value of each metric in each case."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.comparing.paired_tests import ScoreTable, read_scores
from eval.comparing.ranking import RankingRules
from eval.eval_errors import JudgingError
from eval.files import case_of, read_csv
from eval.measuring.efficiency_table import LENIENT_MB, STATUS
from eval.scoring.challenges import Challenge, mean_scores
from eval.scoring.columns import NAME, Metric, read_number
from model.arrays import F64

EFFICIENCY_MARK = "AUC_GPU_Time"
"""The column by which an efficiency table is recognised."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of one submission; a case that failed, or that a table lacks, has no values."""

    name: str
    """Name of the submission, which is that of its folder."""
    values: Mapping[str, Mapping[str, float]]
    """Name of a case to metric to value."""


def read_results(folder: Path, rules: RankingRules, challenge: Challenge | None = None) -> Results:
    """Read the score table and the efficiency table in a folder, whatever they are called.

    Args:
        folder: folder of one submission.
        rules: the metrics that are ranked, and what costs nothing.
        challenge: label set of the scores; None finds it by the columns, as `read_scores` does.

    Raises:
        JudgingError: there is not exactly one table of each kind, or it cannot be read.
    """
    if not folder.is_dir():
        raise JudgingError(f"{folder}: no such folder")
    scores, efficiency = [], []
    for path in sorted(folder.glob("*.csv")):
        columns, _ = read_csv(path)
        if EFFICIENCY_MARK in columns:
            efficiency.append(path)
        elif NAME in columns and any(name.endswith((f"_{Metric.DSC}", "DSC_1")) for name in columns):
            scores.append(path)
    for kind, found, program in (("score", scores, "score"), ("efficiency", efficiency, "container")):
        if len(found) != 1:
            said = "no" if not found else f"{len(found)}"
            raise JudgingError(
                f"{folder}: holds {said} {kind} table{'s' if len(found) > 1 else ''}; it must hold one "
                f"(python -m eval {program})"
            )
    accuracy, costs = _accuracy(read_scores(scores[0], challenge)), _costs(efficiency[0], rules)
    failed = {case for case, figures in costs.items() if not figures}
    wanted = [metric.name for metric in rules.metrics]
    values = {
        case: {}
        if case in failed
        else {k: v for k, v in (accuracy.get(case, {}) | costs.get(case, {})).items() if k in wanted}
        for case in accuracy.keys() | costs.keys()
    }
    return Results(name=folder.name or folder.resolve().name, values=values)


def _accuracy(table: ScoreTable) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for row, name in enumerate(table.names):
        figures: dict[str, float] = {}
        for metric in (Metric.DSC, Metric.NSD):
            per_structure = {
                structure: values[row] for (structure, kind), values in table.values.items() if kind is metric
            }
            organs, lesion = mean_scores(per_structure, table.challenge.labels)
            every = [value for value in per_structure.values() if not math.isnan(value)]
            figures |= {
                f"Organ_{metric}": organs,
                f"Lesion_{metric}": lesion,
                str(metric): float(np.mean(every)) if every else math.nan,
            }
        found[case_of(name)] = figures
    return found


def _costs(path: Path, rules: RankingRules) -> dict[str, dict[str, float]]:
    """Case to its costs beyond what is free; none for a case that did not end well."""
    _, rows = read_csv(path)
    return {
        case_of(row[NAME]): _cost(path, row, rules) if row.get(STATUS, "ok") == "ok" else {} for row in rows
    }


def _cost(path: Path, row: Mapping[str, str], rules: RankingRules) -> dict[str, float]:
    time_s, area = read_number(path, row, "Time"), read_number(path, row, EFFICIENCY_MARK)
    above = dict(zip(LENIENT_MB, ("GPU_Above2GB_MBs", "GPU_Above4GB_MBs"), strict=True)).get(
        rules.lenient_mb, ""
    )
    excess = read_number(path, row, above)
    # The organisers' tables have no curve of the memory. The lowest cost that fits them is that of a run
    # which held its mean memory all the time.
    excess = max(area - rules.lenient_mb * time_s, 0.0) if math.isnan(excess) else excess
    return {
        "Time": max(time_s - rules.lenient_s, 0.0),
        "AUC_GPU": excess,
        "AUC_CPU": read_number(path, row, "AUC_CPU_Time"),
    }


def gather(results: Sequence[Results], rules: RankingRules) -> tuple[list[str], dict[str, F64]]:
    """Names of the cases, and metric to its values of shape (submissions, cases).

    A metric that no submission has is all NaN.

    Raises:
        JudgingError: there is no case at all.
    """
    cases = sorted({case for result in results for case in result.values})
    if not cases:
        raise JudgingError("the tables hold no cases; score some first")
    return cases, {
        metric.name: np.array(
            [[result.values.get(case, {}).get(metric.name, math.nan) for case in cases] for result in results]
        )
        for metric in rules.metrics
    }
