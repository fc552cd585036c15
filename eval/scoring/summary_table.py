"""The summary of scores: as a table beside the score table, and as the terminal shows it."""

import math
from collections.abc import Sequence
from pathlib import Path

from eval.files import write_csv
from eval.scoring.challenges import Rules
from eval.scoring.score_table import cell
from eval.scoring.structure_scores import Metric
from eval.scoring.summary import ORGAN_MEAN, SUMS, SummaryRow
from eval.statistics import LEAST_CASES

SUMMARY_COLUMNS = [
    "Structure",
    "Metric",
    "Cases",
    "Infinite",
    "Mean",
    "SD",
    "Median",
    "CI95_low",
    "CI95_high",
]


def summary_path(scores: Path) -> Path:
    """Where the summary beside a score table is."""
    return scores.with_name(f"{scores.stem}_summary.csv")


def write_summary(scores: Path, rows: Sequence[SummaryRow]) -> None:
    """Write the summary beside a score table."""
    write_csv(summary_path(scores), SUMMARY_COLUMNS, [_summary_cells(row) for row in rows])


def summary_text(rows: Sequence[SummaryRow], rules: Rules) -> str:
    """The summary of DSC and NSD side by side, as the terminal shows it."""
    structures = list(dict.fromkeys(row.structure for row in rows))
    found = {(row.structure, row.metric): row for row in rows}
    width = max(20, *(len(structure) for structure in structures)) + 2
    lines = [
        f"{'':<{width}}{'cases':>5}  {'DSC mean ± SD':<17}{'median':<8}{'95 % CI':<18}{'NSD mean ± SD':<17}"
        f"{'median':<8}95 % CI"
    ]
    first_sum = next((structure for structure in structures if structure in SUMS), None)
    for structure in structures:
        if structure == first_sum:
            lines.append("-" * len(lines[0]))
        cells = [_figures(found[structure, metric]) for metric in (Metric.DSC, Metric.NSD)]
        cases = found[structure, Metric.DSC].cases
        lines.append(f"{structure:<{width}}{cases:>5}  {cells[0]}{cells[1]}".rstrip())
    if hd95 := found.get((ORGAN_MEAN, Metric.HD95)):
        lines.append(f"organ HD95 {hd95.mean:.1f} mm{infinite_text(hd95)}")
    if rules is Rules.PARTIAL:
        lines.append("each mean is over the cases whose truth holds the structure: see the column cases")
    if (cases := max(row.cases for row in rows)) == 1:
        lines.append("one case: no standard deviation and no confidence interval")
    elif cases < LEAST_CASES:
        lines.append(f"fewer than {LEAST_CASES} cases: no confidence intervals")
    return "\n".join(lines) + "\n"


def infinite_text(row: SummaryRow) -> str:
    """What became of infinite distances, to follow a mean; empty if there are none."""
    if not row.infinite:
        return ""
    values = f"{row.infinite} infinite value{'s' if row.infinite > 1 else ''}"
    if row.left_out:
        return f", {row.left_out} of {values} left out"
    return f", {values} counted as the image's diagonal"


def summary_rows(rows: Sequence[SummaryRow]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of DSC and NSD side by side, for a paper."""
    found = {(row.structure, row.metric): row for row in rows}
    header = ["structure", "cases"]
    for metric in (Metric.DSC, Metric.NSD):
        header += [f"{metric} mean ± SD", f"{metric} median", f"{metric} 95 % CI"]
    return header, [
        [
            structure,
            str(found[structure, Metric.DSC].cases),
            *_parts(found[structure, Metric.DSC]),
            *_parts(found[structure, Metric.NSD]),
        ]
        for structure in dict.fromkeys(row.structure for row in rows)
    ]


def _figures(row: SummaryRow) -> str:
    mean, median, interval = _parts(row)
    return f"{mean:<17}{median:<8}{interval:<18}" if row.cases else f"{mean:<43}"


def _parts(row: SummaryRow) -> tuple[str, str, str]:
    """Mean and spread, median, interval."""
    if not row.cases:
        return "not scored", "", ""
    spread = "–" if math.isnan(row.sd) else f"{row.sd:.4f}"
    interval = "–" if math.isnan(row.low) else f"{row.low:.4f}–{row.high:.4f}"
    return f"{row.mean:.4f} ± {spread}", f"{row.median:.4f}", interval


def _summary_cells(row: SummaryRow) -> dict[str, str]:
    values = (row.mean, row.sd, row.median, row.low, row.high)
    named = dict(zip(SUMMARY_COLUMNS[4:], map(cell, values), strict=True))
    return {
        "Structure": row.structure,
        "Metric": str(row.metric),
        "Cases": str(row.cases),
        "Infinite": str(row.infinite),
        **named,
    }
