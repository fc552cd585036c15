"""The box plots of a report as files for papers: vector or bitmap graphics, in the report's colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eval.report.page_data import Json

FORMATS = ("pdf", "png", "svg")
LABELS = {
    "DSC": "Dice similarity coefficient",
    "NSD": "normalized surface Dice",
    "HD95_mm": "95th percentile of surface distances (mm)",
    "HD_mm": "largest surface distance (mm)",
    "ASSD_mm": "mean surface distance (mm)",
    "clDice": "overlap of centre lines",
    "VolumeDifference_ml": "volume, prediction − truth (ml)",
}
INK = "#14171c"
WIDTH_IN, HEIGHT_IN, DPI = 7.2, 3.0, 300


def write_plots(data: Json, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write `plots/METRIC.FORMAT` for each metric and format into a report's folder; returns the paths."""
    (folder / "plots").mkdir()
    written = []
    for metric in data["metrics"]:
        figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), data, metric)
        for kind in formats:
            path = folder / "plots" / f"{metric}.{kind}"
            figure.savefig(path, dpi=DPI, format=kind)
            written.append(path)
    return written


def _draw(axes: Axes, data: Json, metric: str) -> None:
    structures = data["structures"]
    scatter = np.random.default_rng(0)
    for place, structure in enumerate(structures):
        values = [
            value for case in data["cases"] if isinstance(value := case["values"][metric][place], float | int)
        ]
        if not values:
            continue
        axes.boxplot(
            values,
            positions=[place],
            widths=0.62,
            patch_artist=True,
            showfliers=False,
            boxprops={"facecolor": structure["colour"], "edgecolor": INK, "linewidth": 0.8, "alpha": 0.75},
            medianprops={"color": INK, "linewidth": 1.4},
            whiskerprops={"color": INK, "linewidth": 0.8},
            capprops={"color": INK, "linewidth": 0.8},
        )
        places = place + scatter.uniform(-0.2, 0.2, len(values))
        axes.plot(places, values, "o", color=INK, markersize=2.6, alpha=0.55, markeredgewidth=0, zorder=3)
    axes.set_xticks(
        range(len(structures)),
        [structure["name"] for structure in structures],
        rotation=38,
        ha="right",
        fontsize=7.5,
    )
    axes.set_ylabel(LABELS[metric], fontsize=8)
    axes.tick_params(axis="y", labelsize=7.5)
    axes.grid(axis="y", color="#d6dae1", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
