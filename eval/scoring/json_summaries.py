"""Scores in the JSON of two programs that many readers know.

    summary.json    nnU-Net's own figures: `foreground_mean`, `mean` by label id, `metric_per_case`
    metrics.json    grand-challenge's: `aggregates` by structure and metric, for leaderboards, and `case`

`summary.json` follows nnU-Net's rules and not those of the score table: Dice and IoU over the whole image,
and no figure, which means leave out, where neither map holds a structure. A prediction that cannot be used
predicts nothing; under official rules its case has no figures, and under partial rules structures that the
truth does not hold have none.

In `metrics.json` a figure that does not exist, or is infinite, is null; in means the length of the image's
diagonal takes the place of infinity, as in all of ours, so that missing an organ never looks better.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval.scoring.challenges import DECIMALS, Challenge
from eval.scoring.pairing import PairedCase
from eval.scoring.pairs import CaseScores
from eval.scoring.structure_scores import Metric, value_of
from eval.scoring.summary import SummaryRow
from eval.scoring.voxel_counts import VoxelCounts

NNUNET, GRAND_CHALLENGE = "summary.json", "metrics.json"
NNUNET_METRICS = ("Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref")


def nnunet_summary(
    results: Sequence[CaseScores], challenge: Challenge, cases: Sequence[PairedCase]
) -> dict[str, Any]:
    """The counts of all cases as nnU-Net's evaluation writes them.

    Unlike there, a label that no case holds is left out of the foreground mean, which would be lost with it.

    Args:
        results: cases with their `counts`; a case without them has no figures.
        challenge: whose labels they are.
        cases: the files.
    """
    files = {case.name: case for case in cases}
    ids = {name: str(challenge.labels.ids[name]) for name in challenge.labels.names}
    rows = [
        {ids[name]: _nnunet_metrics((result.counts or {}).get(name)) for name in ids} for result in results
    ]
    per_case = [
        {
            "metrics": {label: _numbers(metrics) for label, metrics in row.items()},
            "prediction_file": str(files[result.name].prediction or ""),
            "reference_file": str(files[result.name].truth),
        }
        for result, row in zip(results, rows, strict=True)
    ]
    mean = {label: _means([row[label] for row in rows]) for label in ids.values()}
    return {
        "foreground_mean": _numbers(_means(list(mean.values()))),
        "mean": {label: _numbers(metrics) for label, metrics in mean.items()},
        "metric_per_case": per_case,
    }


def _nnunet_metrics(counts: VoxelCounts | None) -> dict[str, float]:
    if counts is None:
        return dict.fromkeys(NNUNET_METRICS, math.nan)
    figures = (
        counts.dice,
        counts.truth - counts.both,
        counts.prediction - counts.both,
        counts.iou,
        counts.voxels - counts.either,
        counts.both,
        counts.prediction,
        counts.truth,
    )
    return dict(zip(NNUNET_METRICS, figures, strict=True))


def _numbers(metrics: Mapping[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    means = {}
    for name in NNUNET_METRICS:
        known = [value for row in rows if not math.isnan(value := row[name])]
        means[name] = sum(known) / len(known) if known else math.nan
    return means


def grand_challenge_metrics(
    rows: Sequence[SummaryRow], results: Sequence[CaseScores], metrics: Sequence[Metric]
) -> dict[str, Any]:
    """The scores as an evaluation container of grand-challenge.org writes them: names without spaces."""
    keys = _keys([*(name for result in results for name in result.scores), *(row.structure for row in rows)])
    aggregates: dict[str, dict[str, Any]] = {}
    for row in rows:
        aggregates.setdefault(keys[row.structure], {})[str(row.metric)] = {
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
                keys[name]: {str(metric): _number(value_of(score, metric)) for metric in metrics}
                for name, score in result.scores.items()
            },
        }
        for result in results
    }
    return {"aggregates": aggregates, "case": case}


def _keys(structures: Iterable[str]) -> dict[str, str]:
    """Structure to its name without spaces and commas; the second of one such name ends in `_2`.

    `error` is no structure's key, since it stands among them in a case.
    """
    keys: dict[str, str] = {}
    taken = {"error"}
    for structure in dict.fromkeys(structures):
        plain = "_".join(structure.replace(",", "").split())
        key = next(k for n in itertools.count(1) if (k := plain if n == 1 else f"{plain}_{n}") not in taken)
        keys[structure] = key
        taken.add(key)
    return keys


def _number(value: float) -> float | None:
    return round(value, DECIMALS) if math.isfinite(value) else None
