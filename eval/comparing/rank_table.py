"""Values of a ranking: what each metric is in each case of a submission.

The cases that count are those of the truth. A submission never gains by having others: a row of another case
is left out and named, and a case that it lacks or failed has no values at all, neither scores nor costs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.comparing.ranking_rules import COST_COLUMNS, RankingRules
from eval.comparing.submissions import EFFICIENCY_MARK, Submission, diagonals_of
from eval.eval_errors import JudgingError
from eval.files import case_among
from eval.measuring.efficiency_table import LENIENT_MB, STATUS
from eval.scoring.challenges import mean_scores
from eval.scoring.columns import NAME, column, read_cost
from eval.scoring.score_table import ScoreTable
from model.arrays import F64

_ABOVE = dict(zip(LENIENT_MB, ("GPU_Above2GB_MBs", "GPU_Above4GB_MBs"), strict=True))


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of one submission in the cases that count."""

    name: str
    """Name of the submission."""
    values: Mapping[str, Mapping[str, float]]
    """Name of a case to metric to value; no values for a case that failed or that a table lacks."""
    extras: tuple[str, ...] = ()
    """Rows of other cases, which are left out."""
    tables: Mapping[str, Path]
    """Metric of the rules to the table that states it."""
    remarks: tuple[str, ...] = ()
    """What a reader of the ranking should know, each in one line."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Cases of which a submission's table lacks what is ranked: a row is missing, or cells are empty."""

    table: Path
    """The table."""
    metrics: tuple[str, ...]
    """The metrics that it lacks."""
    cases: tuple[str, ...]
    """The cases that it lacks them of."""


def results_of(
    submission: Submission,
    cases: Sequence[str],
    rules: RankingRules,
    diagonals_mm: Mapping[str, float] | None = None,
) -> Results:
    """The values of a submission in the cases that count.

    Args:
        submission: its tables.
        cases: the cases that count.
        rules: what is ranked.
        diagonals_mm: case to the length of its image's diagonal, see `diagonals_of`; by default what the
            submission's own score table says.

    Raises:
        JudgingError: a case stands twice in the efficiency table, a cell holds what it cannot, or a
            metric of the rules is known to neither table.
    """
    costs: dict[str, Mapping[str, str]] = {}
    extras = []
    for row in submission.rows:
        case = case_among(row[NAME], cases)
        if case is None:
            extras.append(f"{row[NAME]} in {submission.efficiency}")
        elif case in costs:
            raise JudgingError(f"{submission.efficiency}: has two rows for {case}; keep one")
        else:
            costs[case] = row
    table = submission.scores
    index_of = {stem: index for index, stem in enumerate(table.stems)}
    known = set(cases)
    extras += [f"{stem} in {table.path}" for stem in table.stems if stem not in known]
    if diagonals_mm is None:
        diagonals_mm = diagonals_of([submission])
    figures = accuracy(table, np.array([diagonals_mm[stem] for stem in table.stems]))
    tables = {metric.name: _table_of(metric.name, submission, figures, rules) for metric in rules.metrics}
    lost = set(table.lost)
    values: dict[str, dict[str, float]] = {}
    for case in cases:
        found = costs.get(case)
        ended_well = found is None or (found.get(STATUS) or "ok") == "ok"
        values[case] = {}
        if case in index_of and ended_well and case not in lost:
            values[case] = {
                metric.name: float(figures[metric.name][index_of[case]])
                if metric.name in figures
                else _cost(tables[metric.name], found, metric.name, rules)
                for metric in rules.metrics
            }
    remarks = (*_cost_remarks(submission, rules), *_distance_remarks(submission, cases, rules, figures))
    return Results(name=submission.name, values=values, extras=tuple(extras), tables=tables, remarks=remarks)


def _table_of(metric: str, submission: Submission, figures: Mapping[str, F64], rules: RankingRules) -> Path:
    """The table of a submission that states a metric.

    Raises:
        JudgingError: there is none.
    """
    # What has no lesion in it can be ranked by lesions: nobody has any.
    if metric in figures or metric.startswith("Lesion_"):
        return submission.scores.path
    if submission.efficiency is None:
        raise JudgingError(
            f"{submission.folder}: holds no efficiency table; it must hold one (python -m eval container), "
            f"since {metric} of the rules {rules.name} is not in its score table"
        )
    known = {*figures, *COST_COLUMNS, *submission.columns}
    if metric not in known:
        raise JudgingError(
            f"{metric} of the rules {rules.name} is in neither table of {submission.name}; known are "
            f"{', '.join(sorted(known))}"
        )
    return submission.efficiency


