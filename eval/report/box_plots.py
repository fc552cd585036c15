"""The box plots of a report as files for papers: vector or bitmap graphics, in the report's colours.

Cases with an infinite distance lie on a line `∞` above the scale, with their number, and count as the largest
in quartiles. Hollow dots are cases in which neither map holds the structure.
"""

import math
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
    "HD95_mm": "95th percentile of\nsurface distances (mm)",
    "HD_mm": "largest surface distance (mm)",
    "ASSD_mm": "mean surface distance (mm)",
    "clDice": "overlap of centre lines",
    "VolumeDifference_ml": "volume, prediction − truth (mL)",
}
INK = "#14171c"
WIDTH_IN, HEIGHT_IN, DPI = 7.2, 3.0, 300


def write_plots(data: Json, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write `plots/METRIC.FORMAT` for each metric and format into a report's folder; returns the paths."""
    (folder / "plots").mkdir()
    written = []
    for metric in data["metrics"]:
        figure = box_plots(data, metric)
        for kind in formats:
            path = folder / "plots" / f"{metric}.{kind}"
            figure.savefig(path, dpi=DPI, format=kind)
            written.append(path)
    return written


def box_plots(data: Json, metric: str) -> Figure:
    """The box plots of one metric, a box for each structure."""
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    structures = data["structures"]
    columns = [_dots(data, metric, place) for place in range(len(structures))]
    finite = [value for dots in columns for value, _ in dots if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    beyond = high + 0.15 * ((high - low) or 1.0)
    scatter = np.random.default_rng(0)
    for place, (structure, dots) in enumerate(zip(structures, columns, strict=True)):
        if dots:
            _draw(axes, place, structure["colour"], dots, beyond, scatter)
    if any(math.isinf(value) for dots in columns for value, _ in dots):
        axes.axhline(beyond, color=INK, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
        axes.text(1.005, beyond, "∞", transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.set_yticks([tick for tick in axes.get_yticks() if low - 0.05 * (high - low) <= tick <= high])
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
    return figure


def _dots(data: Json, metric: str, place: int) -> list[tuple[float, bool]]:
    """Each case's value of a structure, and whether neither map holds it; cases not scored are left out."""
    dots = []
    for case in data["cases"]:
        value = case["values"][metric][place]
        if value is not None:
            neither = case["held"][place] is False and case["values"]["DSC"][place] == 1
            dots.append((float(value), neither))
    return dots


def _draw(
    axes: Axes,
    place: int,
    colour: str,
    dots: Sequence[tuple[float, bool]],
    beyond: float,
    scatter: np.random.Generator,
) -> None:
    """One structure's box and dots; infinite values are drawn at `beyond`."""
    axes.bxp(
        [box_of([value for value, _ in dots], beyond)],
        positions=[place],
        widths=0.62,
        patch_artist=True,
        showfliers=False,
        boxprops={"facecolor": colour, "edgecolor": INK, "linewidth": 0.8, "alpha": 0.75},
        medianprops={"color": INK, "linewidth": 1.4},
        whiskerprops={"color": INK, "linewidth": 0.8},
        capprops={"color": INK, "linewidth": 0.8},
    )
    across = place + scatter.uniform(-0.2, 0.2, len(dots))
    heights = [min(value, beyond) for value, _ in dots]
    for hollow in (False, True):
        some = [i for i, (_, neither) in enumerate(dots) if neither is hollow]
        axes.plot(
            across[some],
            [heights[i] for i in some],
            "o",
            color=INK,
            markersize=2.6,
            alpha=0.55,
            markeredgewidth=0.6 if hollow else 0,
            fillstyle="none" if hollow else "full",
            zorder=3,
        )
    if infinite := sum(math.isinf(value) for value, _ in dots):
        axes.annotate(
            f"{infinite} of {len(dots)}",
            (place, beyond),
            (0, 4),
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
        )


def box_of(values: Sequence[float], beyond: float) -> dict[str, float]:
    """Median, quartiles and whiskers, in matplotlib's names; infinite ones are put at `beyond`.

    Whiskers reach to the outermost values within 1.5 times the distance of the quartiles.

    >>> box_of([1, 2, 3, 4, math.inf], beyond=10)
    {'q1': 2, 'med': 3, 'q3': 4, 'whislo': 1, 'whishi': 4}
    """
    order = sorted(values)
    q1, median, q3 = (_quantile(order, share) for share in (0.25, 0.5, 0.75))
    reach = 0.0 if q1 == q3 else 1.5 * (q3 - q1)
    low = next(value for value in order if value >= q1 - reach)
    high = next(value for value in reversed(order) if value <= q3 + reach)
    # A whisker ends at the box at least, where no value lies between.
    figures = {"q1": q1, "med": median, "q3": q3, "whislo": min(low, q1), "whishi": max(high, q3)}
    return {name: min(value, beyond) for name, value in figures.items()}


def _quantile(order: Sequence[float], share: float) -> float:
    """A quantile of sorted values, interpolated linearly; infinite from the first infinite one on."""
    place = (len(order) - 1) * share
    low, high = order[math.floor(place)], order[math.ceil(place)]
    return low if low == high else low + (high - low) * (place % 1)
