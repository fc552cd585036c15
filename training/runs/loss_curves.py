"""A run's log as a table and as a picture: `log.csv`, `curves.png`."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from model.arrays import F64
from model.colours import colours_of
from model.labels import LabelSet
from training.whole_files import whole_file

TABLE, PICTURE = "log.csv", "curves.png"
# Blue and orange of Okabe and Ito, which readers with colour vision deficiencies tell apart.
EACH_STEP, SMOOTH = "#9ecae1", "#0072b2"
RATE, MEAN = "#e69f00", "#000000"
EDGE = "#808080"
"""Around the colours of structures, some of which are too light for a white page."""
FEW = 20
"""Points below which each has a marker."""
SMOOTHED_OVER = 0.05
"""Share of the run over which the smooth loss is averaged."""
MOST_CLASSES = 20
"""Most curves of single structures; more would hide each other."""

Entries = Sequence[Mapping[str, Any]]


def write_table(entries: Entries, path: Path) -> None:
    """One row a step: its loss and learning rate, and Dice where it was measured then."""
    rows: dict[int, dict[str, Any]] = {}
    names: list[str] = []
    for entry in entries:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        row |= {key: entry[key] for key in ("loss", "learning_rate", "mean_dice") if key in entry}
        for name, value in entry.get("dice", {}).items():
            names += [] if name in names else [name]
            row[f"dice {name}"] = value
    columns = ["step", "learning_rate", "loss", "mean_dice", *(f"dice {name}" for name in names)]
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows.values())


def draw_curves(entries: Entries, title: str, labels: LabelSet, path: Path) -> None:
    """Write `figure_of` as a picture."""
    figure = figure_of(entries, title, labels)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=110, format="png")


def figure_of(entries: Entries, title: str, labels: LabelSet) -> Figure:
    """Loss and learning rate above; below Dice of each structure, in its colour, and their mean."""
    steps = [entry for entry in entries if "loss" in entry]
    validations = [entry for entry in entries if "mean_dice" in entry]
    figure = Figure(figsize=(9, 6.5 if validations else 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2 if validations else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_loss(panels[0], steps)
    if validations:
        _draw_dice(panels[1], validations, colours_of_curves(labels))
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[-1].set_xlabel("step")
    figure.suptitle(title)
    return figure


def _draw_loss(axes: Axes, steps: Entries) -> None:
    at = [entry["step"] for entry in steps]
    losses = np.array([entry["loss"] for entry in steps])
    width = max(1, round(SMOOTHED_OVER * len(losses)))
    # A curve of one point is seen by its marker alone.
    marker = "." if len(losses) < FEW else ""
    axes.plot(at, losses, color=EACH_STEP, linewidth=0.8, marker=marker, label="each step")
    if width > 1:
        axes.plot(at, smoothed(losses, width), color=SMOOTH, label=f"mean of {width} steps")
    axes.set_ylabel("loss")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8)
    axes.grid(alpha=0.3)
    right = axes.twinx()
    right.plot(at, [entry["learning_rate"] for entry in steps], color=RATE, linestyle="--", linewidth=1)
    right.set_ylabel("learning rate (dashed)", color=RATE)
    right.set_ylim(bottom=0)


def colours_of_curves(labels: LabelSet) -> dict[str, str]:
    """Colour of each structure as `#rrggbb`, and of pairs that a network sees as one: that of the left.

    >>> from model.labels import FLARE22
    >>> [colours_of_curves(FLARE22)[name] for name in ("liver", "left kidney", "kidney")]
    ['#c04b4b', '#f08c21', '#f08c21']
    """
    colours = colours_of(labels)
    return {pair.merged: colours[pair.left] for pair in labels.pairs} | colours


def _draw_dice(axes: Axes, validations: Entries, colours: Mapping[str, str]) -> None:
    names = list(dict.fromkeys(name for entry in validations for name in entry["dice"]))[:MOST_CLASSES]
    marker = "o" if len(validations) < FEW else ""
    for name in names:
        found = [(entry["step"], entry["dice"][name]) for entry in validations if name in entry["dice"]]
        axes.plot(
            *zip(*found, strict=True),
            color=colours.get(name, SMOOTH),  # A network of one foreground knows no structures.
            linewidth=1.2,
            marker=marker,
            markersize=3.5,
            label=name,
            path_effects=[withStroke(linewidth=2.4, foreground=EDGE)],
        )
    means = [(entry["step"], entry["mean_dice"]) for entry in validations]
    axes.plot(*zip(*means, strict=True), color=MEAN, linewidth=2, marker=marker, markersize=4, label="mean")
    axes.set_ylabel("validation Dice")
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.08, 0.5), frameon=False, fontsize=8)


def smoothed(values: F64, width: int) -> F64:
    """The mean of up to `width` values that end at each one: 1, 2, 3 with width 2 gives 1, 1.5, 2.5."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    means: F64 = (sums[ends] - sums[starts]) / (ends - starts)
    return means
