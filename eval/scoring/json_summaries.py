"""Scores in the JSON of two programs that many readers know.

    summary.json    nnU-Net's: `foreground_mean`, `mean` by label id, `metric_per_case`; with `NSD` beside
    `Dice` metrics.json    grand-challenge's: `aggregates` by structure and metric, for leaderboards, and
    `case`

A figure that does not exist, or is infinite, is null.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eval.scoring.challenges import DECIMALS, Challenge
from eval.scoring.pairing import PairedCase
from eval.scoring.pairs import CaseScores
from eval.scoring.structure_scores import Metric, StructureScore, value_of
from eval.scoring.summary import SummaryRow

NNUNET, GRAND_CHALLENGE = "summary.json", "metrics.json"


def nnunet_summary(
    results: Sequence[CaseScores], challenge: Challenge, cases: Sequence[PairedCase]
) -> dict[str, Any]:
    """The scores as nnU-Net's evaluation writes them; a label's mean leaves out what was not scored."""
    files = {case.name: case for case in cases}
    ids = {name: str(challenge.labels.ids[name]) for name in challenge.labels.names}
    rows = [
        {ids[name]: _nnunet_metrics(score) for name, score in result.scores.items()} for result in results
    ]
    per_case = [
        {
            "metrics": row,
            "prediction_file": str(files[result.name].prediction or ""),
            "reference_file": str(files[result.name].truth),
        }
        for result, row in zip(results, rows, strict=True)
    ]
    mean = {label: _means([row[label] for row in rows]) for label in ids.values()}
    return {"foreground_mean": _means(list(mean.values())), "mean": mean, "metric_per_case": per_case}


def _nnunet_metrics(score: StructureScore) -> dict[str, float | None]:
    return {
        "Dice": _number(score.dice),
        "IoU": _number(score.dice / (2 - score.dice)),
        "NSD": _number(score.nsd),
        "HD95": _number(score.hd95_mm),
    }


def _means(rows: Sequence[Mapping[str, float | None]]) -> dict[str, float | None]:
    means: dict[str, float | None] = {}
    for name in rows[0] if rows else ():
        known = [value for row in rows if (value := row[name]) is not None]
        means[name] = _number(sum(known) / len(known)) if known else None
    return means


def grand_challenge_metrics(
    rows: Sequence[SummaryRow], results: Sequence[CaseScores], metrics: Sequence[Metric]
) -> dict[str, Any]:
    """The scores as an evaluation container of grand-challenge.org writes them: names without spaces."""
    aggregates: dict[str, dict[str, Any]] = {}
    for row in rows:
        aggregates.setdefault(_key(row.structure), {})[str(row.metric)] = {
            "mean": _number(row.mean),
            "std": _number(row.sd),
            "median": _number(row.median),
            "ci95": [_number(row.low), _number(row.high)],
            "cases": row.cases,
        }
    case = {
        result.name: {
            "error": result.error,
            **{
                _key(name): {str(metric): _number(value_of(score, metric)) for metric in metrics}
                for name, score in result.scores.items()
            },
        }
        for result in results
    }
    return {"aggregates": aggregates, "case": case}


def _key(structure: str) -> str:
    return "_".join(structure.replace(",", "").split())


def _number(value: float) -> float | None:
    return round(value, DECIMALS) if math.isfinite(value) else None
