"""Rank submissions against each other: by case and metric, averaged over metrics and cases.

Each RESULTS_DIR is one submission, named after the folder, and holds its score table (`python -m eval score`,
or the organisers') and its efficiency table (`python -m eval container`, or the organisers'). The files may
have any names.

rules:
  flare22  DSC, NSD, time; half weight for GPU memory-time beyond 2 GB and for CPU utilization-time
  flare23  organ DSC and NSD, lesion DSC and NSD, time beyond 15 s, GPU memory-time beyond 4 GB

Submissions that tie share a rank; missing and failed cases come last; a metric that no submission has (no
GPU, no lesion) is left out and named. The places in resamples of the cases show how certain the ranking is.

exit codes: 0 ranked; 1 ranked, but submissions lack cases and are named; 2 wrong input, nothing written
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from eval.comparing.rank_table import gather, read_results
from eval.comparing.ranking import RANKINGS, Placing, RankedMetric, rank
from eval.eval_errors import JudgingError
from eval.files import check_writable, write_csv
from eval.label_sets import LABEL_SETS_HELP
from eval.scoring.own_labels import find_challenge


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
        choices=sorted(RANKINGS),
        default="flare23",
        help="challenge year, see above (default: %(default)s)",
    )
    parser.add_argument(
        "--labels",
        metavar="SET",
        help=f"label set of the score tables: {LABEL_SETS_HELP} (default: found by the tables' columns)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="CSV", help="ranking to write")
    parser.add_argument("--force", action="store_true", help="replace an existing ranking")


def run(arguments: argparse.Namespace) -> int:
    """Read all tables, rank, write."""
    check_writable((arguments.output,), arguments.force)
    rules = RANKINGS[arguments.rules]
    challenge = find_challenge(arguments.labels) if arguments.labels else None
    results = [read_results(folder, rules, challenge) for folder in arguments.results]
    names = [result.name for result in results]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise JudgingError(f"two folders are called {twice}; submissions need different names")
    cases, values = gather(results, rules)
    metrics = [metric for metric in rules.metrics if not np.isnan(values[metric.name]).all()]
    if not metrics:
        raise JudgingError("no submission has a case that ended well; there is nothing to rank")
    for metric in rules.metrics:
        if metric not in metrics:
            sys.stderr.write(f"{metric.name} is left out: no submission has it\n")
    placings = rank(names, values, metrics)
    missing = {result.name: sum(not result.values.get(case) for case in cases) for result in results}
    write_csv(
        arguments.output,
        columns(metrics),
        [_row(placing, len(cases), missing[placing.submission]) for placing in placings],
    )
    sys.stdout.write(ranking_text(placings, len(cases)))
    for name, count in missing.items():
        if count:
            sys.stderr.write(f"{name}: {count} of {len(cases)} cases missing or failed, ranked last there\n")
    return 1 if any(missing.values()) else 0


def columns(metrics: list[RankedMetric]) -> list[str]:
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
        "Place_median": f"{placing.place_median:g}",
        "Place_low": f"{placing.place_low:g}",
        "Place_high": f"{placing.place_high:g}",
        "First_share": f"{placing.first_share:.4f}",
    }


def ranking_text(placings: list[Placing], cases: int) -> str:
    """The ranking as the terminal shows it."""
    width = max(10, *(len(placing.submission) for placing in placings)) + 2
    lines = [f"{'place':>5}  {'submission':<{width}}{'mean rank':>10}  {'95 % of places':<16}first"]
    for placing in placings:
        spread = f"{placing.place_low:g} to {placing.place_high:g}"
        lines.append(
            f"{placing.place:>5}  {placing.submission:<{width}}{placing.score:>10.3f}  "
            f"{spread:<16}{placing.first_share:.0%}"
        )
    return "\n".join([*lines, f"{cases} cases"]) + "\n"
