"""Score tables, one row a case: written by `score`, read back by every other command."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.eval_errors import JudgingError
from eval.files import read_csv, stem_of, write_csv
from eval.scoring.challenges import CHALLENGES, DECIMALS, Challenge, Rules
from eval.scoring.columns import (
    DIAGONAL,
    ERROR,
    NAME,
    column,
    column_map,
    read_number,
    read_score,
    score_columns,
)
from eval.scoring.pairs import CaseScores
from eval.scoring.structure_scores import TRUTH_VOLUME, Metric, StructureScore, score_of, value_of
from model.arrays import F64


@dataclass(frozen=True, kw_only=True)
class ScoreTable:
    """Scores read back from a table."""

    path: Path
    """The file."""
    challenge: Challenge
    """Label set and scoring that its columns belong to."""
    names: tuple[str, ...]
    """Names of the cases, in the order of the rows."""
    values: Mapping[tuple[str, Metric], F64]
    """Structure and metric to one number for each case; NaN if it was not scored."""
    truth_ml: Mapping[str, F64]
    """Structure to its volume in each case's truth; empty for a table that does not say it."""
    diagonal_mm: F64
    """Length of each image's diagonal; NaN if the table does not say it."""
    errors: tuple[str, ...]
    """What was wrong with each case; empty if nothing was."""

    @property
    def stems(self) -> tuple[str, ...]:
        """The cases: their names without the ending of a file."""
        return tuple(stem_of(name) for name in self.names)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that the table has."""
        return tuple(metric for metric in Metric if any(kind is metric for _, kind in self.values))

    @property
    def lost(self) -> tuple[str, ...]:
        """The cases in error of which nothing was scored: their predictions are missing or of no use."""
        dice = [values for (_, metric), values in self.values.items() if metric is Metric.DSC]
        return tuple(
            stem
            for i, stem in enumerate(self.stems)
            if self.errors[i] and not any(values[i] > 0 for values in dice)
        )

    @property
    def results(self) -> list[CaseScores]:
        """The table as scores of cases."""
        none = np.full(len(self.names), math.nan)

        def score(structure: str, index: int) -> StructureScore:
            return score_of(
                {metric: float(self.values.get((structure, metric), none)[index]) for metric in Metric},
                truth_ml=float(self.truth_ml.get(structure, none)[index]),
            )

        return [
            CaseScores(
                name=name,
                scores={structure: score(structure, i) for structure in self.challenge.labels.names},
                error=self.errors[i],
                diagonal_mm=float(self.diagonal_mm[i]),
            )
            for i, name in enumerate(self.names)
        ]


def write_scores(
    path: Path, results: Sequence[CaseScores], challenge: Challenge, metrics: Sequence[Metric], rules: Rules
) -> None:
    """Write one row per case; a score that does not exist becomes an empty cell."""
    rows = []
    for result in results:
        row = {NAME: result.name, ERROR: result.error, DIAGONAL: cell(result.diagonal_mm)}
        for structure, score in result.scores.items():
            for metric in metrics:
                row[column(challenge, structure, metric, rules)] = cell(value_of(score, metric))
            row[column(challenge, structure, TRUTH_VOLUME, rules)] = cell(score.truth_ml)
        rows.append(row)
    if rules is Rules.OFFICIAL:
        columns = [NAME, *score_columns(challenge, metrics, rules)]
        columns += [ERROR] if any(result.error for result in results) else []
    else:
        columns = [NAME, *score_columns(challenge, (*metrics, TRUTH_VOLUME), rules), DIAGONAL, ERROR]
    write_csv(path, columns, [{name: row[name] for name in columns} for row in rows])


def cell(value: float) -> str:
    """A number as tables show it: 4 decimals, an empty cell for NaN, `inf` for infinity."""
    return "" if math.isnan(value) else str(round(value, DECIMALS))


def read_scores(path: Path, challenge: Challenge | None = None) -> ScoreTable:
    """Read a table written by `score` under any rules, or by the organisers.

    Args:
        path: the table.
        challenge: whose columns it has; None finds out which of the built-in challenges it is.

    Raises:
        JudgingError: the file cannot be read, its columns fit the challenge not, or none or several of the
            built-in ones, it names a case twice, holds something else than numbers, or numbers that no score
            can be.
    """
    columns, rows = read_csv(path)
    challenge, headers = _kind_of(path, columns, CHALLENGES.values() if challenge is None else (challenge,))
    names = tuple(row[NAME] for row in rows)
    stems = [stem_of(name) for name in names]
    twice = next((stem for stem, count in Counter(stems).items() if count > 1), None)
    if twice:
        raise JudgingError(f"{path}: has two rows for {twice}; keep one")
    if not names:
        raise JudgingError(f"{path}: has no rows; score some cases first")

    def numbers(header: str) -> F64:
        return np.array([read_number(path, row, header) for row in rows])

    return ScoreTable(
        path=path,
        challenge=challenge,
        names=names,
        values={
            (structure, Metric(end)): np.array([read_score(path, row, header, Metric(end)) for row in rows])
            for (structure, end), header in sorted(
                headers.items(), key=lambda item: _order(challenge, *item[0])
            )
            if end != TRUTH_VOLUME
        },
        truth_ml={
            structure: numbers(header) for (structure, end), header in headers.items() if end == TRUTH_VOLUME
        },
        diagonal_mm=numbers(DIAGONAL),
        errors=tuple(row.get(ERROR, "") for row in rows),
    )


def _order(challenge: Challenge, structure: str, end: str) -> tuple[int, int]:
    """Structures in the order of their ids, each with its metrics in theirs."""
    return challenge.labels.ids[structure], [*Metric, TRUTH_VOLUME].index(end)


def _kind_of(
    path: Path, columns: Sequence[str], known: Iterable[Challenge]
) -> tuple[Challenge, dict[tuple[str, str], str]]:
    """The only challenge that all columns of scores fit, and which column is which."""
    if NAME not in columns:
        raise JudgingError(
            f"{path}: has not the columns of a score table, there is no {NAME}; write it with "
            "`python -m eval score`"
        )
    fits, faults = [], {}
    for challenge in known:
        try:
            fits.append((challenge, column_map(columns, challenge)))
        except ValueError as fault:
            faults[challenge.labels.name] = str(fault)
    if len(fits) == 1:
        return fits[0]
    if fits:
        names = ", ".join(challenge.labels.name for challenge, _ in fits)
        raise JudgingError(f"{path}: its columns fit {names}; name the label set with --labels")
    if len(faults) == 1:
        ((name, reason),) = faults.items()
        raise JudgingError(
            f"{path}: has not the columns of a score table of {name} ({reason}); name the label set that it "
            "was scored with (--labels)"
        )
    reasons = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
    raise JudgingError(
        f"{path}: has not the columns of a score table ({reasons}); write it with `python -m eval score`, "
        "and name a label set of your own with --labels"
    )
