"""How stable pseudo-labels are, for the eye and for programs: `stability.csv` and `stability.png`."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.case_names import as_cell
from training.pseudo_labels.stability import instability

TABLE, PICTURE = "stability.csv", "stability.png"
# Blue and orange of Okabe and Ito, which readers with colour vision deficiencies tell apart.
KEPT, DROPPED = "#0072b2", "#e69f00"
BINS_BELOW = 20
"""Bins from 0 to the threshold."""
MOST_THRESHOLDS = 4.0
"""Where the axis ends, in thresholds; what lies beyond is counted in the last bin."""


def write_table(changes: Mapping[str, Sequence[float]], threshold: float, path: Path) -> None:
    """One row a case, the least stable first: u, whether it is kept, and its change in each round.

    Args:
        changes: case to its changes, one for each round after the first.
        threshold: the highest u of a case that is kept.
        path: of the CSV file.
    """
    rounds = len(next(iter(changes.values()))) + 1
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["case", "u", "kept", *(f"change_{number}" for number in range(2, rounds + 1))])
        for case, values in sorted(changes.items(), key=lambda item: (-instability(item[1]), item[0])):
            u = instability(values)
            shown = (f"{value:.6f}" for value in values)
            writer.writerow([as_cell(case), f"{u:.6f}", "yes" if u <= threshold else "no", *shown])


def draw_histogram(values: Sequence[float], threshold: float, path: Path) -> None:
    """Cases by u, those that are kept in another colour than those that are not.

    Args:
        values: u of each case; infinite ones are counted with the largest.
        threshold: the highest u of a case that is kept.
        path: of the PNG file.
    """
    largest = max((value for value in values if math.isfinite(value)), default=0.0)
    end = min(max(largest, threshold), MOST_THRESHOLDS * threshold) or 1.0
    width = threshold / BINS_BELOW or end / BINS_BELOW
    edges = np.arange(0, end + 1.5 * width, width)
    shown = np.minimum(np.array(values), edges[-1] - width / 2)
    kept = np.array(values) <= threshold
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.hist(shown[kept], bins=edges.tolist(), color=KEPT, label=f"kept: {int(kept.sum())}")
    axes.hist(shown[~kept], bins=edges.tolist(), color=DROPPED, label=f"left out: {int((~kept).sum())}")
    axes.axvline(threshold, color="black", linestyle="--", linewidth=1)
    beyond = " (larger ones in the last bin)" if max(values) > edges[-1] else ""
    axes.set_xlabel(f"u, voxels that changed from round to round / foreground{beyond}")
    axes.set_ylabel("cases")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