def accuracy(table: ScoreTable, diagonals_mm: F64) -> dict[str, F64]:
    """Every figure of accuracy that can be ranked by, to one number for each case.

    Infinite distances become the image's diagonal. Where it is not known they stay infinite, and so does
    every mean that they are in: a missed structure never makes a case better. Differences of volume lose
    their sign before they are averaged: less is better on both sides of 0, and too much of one organ does not
    make up for too little of another.

    Args:
        table: the scores.
        diagonals_mm: length of each case's diagonal; NaN where it is not known.
    """
    labels = table.challenge.labels
    worst = np.where(np.isnan(diagonals_mm), np.inf, diagonals_mm)
    figures: dict[str, F64] = {}
    for metric in table.metrics:
        columns = {
            structure: np.abs(np.where(np.isinf(column_), worst, column_))
            for (structure, kind), column_ in table.values.items()
            if kind is metric
        }
        rows = [{name: float(values[i]) for name, values in columns.items()} for i in range(len(table.names))]
        means = [mean_scores(row, labels) for row in rows]
        figures[f"Organ_{metric}"] = np.array([organs for organs, _ in means])
        figures[f"Lesion_{metric}"] = np.array([lesions for _, lesions in means])
        figures[str(metric)] = np.array(
            [_mean([v for v in row.values() if not math.isnan(v)]) for row in rows]
        )
        figures |= {column(table.challenge, name, metric): values for name, values in columns.items()}
    return figures


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _cost(path: Path, row: Mapping[str, str] | None, metric: str, rules: RankingRules) -> float:
    """What a case costs beyond what is free; NaN if the table does not say it."""
    if row is None:
        return math.nan
    value = read_cost(path, row, COST_COLUMNS.get(metric, metric))
    if metric == "Time":
        return max(value - rules.lenient_s, 0.0)
    if metric == "AUC_GPU" and rules.lenient_mb:
        excess = read_cost(path, row, _ABOVE.get(rules.lenient_mb, ""))
        # The organisers' tables have no curve of the memory. The lowest cost that fits them is that of a run
        # which held its mean memory all the time.
        free = rules.lenient_mb * read_cost(path, row, "Time")
        return max(value - free, 0.0) if math.isnan(excess) else excess
    return value


def _distance_remarks(
    submission: Submission, cases: Sequence[str], rules: RankingRules, figures: Mapping[str, F64]
) -> tuple[str, ...]:
    """What became of infinite distances in the metrics that are ranked."""
    table, counted = submission.scores, set(cases)
    rows = [i for i, stem in enumerate(table.stems) if stem in counted]
    without = accuracy(table, np.full(len(table.names), math.nan))
    remarks = []
    for name in (metric.name for metric in rules.metrics if metric.name in figures):
        infinite, unknown = (int(np.isinf(values[name][rows]).sum()) for values in (without, figures))
        of_cases = f"of {len(cases)} cases (a structure was missed)"
        if replaced := infinite - unknown:
            remarks.append(
                f"{submission.name}: {name} is infinite in {replaced} {of_cases}, counted as the image's "
                "diagonal"
            )
        if unknown:
            remarks.append(
                f"{submission.name}: {name} is infinite in {unknown} {of_cases} and stays so, since no table "
                "says the image's diagonal"
            )
    return tuple(remarks)


def _cost_remarks(submission: Submission, rules: RankingRules) -> tuple[str, ...]:
    wanted = any(metric.name == "AUC_GPU" for metric in rules.metrics)
    has_curve = _ABOVE.get(rules.lenient_mb, "") in submission.columns
    measured = any(row[EFFICIENCY_MARK].strip() for row in submission.rows)
    if wanted and rules.lenient_mb and measured and not has_curve:
        return (
            f"{submission.name}: GPU memory beyond {rules.lenient_mb:g} MB is a lower bound, its efficiency "
            "table has no curve",
        )
    return ()


def gather(results: Sequence[Results], cases: Sequence[str], rules: RankingRules) -> dict[str, F64]:
    """Metric to its values of shape (submissions, cases); a metric that no submission has is all NaN."""
    return {
        metric.name: np.array(
            [[result.values[case].get(metric.name, math.nan) for case in cases] for result in results]
        )
        for metric in rules.metrics
    }


def gaps_of(results: Results, others: Sequence[Results]) -> list[Gap]:
    """What the tables of a submission lack of cases that it has, where those of another one do not."""
    cases: dict[Path, dict[str, None]] = {}
    metrics: dict[Path, dict[str, None]] = {}
    for case, values in results.values.items():
        for metric, value in values.items():
            if math.isnan(value) and any(
                not math.isnan(other.values[case].get(metric, math.nan)) for other in others
            ):
                table = results.tables[metric]
                cases.setdefault(table, {})[case] = None
                metrics.setdefault(table, {})[metric] = None
    return [
        Gap(table=table, metrics=tuple(metrics[table]), cases=tuple(found)) for table, found in cases.items()
    ]


def details_beside(ranking: Path) -> Path:
    """Where the details of a ranking are."""
    return ranking.with_name(f"{ranking.stem}_details.json")
