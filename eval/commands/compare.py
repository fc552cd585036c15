"""Compare two score tables of the same cases, organ by organ: is B better than A?

For each structure and metric, prints (and writes, with --output) the mean difference B − A, its 95 %
bootstrap confidence interval, and the p values of the Wilcoxon signed-rank test and the paired t test: as
tested, and corrected over the structures by Holm's method. A star marks a corrected Wilcoxon p value below
0.05. Intervals and tests need at least 6 cases. The Wilcoxon test learns nothing from cases that do not
differ; it is exact for up to 25 that do. The length of the image's diagonal takes the place of infinite
distances; if the tables do not state it, such pairs are left out, and counted. VolumeDifference_ml is
compared by its size, since its sign does not say which is better. Cases in error count as 0 and are named.
Tables that were scored by different rules are compared, and the difference is named.

exit codes: 0 compared; 1 compared, but cases that only one table has were left out and are named; 2 wrong
input
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from eval.comparing.paired_tests import Comparison, compare, lost_cases
from eval.files import check_writable, write_csv
from eval.label_sets import LABEL_SETS_HELP
from eval.paper_table import add_table_option, table_paths, write_table
from eval.scoring.own_labels import find_challenge
from eval.scoring.score_rules import scored_differently
from eval.scoring.score_table import ScoreTable, read_scores
from eval.scoring.structure_scores import Metric
from eval.scoring.summary import ORGAN_MEAN
from eval.statistics import LEAST_CASES

COLUMNS = {
    "Structure": "structure", "Metric": "metric", "Cases": "cases", "Mean_A": "mean_a", "Mean_B": "mean_b",
    "Difference": "difference", "CI95_low": "low", "CI95_high": "high", "Wilcoxon_p": "wilcoxon_p",
    "Wilcoxon_Holm_p": "wilcoxon_holm_p", "t_p": "t_p", "t_Holm_p": "t_holm_p", "Infinite": "infinite",
    "Infinite_left_out": "left_out",
}  # fmt: skip
METRICS = tuple(map(str, Metric))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "a", type=Path, metavar="A.csv", help="score table, written by `python -m eval score`"
    )
    parser.add_argument("b", type=Path, metavar="B.csv", help="score table of the same cases")
    parser.add_argument(
        "--metrics",
        nargs="+",
        choices=METRICS,
        metavar="METRIC",
        default=["DSC", "NSD"],
        help=f"metrics to compare, of {', '.join(METRICS)} (default: DSC NSD)",
    )
    parser.add_argument(
        "--labels",
        metavar="SET",
        help=f"label set of both tables: {LABEL_SETS_HELP} (default: found by the tables' columns)",
    )
    parser.add_argument("--output", type=Path, metavar="CSV", help="table to write, beside printing it")
    add_table_option(parser)
    parser.add_argument("--force", action="store_true", help="replace existing output files")


def run(arguments: argparse.Namespace) -> int:
    """Compare, print and write."""
    written = [arguments.output] if arguments.output else []
    check_writable([*written, *table_paths(arguments.table)], arguments.force)
    challenge = find_challenge(arguments.labels) if arguments.labels else None
    first, second = read_scores(arguments.a, challenge), read_scores(arguments.b, challenge)
    rows = compare(first, second, [Metric(metric) for metric in arguments.metrics])
    if arguments.output:
        write_csv(arguments.output, list(COLUMNS), [_cells(row) for row in rows])
    write_table(arguments.table, *comparison_rows(rows))
    sys.stdout.write(comparison_text(first, second, rows))
    for name, table, other in (("A", first, second), ("B", second, first)):
        if lost := lost_cases(table, other):
            sys.stderr.write(f"{name}: {lost}\n")
    sys.stderr.writelines(f"{line}\n" for line in scored_differently((first.path, second.path)))
    lonely = sorted(set(first.stems) ^ set(second.stems))
    for case in lonely:
        sys.stderr.write(
            f"left out: {case} is only in {first.path if case in first.stems else second.path}\n"
        )
    return 1 if lonely else 0


def comparison_text(first: ScoreTable, second: ScoreTable, rows: Sequence[Comparison]) -> str:
    """The comparison as the terminal shows it, with a table for each metric."""
    lines = [f"A: {first.path}", f"B: {second.path}"]
    for metric in dict.fromkeys(row.metric for row in rows):
        lines += [
            "",
            f"{metric:<20}{'cases':>6}{'A':>10}{'B':>10}{'B − A':>10}  "
            f"{'95 % CI':<20}{'Wilcoxon':>10}{'Holm':>10}{'t':>10}{'Holm':>10}",
        ]
        of_it = [row for row in rows if row.metric is metric]
        lines += [_line(row) for row in of_it]
        lines += _infinite_lines([row for row in of_it if row.structure != ORGAN_MEAN])
    if all(row.cases < LEAST_CASES for row in rows):
        lines += ["", f"fewer than {LEAST_CASES} cases: no confidence intervals and no tests"]
    return "\n".join(lines) + "\n"


def _infinite_lines(rows: Sequence[Comparison]) -> list[str]:
    """What became of the infinite distances of a metric's structures; nothing if there are none."""
    infinite, left_out = sum(row.infinite for row in rows), sum(row.left_out for row in rows)
    lines = []
    if counted := infinite - left_out:
        lines.append(f"pairs with an infinite distance: {counted} counted as the image's diagonal")
    if left_out:
        lines.append(f"pairs with an infinite distance: {left_out} left out, no table says the diagonal")
    return lines


def comparison_rows(rows: Sequence[Comparison]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the comparison for a paper."""
    header = ["structure", "metric", "cases", "A", "B", "B − A", "95 % CI"]
    header += [f"{test}{corrected}" for test in ("Wilcoxon p", "t p") for corrected in ("", " (Holm)")]
    return header, [
        [row.structure, str(row.metric), str(row.cases), *_means(row), _interval(row), *_p_values(row)]
        for row in rows
    ]


def _line(row: Comparison) -> str:
    star = " *" if row.wilcoxon_holm_p < 0.05 else ""
    p_values = "".join(f"{p:>10}" for p in _p_values(row))
    means = "".join(f"{mean:>10}" for mean in _means(row))
    return f"{row.structure:<20}{row.cases:>6}{means}  {_interval(row):<20}{p_values}{star}".rstrip()


def _interval(row: Comparison) -> str:
    return "" if math.isnan(row.low) else f"{row.low:+.4f} to {row.high:+.4f}"


def _p_values(row: Comparison) -> list[str]:
    return [_p(p) for p in (row.wilcoxon_p, row.wilcoxon_holm_p, row.t_p, row.t_holm_p)]


def _means(row: Comparison) -> list[str]:
    figures = ((row.mean_a, ".4f"), (row.mean_b, ".4f"), (row.difference, "+.4f"))
    return ["" if math.isnan(value) else format(value, form) for value, form in figures]


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _cells(row: Comparison) -> dict[str, str]:
    cells = {}
    for header, field in COLUMNS.items():
        value = getattr(row, field)
        cells[header] = (
            str(value) if not isinstance(value, float) else "" if math.isnan(value) else f"{value:.6g}"
        )
    return cells
