"""The tables in the folders of submissions, and the cases that a ranking is over."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eval.eval_errors import JudgingError
from eval.files import check_is_folder, is_image_name, read_csv, stem_of
from eval.scoring.challenges import Challenge
from eval.scoring.columns import NAME, holds_scores
from eval.scoring.score_table import ScoreTable, read_scores

EFFICIENCY_MARK = "AUC_GPU_Time"
"""The column by which an efficiency table is recognised."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The tables of one submission."""

    folder: Path
    """The folder that holds them."""
    scores: ScoreTable
    """Its scores."""
    efficiency: Path | None
    """Its efficiency table; None where there is none, which rules of accuracy alone do without."""
    columns: tuple[str, ...]
    """The columns of that table."""
    rows: tuple[Mapping[str, str], ...]
    """Its rows."""

    @property
    def name(self) -> str:
        """Its name, which is that of its folder."""
        return self.folder.name or self.folder.resolve().name


def read_submission(folder: Path, challenge: Challenge | None = None) -> Submission:
    """Read the score table and the efficiency table in a folder, whatever they are called.

    Args:
        folder: folder of one submission.
        challenge: label set of the scores; None finds it by the columns, as `read_scores` does.

    Raises:
        JudgingError: there is no score table or several, or several efficiency tables, or one cannot be read.
    """
    check_is_folder(folder, "the tables of a submission")
    scores, efficiency = [], []
    for path in sorted(folder.glob("*.csv")):
        columns, _ = read_csv(path)
        if EFFICIENCY_MARK in columns:
            _check_named(path, columns)
            efficiency.append(path)
        elif holds_scores(columns):
            scores.append(path)
    for kind, found, program in (("score", scores, "score"), ("efficiency", efficiency, "container")):
        if len(found) > 1 or (kind == "score" and not found):
            said = "no" if not found else f"{len(found)}"
            raise JudgingError(
                f"{folder}: holds {said} {kind} table{'s' if len(found) > 1 else ''}; it must hold one "
                f"(python -m eval {program})"
            )
    columns, rows = read_csv(efficiency[0]) if efficiency else ([], [])
    return Submission(
        folder=folder,
        scores=read_scores(scores[0], challenge),
        efficiency=efficiency[0] if efficiency else None,
        columns=tuple(columns),
        rows=tuple(rows),
    )


def _check_named(path: Path, columns: Sequence[str]) -> None:
    if NAME not in columns:
        raise JudgingError(f"{path}: has no column {NAME} that would name the cases")


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
        _check_named(path, columns)
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


def diagonals_of(submissions: Sequence[Submission]) -> dict[str, float]:
    """Case to the length of its image's diagonal in mm, from whatever table says it; NaN where none does."""
    known: dict[str, float] = {}
    for submission in submissions:
        for stem, diagonal_mm in zip(submission.scores.stems, submission.scores.diagonal_mm, strict=True):
            known[stem] = float(np.fmax(known.get(stem, math.nan), diagonal_mm))
    return known
