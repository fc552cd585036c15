"""Data of a report's page in a form for JSON: scores, summary, comparison, efficiency, ranking.

Missing numbers become null, infinite ones the text "inf".
"""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.comparing.paired_tests import compare, lost_cases
from eval.comparing.rank_table import details_beside
from eval.comparing.ranking_rules import RANKINGS
from eval.eval_errors import JudgingError
from eval.files import case_among, read_csv, stem_of
from eval.label_sets import in_words
from eval.measuring.efficiency import Status
from eval.measuring.efficiency_table import CT_SHA256, OFFICIAL_COLUMNS, REMARK, STATUS
from eval.measuring.trace import GPU, OWN_RAM, RAM, TIME, Trace, read_trace
from eval.provenance import read_provenance
from eval.scoring.challenges import DECIMALS, Challenge, Rules, mean_scores
from eval.scoring.columns import NAME, read_number
from eval.scoring.pairs import CaseScores
from eval.scoring.score_rules import PREDICTION_SHA256, TRUTH_SHA256, scored_differently
from eval.scoring.score_table import ScoreTable
from eval.scoring.structure_scores import Metric, value_of
from eval.scoring.summary import ABSENT, PRESENT, lesion_row, summarize
from model.colours import colours_of
from model.labels import LabelSet

Json = dict[str, Any]

