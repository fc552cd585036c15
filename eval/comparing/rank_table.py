"""Input of a ranking: the tables in a submission's folder, and the value of each metric in each case.

The cases that count are those of the truth. A submission never gains by having others: a row of another case
is left out and named, and a case that it lacks or failed has no values at all, neither scores nor costs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.comparing.ranking_rules import COST_COLUMNS, RankingRules
from eval.eval_errors import JudgingError
from eval.files import case_among, check_is_folder, is_image_name, read_csv, stem_of
from eval.measuring.efficiency_table import LENIENT_MB, STATUS
from eval.scoring.challenges import Challenge, mean_scores
from eval.scoring.columns import NAME, column, holds_scores, read_cost
from eval.scoring.score_table import ScoreTable, read_scores
from eval.scoring.structure_scores import Metric
from model.arrays import F64

EFFICIENCY_MARK = "AUC_GPU_Time"
"""The column by which an efficiency table is recognised."""
_ABOVE = dict(zip(LENIENT_MB, ("GPU_Above2GB_MBs", "GPU_Above4GB_MBs"), strict=True))


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The tables of one submission."""

    name: str
    """Its name, which is that of its folder."""
    scores: ScoreTable
    """Its scores."""
    efficiency: Path
    """Its efficiency table."""
    columns: tuple[str, ...]
    """The columns of that table."""
    rows: tuple[Mapping[str, str], ...]
    """Its rows."""


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of one submission in the cases that count."""

    name: str
    """Name of the submission."""
    values: Mapping[str, Mapping[str, float]]
    """Name of a case to metric to value; no values for a case that failed or that a table lacks."""
    extras: tuple[str, ...] = ()
    """Rows of other cases, which are left out."""
    remarks: tuple[str, ...] = ()
    """What a reader of the ranking should know, each in one line."""


def read_submission(folder: Path, challenge: Challenge | None = None) -> Submission:
    """Read the score table and the efficiency table in a folder, whatever they are called.

    Args:
        folder: folder of one submission.
        challenge: label set of the scores; None finds it by the columns, as `read_scores` does.

    Raises:
        JudgingError: there is not exactly one table of each kind, or it cannot be read.
    """
    check_is_folder(folder, "the tables of a submission")
    scores, efficiency = [], []
    for path in sorted(folder.glob("*.csv")):
        columns, _ = read_csv(path)
        if EFFICIENCY_MARK in columns:
            efficiency.append(path)
        elif holds_scores(columns):
            scores.append(path)
    for kind, found, program in (("score", scores, "score"), ("efficiency", efficiency, "container")):
        if len(found) != 1:
            said = "no" if not found else f"{len(found)}"
            raise JudgingError(
                f"{folder}: holds {said} {kind} table{'s' if len(found) > 1 else ''}; it must hold one "
                f"(python -m eval {program})"
            )
    columns, rows = read_csv(efficiency[0])
    return Submission(
        name=folder.name or folder.resolve().name,
        scores=read_scores(scores[0], challenge),
        efficiency=efficiency[0],
        columns=tuple(columns),
        rows=tuple(rows),
    )


def check_alike(submissions: Sequence[Submission]) -> None:
    """Refuse submissions that cannot be ranked against each other.

    Raises:
        JudgingError: two have one name, or their score tables belong to different challenges.
    """
    names = [submission.name for submission in submissions]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise JudgingError(f"two folders are called {twice}; submissions need different names")
    first = submissions[0].scores
    for submission in submissions[1:]:
        if submission.scores.challenge != first.challenge:
            raise JudgingError(
                f"{first.path} is of {first.challenge.labels.name}, {submission.scores.path} of "
                f"{submission.scores.challenge.labels.name}; rank tables of one challenge"
            )


def stated_cases(path: Path) -> list[str]:
    """The cases that count, from a folder of truths or the column `Name` of a table.

    Raises:
        JudgingError: it is neither, or names no cases.
    """
    if path.is_dir():
        names = [file.name for file in path.iterdir() if is_image_name(file.name)]
    else:
        columns, rows = read_csv(path)
        if NAME not in columns:
            raise JudgingError(f"{path}: has no column {NAME} that would name the cases")
        names = [row[NAME] for row in rows]
    if not names:
        raise JudgingError(
            f"{path}: names no cases; give the folder of truths, or a table with a column {NAME}"
        )
    return sorted({stem_of(name) for name in names})


def common_cases(submissions: Sequence[Submission]) -> list[str]:
    """The cases of all score tables, where no one has said which count.

    Raises:
        JudgingError: the tables name different cases, so that one of them has too many or too few.
    """
    first = submissions[0].scores
    for submission in submissions[1:]:
        other = submission.scores
        lonely = sorted(set(first.stems) ^ set(other.stems))
        if lonely:
            there = first if lonely[0] in first.stems else other
            raise JudgingError(
                f"{first.path} and {other.path} name different cases ({lonely[0]} is only in {there.path}); "
                "say which count with --cases, the folder of truths"
            )
    return sorted(first.stems)


def results_of(submission: Submission, cases: Sequence[str], rules: RankingRules) -> Results:
    """The values of a submission in the cases that count.

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
    figures = accuracy(table)
    for metric in rules.metrics:
        known = {*figures, *COST_COLUMNS, *submission.columns}
        if metric.name not in known and not metric.name.startswith("Lesion_"):
            raise JudgingError(
                f"{metric.name} of the rules {rules.name} is in neither table of {submission.name}; known "
                f"are {', '.join(sorted(known))}"
            )
    values: dict[str, dict[str, float]] = {}
    for case in cases:
        found = costs.get(case)
        ended_well = found is None or (found.get(STATUS) or "ok") == "ok"
        values[case] = {}
        if case in index_of and ended_well and not _lost(table, index_of[case]):
            values[case] = {
                metric.name: float(figures[metric.name][index_of[case]])
                if metric.name in figures
                else _cost(submission.efficiency, found, metric.name, rules)
                for metric in rules.metrics
            }
    return Results(
        name=submission.name, values=values, extras=tuple(extras), remarks=_remarks(submission, rules)
    )


def accuracy(table: ScoreTable) -> dict[str, F64]:
    """Every figure of accuracy that can be ranked by, to one number for each case.

    Infinite distances become the image's diagonal, if the table says it. Differences of volume lose their
    sign before they are averaged: less is better on both sides of 0, and too much of one organ does not make
    up for too little of another.
    """
    labels = table.challenge.labels
    figures: dict[str, F64] = {}
    for metric in table.metrics:
        columns = {
            structure: np.abs(np.where(np.isinf(column_), table.diagonal_mm, column_))
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


def _lost(table: ScoreTable, index: int) -> bool:
    """Whether a case is in error and nothing of it was scored: its prediction is missing or of no use."""
    return bool(table.errors[index]) and not any(
        values[index] > 0 for (_, metric), values in table.values.items() if metric is Metric.DSC
    )


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


def _remarks(submission: Submission, rules: RankingRules) -> tuple[str, ...]:
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


def details_beside(ranking: Path) -> Path:
    """Where the details of a ranking are."""
    return ranking.with_name(f"{ranking.stem}_details.json")
