"""Rank submissions against each other by accuracy, time and memory.

Each RESULTS_DIR is one submission, named after the folder. It holds its score table (`python -m eval score`,
or the organisers') and its efficiency table (`python -m eval container`, or the organisers'). Rules of your
own that rank by accuracy alone need no efficiency table. The files may have any names.

rules:
  flare21         DSC, NSD, time, highest GPU memory
  flare22         DSC, NSD, time; half weight for GPU memory-time beyond 2 GB and for CPU utilization-time
  flare23         organ DSC and NSD, lesion DSC and NSD, time beyond 15 s, GPU memory-time beyond 4 GB
  flare24-lesion  lesion DSC and NSD, time beyond 15 s, GPU memory-time beyond 4 GB
  flare24-laptop  DSC, NSD, time beyond 15 s; half weight for CPU utilization-time and RAM-time
  FILE.yaml       your own: metrics, weights, tolerances, directions, scheme

schemes:
  rank-then-aggregate  cases are ranked, and ranks averaged over cases and metrics (FLARE; the default)
  aggregate-then-rank  values are averaged over cases, the averages ranked, and ranks averaged over metrics
  test-then-rank       submissions are ranked by how many others they beat significantly (Wilcoxon)

The cases of the truth are ranked, named with --cases; without it all score tables must name the same ones.
Rows of other cases are left out and named. Submissions that tie share a rank. A case that was missed or
failed comes last in every metric. If a table lacks some metrics of a case, the case comes last in those; if
no submission has a metric of a case, the case does not count there. A metric that no submission has (no GPU,
no lesion) is left out and named. An infinite distance, where a structure was missed, counts as the length of
the image's diagonal, which any of the score tables may state; if none does, it is worse than any other.

The places in resamples of the cases show how certain the ranking is: the range that 95 % of them lie in, and
the share of resamples in which a submission is first. Submissions that tie for the first place are all first,
so these shares may add up to more than 100 %.

Beside RANKING.csv stand RANKING_cases.csv, one row a metric, case and submission, as challengeR reads it
(`as.challenge(data, by = "Task", algorithm = "Algorithm", case = "Case", value = "Value")`), and
RANKING_details.json, which `report` draws; RANKING_run.json says where the ranking comes from.

exit codes: 0 ranked; 1 ranked, but submissions lack cases or figures of cases, or have too many, and are
named; 2 wrong input, nothing written
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from eval.comparing.rank_table import Gap, Results, details_beside, gaps_of, gather, results_of
from eval.comparing.ranking import Placing, Ranking, rank
from eval.comparing.ranking_rules import RANKINGS, SCHEMES, RankedMetric, RankingRules, find_rules
from eval.comparing.submissions import (
    check_alike,
    common_cases,
    diagonals_of,
    read_submission,
    stated_cases,
)
from eval.eval_errors import JudgingError
from eval.files import atomic_path, check_writable, write_csv
from eval.label_sets import LABEL_SETS_HELP
from eval.paper_table import add_table_option, table_paths, write_table
from eval.provenance import beside, provenance, write_provenance
from eval.scoring.own_labels import find_challenge
from eval.scoring.score_rules import scored_differently
from model.arrays import F64
from model.organ_counts import listed

MOST_NAMED = 10
"""Most cases that a line names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "results",
        type=Path,
        nargs="+",
        metavar="RESULTS_DIR",
        help="folder with the two tables of a submission",
    )
    parser.add_argument(
        "--rules",
        default="flare23",
        metavar="RULES",
        help=f"{', '.join(RANKINGS)}, or a YAML file, see above (default: %(default)s)",
    )
    parser.add_argument(
        "--scheme", choices=SCHEMES, metavar="SCHEME", help="see above (default: that of the rules)"
    )
    parser.add_argument(
        "--cases",
        type=Path,
        metavar="PATH",
        help="the cases that count: the folder of truths, or a table with a column Name",
    )
    parser.add_argument(
        "--labels",
        metavar="SET",
        help=f"label set of the score tables: {LABEL_SETS_HELP} (default: found by the tables' columns)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="CSV", help="ranking to write")
    add_table_option(parser)
    parser.add_argument("--force", action="store_true", help="replace an existing ranking")


def run(arguments: argparse.Namespace) -> int:
    """Read all tables, rank, write."""
    output: Path = arguments.output
    long_path = output.with_name(f"{output.stem}_cases.csv")
    details_path = details_beside(output)
    table: Path | None = arguments.table
    check_writable((output, long_path, details_path, beside(output), *table_paths(table)), arguments.force)
    rules = find_rules(arguments.rules)
    if arguments.scheme:
        rules = replace(rules, scheme=arguments.scheme)
    challenge = find_challenge(arguments.labels) if arguments.labels else None
    submissions = [read_submission(folder, challenge) for folder in arguments.results]
    check_alike(submissions)
    cases = stated_cases(arguments.cases) if arguments.cases else common_cases(submissions)
    diagonals_mm = diagonals_of(submissions)
    results = [results_of(submission, cases, rules, diagonals_mm) for submission in submissions]
    values = gather(results, cases, rules)
    metrics = [metric for metric in rules.metrics if not np.isnan(values[metric.name]).all()]
    if not metrics:
        raise JudgingError("no submission has a case that ended well; there is nothing to rank")
    names = [result.name for result in results]
    ranking = rank(names, {metric.name: values[metric.name] for metric in metrics}, rules)
    missing = {result.name: [case for case in cases if not result.values[case]] for result in results}
    gaps = {result.name: gaps_of(result, results) for result in results}
    lacking = {
        name: len({*missing[name], *(case for gap in gaps[name] for case in gap.cases)}) for name in names
    }
    write_csv(
        output,
        columns(metrics),
        [_row(placing, len(cases), lacking[placing.submission]) for placing in ranking.placings],
    )
    write_csv(long_path, ["Task", "Case", "Algorithm", "Value"], long_rows(names, cases, values, metrics))
    with atomic_path(details_path) as temporary:
        temporary.write_text(json.dumps(details(ranking, rules, metrics, cases), indent=1), encoding="utf-8")
    write_table(table, *ranking_rows(ranking))
    write_provenance(output, provenance(rules=arguments.rules, scheme=rules.scheme, submissions=names))
    sys.stdout.write(ranking_text(ranking, rules, len(cases)))
    tables = [submission.scores.path for submission in submissions]
    sys.stderr.writelines(f"{line}\n" for line in scored_differently(tables))
    for metric in rules.metrics:
        if metric not in metrics:
            sys.stderr.write(f"{metric.name} is left out: no submission has it\n")
    _tell(results, missing, gaps, len(cases))
    return 1 if any(lacking.values()) or any(result.extras for result in results) else 0


def _tell(
    results: Sequence[Results],
    missing: Mapping[str, Sequence[str]],
    gaps: Mapping[str, Sequence[Gap]],
    cases: int,
) -> None:
    """Name what the ranking left out, and what it lacked."""
    for result in results:
        for extra in result.extras:
            sys.stderr.write(f"{result.name}: left out, no case of the truth: {extra}\n")
        for remark in result.remarks:
            sys.stderr.write(f"{remark}\n")
        if lost := len(missing[result.name]):
            sys.stderr.write(f"{result.name}: {lost} of {cases} cases missing or failed, ranked last there\n")
        for gap in gaps[result.name]:
            lacks = f"{gap.table} lacks {', '.join(gap.metrics)} of {len(gap.cases)} of {cases} cases"
            sys.stderr.write(f"{result.name}: {lacks}, ranked last there: {listed(gap.cases, MOST_NAMED)}\n")


def columns(metrics: Sequence[RankedMetric]) -> list[str]:
    """Columns of the table; `eval.measuring.efficiency_table` explains them."""
    per_metric = [f"Rank_{metric.name}" for metric in metrics]
    spread = ["Place_median", "Place_low", "Place_high", "First_share"]
    return ["Place", "Submission", "Score", *per_metric, "Cases", "Missing", *spread]


def _row(placing: Placing, cases: int, missing: int) -> dict[str, str]:
    return {
        "Place": str(placing.place),
        "Submission": placing.submission,
        "Score": f"{placing.score:.4f}",
        **{f"Rank_{name}": f"{mean:.4f}" for name, mean in placing.ranks.items()},
        "Cases": str(cases),
        "Missing": str(missing),
        "Place_median": f"{placing.place_median}",
        "Place_low": f"{placing.place_low}",
        "Place_high": f"{placing.place_high}",
        "First_share": f"{placing.first_share:.4f}",
    }


def long_rows(
    names: Sequence[str], cases: Sequence[str], values: Mapping[str, F64], metrics: Sequence[RankedMetric]
) -> list[dict[str, str]]:
    """The values in challengeR's long form; a missing one is `NA`, as R has it."""
    return [
        {
            "Task": metric.name,
            "Case": case,
            "Algorithm": name,
            "Value": "NA" if math.isnan(value) else f"{value:.6g}",
        }
        for metric in metrics
        for name, row in zip(names, values[metric.name], strict=True)
        for case, value in zip(cases, row, strict=True)
    ]


def details(
    ranking: Ranking, rules: RankingRules, metrics: Sequence[RankedMetric], cases: Sequence[str]
) -> dict[str, object]:
    """What a report draws of a ranking, in a form for JSON."""
    known = ranking.kendall[~np.isnan(ranking.kendall)]
    tau = [round(float(q), 4) for q in np.percentile(known, (50, 2.5, 97.5))] if known.size else None
    return {
        "rules": rules.name,
        "scheme": rules.scheme,
        "metrics": [{"name": metric.name, "weight": metric.weight} for metric in metrics],
        "cases": len(cases),
        "kendall_tau": tau,
        "submissions": [
            {
                "name": placing.submission,
                "place_shares": [round(share, 4) for share in placing.place_shares],
                "place_by": placing.place_by,
                "case_ranks": [None if math.isnan(mean) else round(mean, 4) for mean in placing.case_ranks],
            }
            for placing in ranking.placings
        ],
        "superiorities": [asdict(test) for test in ranking.superiorities],
    }


def ranking_rows(ranking: Ranking) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the ranking for a paper."""
    header = ["submission", "place", "mean rank", "95 % of places", "first", *SCHEMES]
    return header, [
        [
            placing.submission,
            str(placing.place),
            f"{placing.score:.3f}",
            _spread(placing),
            f"{placing.first_share:.0%}",
            *(str(placing.place_by[scheme]) for scheme in SCHEMES),
        ]
        for placing in ranking.placings
    ]


def _spread(placing: Placing) -> str:
    return f"{placing.place_low} to {placing.place_high}"


def ranking_text(ranking: Ranking, rules: RankingRules, cases: int) -> str:
    """The ranking as the terminal shows it."""
    width = max(10, *(len(placing.submission) for placing in ranking.placings)) + 2
    lines = [
        f"{'place':>5}  {'submission':<{width}}{'mean rank':>10}  {'95 % of places':<16}{'first':<7}by scheme"
    ]
    for placing in ranking.placings:
        by_scheme = ", ".join(str(placing.place_by[scheme]) for scheme in SCHEMES)
        lines.append(
            f"{placing.place:>5}  {placing.submission:<{width}}{placing.score:>10.3f}  "
            f"{_spread(placing):<16}{placing.first_share:<7.0%}{by_scheme}"
        )
    counted = "1 case" if cases == 1 else f"{cases} cases"
    schemes = ", ".join(SCHEMES)
    lines.append(f"{counted}, {rules.name}, {rules.scheme}; by scheme: places by {schemes}")
    known = ranking.kendall[~np.isnan(ranking.kendall)]
    if known.size:
        middle, low = np.percentile(known, (50, 2.5))
        lines.append(
            f"Kendall's τ with the rankings of resamples: median {middle:.2f}, 2.5 % below {low:.2f}"
        )
    if not ranking.superiorities and len(ranking.placings) > 1:
        lines.append("too few cases for tests: every submission beats none under test-then-rank")
    return "\n".join(lines) + "\n"
