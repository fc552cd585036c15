"""Scores in the JSON of two programs that many readers know.

    summary.json    nnU-Net's: `foreground_mean`, `mean` by label id, `metric_per_case`; with `NSD` beside
    `Dice` metrics.json    grand-challenge's: `aggregates` by structure and metric, for leaderboards, and
    `case`

A figure that does not exist, or is infinite, is null; in means the length of the image's diagonal takes the
place of infinity, as in all of ours, so that missing an organ never looks better.
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
    """The scores as nnU-Net's evaluation writes them; a label's mean leaves out what was not scored.

    An infinite distance is null in its case. Where the image's diagonal is unknown, means leave it out.
    """
    files = {case.name: case for case in cases}
    ids = {name: str(challenge.labels.ids[name]) for name in challenge.labels.names}
    rows = [
        {ids[name]: _nnunet_metrics(score) for name, score in result.scores.items()} for result in results
    ]
    finite = [
        {label: _finite(metrics, result.diagonal_mm) for label, metrics in row.items()}
        for result, row in zip(results, rows, strict=True)
    ]
    per_case = [
        {
            "metrics": {label: _numbers(metrics) for label, metrics in row.items()},
            "prediction_file": str(files[result.name].prediction or ""),
            "reference_file": str(files[result.name].truth),
        }
        for result, row in zip(results, rows, strict=True)
    ]
    mean = {label: _means([row[label] for row in finite]) for label in ids.values()}
    return {
        "foreground_mean": _numbers(_means(list(mean.values()))),
        "mean": {label: _numbers(metrics) for label, metrics in mean.items()},
        "metric_per_case": per_case,
    }


def _nnunet_metrics(score: StructureScore) -> dict[str, float]:
    metrics = {
        "Dice": score.dice,
        "IoU": score.dice / (2 - score.dice),
        "NSD": score.nsd,
        "HD95": score.hd95_mm,
    }
    return {name: round(value, DECIMALS) for name, value in metrics.items()}


def _finite(metrics: Mapping[str, float], diagonal_mm: float) -> dict[str, float]:
    """Only distances are infinite; the diagonal is the longest that there is."""
    return {name: diagonal_mm if math.isinf(value) else value for name, value in metrics.items()}


def _numbers(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in metrics.items()}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    means: dict[str, float] = {}
    for name in rows[0] if rows else ():
        known = [value for row in rows if not math.isnan(value := row[name])]
        means[name] = round(sum(known) / len(known), DECIMALS) if known else math.nan
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