EFFICIENCY_COLUMNS = OFFICIAL_COLUMNS[1:]
"""The organisers' columns that a report shows: all but the name."""
OWN_COLUMNS = ("OwnRAM_Max_MB",)
"""Our own columns that it shows, if the table has them."""
RANKING_COLUMNS = ("Place", "Submission", "Score", "Place_median", "Place_low", "Place_high", "First_share")
"""The columns of a ranking that a report shows, beside one per metric."""
TABLES, LOGS = "tables", "logs"
"""Folders of a report that hold the tables and the containers' logs."""
MOST_POINTS = 400
"""Largest number of points of a curve."""


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Tables that a report is made from."""

    scores: ScoreTable
    """Scores of the submission."""
    efficiency: Path | None = None
    """Its efficiency table."""
    compare: ScoreTable | None = None
    """Scores of another submission."""
    ranking: Path | None = None
    """A ranking of several submissions."""


def page_data(tables: Tables, title: str) -> Json:
    """All data of the page but the volumes.

    Raises:
        JudgingError: a table cannot be read or is of another kind.
    """
    table, challenge = tables.scores, tables.scores.challenge
    metrics, results = table.metrics, table.results
    efficiency = {} if tables.efficiency is None else read_efficiency(tables.efficiency, table.stems)
    traces = {} if tables.efficiency is None else read_traces(tables.efficiency, table.stems)
    return {
        "title": title,
        "challenge": challenge.labels.name,
        "labels": in_words(challenge.labels),
        "maker": "",
        "metrics": [str(metric) for metric in metrics],
        "structures": structures_of(challenge),
        "cases": [
            {
                **_case(result, challenge.labels, metrics, efficiency),
                "trace": traces.get(stem_of(result.name)),
            }
            for result in results
        ],
        "summary": [
            {key: _plain(value) for key, value in asdict(row).items()}
            for row in summarize(results, challenge, metrics, Rules.STRICT)
        ],
        "tolerances": _tolerances(challenge),
        "comparison": None if tables.compare is None else _comparison(tables.compare, table, metrics),
        "ranking": None if tables.ranking is None else read_ranking(tables.ranking),
        "ranking_details": None if tables.ranking is None else _ranking_details(tables.ranking),
        "sources": _sources(tables),
        "lesion": lesion_row(challenge.labels),
        "lesion_rows": [PRESENT, ABSENT],
    }


def structures_of(challenge: Challenge) -> list[Json]:
    """The structures of a page, in the order of their ids: names, colours, tolerances."""
    colours = colours_of(challenge.labels)
    return [
        {
            "name": name,
            "short": challenge.short_names[name],
            "id": challenge.labels.ids[name],
            "colour": colours[name],
            "tolerance_mm": challenge.tolerances_mm[name],
        }
        for name in challenge.labels.names
    ]


def _case(
    result: CaseScores, labels: LabelSet, metrics: Sequence[Metric], efficiency: Mapping[str, Json]
) -> Json:
    dice, lesion_dice = mean_scores({name: score.dice for name, score in result.scores.items()}, labels)
    nsd, lesion_nsd = mean_scores({name: score.nsd for name, score in result.scores.items()}, labels)
    taken = efficiency.get(stem_of(result.name))
    return {
        "name": result.name,
        "stem": stem_of(result.name),
        "error": "; ".join(part for part in (result.error, "" if taken is None else taken["ending"]) if part),
        "values": {
            str(metric): [_plain(value_of(score, metric)) for score in result.scores.values()]
            for metric in metrics
        },
        "organ_DSC": _plain(dice),
        "organ_NSD": _plain(nsd),
        "lesion_DSC": _plain(lesion_dice),
        "lesion_NSD": _plain(lesion_nsd),
        "held": [
            None if math.isnan(score.truth_ml) else score.truth_ml > 0 for score in result.scores.values()
        ],
        "efficiency": taken,
        "log": None,
        "volume": None,
    }


def _comparison(other: ScoreTable, table: ScoreTable, metrics: Sequence[Metric]) -> Json:
    """This submission against another one; differences are this one minus the other."""
    rows = [
        {key: _plain(value) for key, value in asdict(row).items()} for row in compare(other, table, metrics)
    ]
    same = other.path.stem == table.path.stem
    name = other.path.resolve().parent.name if same else other.path.stem
    lost = (("this one", lost_cases(table, other)), (name, lost_cases(other, table)))
    return {
        "name": name,
        "rows": rows,
        "differently": scored_differently((other.path, table.path)),
        "lost": [f"{whose}: {remark}" for whose, remark in lost if remark],
    }


def read_efficiency(path: Path, cases: Sequence[str]) -> dict[str, Json]:
    """Each of some cases to its figures, from a table with the organisers' columns; empty cells become null.

    `ending` says how a case ended that did not end well; it is empty for the others.

    Raises:
        JudgingError: the table cannot be read, lacks `Name` or has none of the organisers' columns.
    """
    columns, rows = read_csv(path)
    known = [column for column in EFFICIENCY_COLUMNS if column in columns]
    if NAME not in columns or not known:
        raise JudgingError(f"{path}: has not the columns of an efficiency table (Name, Time, MaxGPU_Mem, …)")
    known += [column for column in OWN_COLUMNS if column in columns]
    return {
        case: {column: _plain(read_number(path, row, column)) for column in known} | {"ending": _ending(row)}
        for row in rows
        if (case := case_among(row[NAME], cases)) is not None
    }


def _ending(row: Mapping[str, str]) -> str:
    status = row.get(STATUS, Status.OK)
    return "" if status == Status.OK else ": ".join(part for part in (status, row.get(REMARK, "")) if part)


def read_traces(path: Path, cases: Sequence[str]) -> dict[str, Json]:
    """Each of some cases to its curves, from the traces that `container` leaves beside its table, if any.

    Raises:
        JudgingError: a trace cannot be read.
    """
    folder = path.with_name(f"{path.stem}_cases")
    suffix = ".trace.csv"
    return {
        case: _curves(read_trace(trace))
        for trace in sorted(folder.glob(f"*{suffix}"))
        if (case := case_among(trace.name.removesuffix(suffix), cases)) is not None
    }


def _curves(trace: Trace) -> Json:
    """Times and memory while the command ran; many samples are reduced to the highest of each few."""
    during = (trace.times_s >= 0) & (trace.times_s <= trace.duration_s)
    times = trace.times_s[during]
    few = max(1, -(-times.size // MOST_POINTS))
    curves: Json = {TIME: [_plain(float(time)) for time in times[::few]]}
    for quantity in (GPU, RAM, OWN_RAM):
        values = np.where(np.isnan(trace.values[quantity]), -np.inf, trace.values[quantity])[during]
        highest = [float(values[i : i + few].max()) for i in range(0, values.size, few)]
        curves[quantity] = [None if value < 0 else _plain(value) for value in highest]
    return curves


def read_ranking(path: Path) -> list[dict[str, str]]:
    """Rows of a ranking, the best first.

    Raises:
        JudgingError: the table cannot be read, is no ranking or has no rows.
    """
    columns, rows = read_csv(path)
    if not rows or not set(RANKING_COLUMNS) <= set(columns):
        raise JudgingError(f"{path}: is no ranking with rows; write it with `python -m eval rank`")
    return rows


def _ranking_details(path: Path) -> Json | None:
    """What stands beside a ranking: how firm it is, and every test; None for a ranking without it."""
    try:
        found = json.loads(details_beside(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _paths(tables: Tables) -> dict[str, Path]:
    """What each table is, and its file."""
    paths = {
        "scores": tables.scores.path,
        "efficiency": tables.efficiency,
        "ranking": tables.ranking,
        "compared-scores": None if tables.compare is None else tables.compare.path,
    }
    return {what: path for what, path in paths.items() if path is not None}


def _sources(tables: Tables) -> list[Json]:
    """The tables that a report is made from, where they are in it, and where they come from."""
    return [
        {
            "what": what.replace("-", " "),
            "file": f"{TABLES}/{what}.csv",
            "origin": _facts(read_provenance(path)),
        }
        for what, path in _paths(tables).items()
    ]


def _facts(origin: Json | None) -> Json | None:
    """What a page shows of the origin of a table: no checksums of a hundred files."""
    checksums = (CT_SHA256, TRUTH_SHA256, PREDICTION_SHA256)
    return origin and {name: fact for name, fact in origin.items() if name not in checksums}


def copy_sources(tables: Tables, cases: Sequence[Json], folder: Path) -> None:
    """Put the tables, and the containers' logs, into a report's folder, and enter the logs in the cases."""
    (folder / TABLES).mkdir()
    for what, path in _paths(tables).items():
        shutil.copyfile(path, folder / TABLES / f"{what}.csv")
    if tables.efficiency is None:
        return
    logs = tables.efficiency.with_name(f"{tables.efficiency.stem}_cases")
    for number, case in enumerate(cases, start=1):
        log = logs / f"{case['stem']}.log"
        if log.is_file():
            (folder / LOGS).mkdir(exist_ok=True)
            case["log"] = f"{LOGS}/{number:04d}.txt"
            shutil.copyfile(log, folder / case["log"])


def _tolerances(challenge: Challenge) -> dict[str, float]:
    """Memory in MB and time in s that cost a case nothing in the challenge's ranking."""
    rules = RANKINGS.get(challenge.labels.name)
    if rules is None:
        return {}
    stated = {"MaxGPU_Mem": rules.lenient_mb, "Time": rules.lenient_s}
    return {column: free for column, free in stated.items() if free}


def _plain(value: object) -> object:
    """The value in a form that JSON can hold."""
    if not isinstance(value, float):
        return str(value) if isinstance(value, Metric) else value
    if math.isnan(value):
        return None
    return "inf" if math.isinf(value) else round(value, DECIMALS + 2)
