"""A fingerprint for the eye: a table for the terminal, and plots."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from model.labels import LabelSet
from training.data.fingerprint import BINS, FINGERPRINT, Fingerprint

SHOWN_STRUCTURES = 6
"""Structures of a group that a line names."""
BLUE, GREY = "#2f6fb0", "#8a8a8a"


def table(fingerprint: Fingerprint, labels: LabelSet) -> str:
    """Everything that matters of a fingerprint, in lines of text; `labels` tells its structures."""
    return "\n".join(
        [
            *_of_images(fingerprint),
            "",
            *_of_structures(fingerprint, labels),
            "",
            *_of_groups(fingerprint, labels),
        ]
    )


def _of_images(fingerprint: Fingerprint) -> Iterator[str]:
    cases = fingerprint.cases
    counts = f"{_counted(len(cases), 'case')}, {_counted(len(fingerprint.channels), 'channel')}"
    yield f"{counts}, label set {fingerprint.label_set}"
    yield ""
    yield f"{'':14}{'least':>10}{'median':>10}{'most':>10}"
    for name, unit, rows in (
        ("size", "", [case.size_zyx for case in cases]),
        ("spacing", " mm", [case.spacing_zyx_mm for case in cases]),
    ):
        for axis, letter in enumerate("zyx"):
            along = np.array(rows, np.float64)[:, axis]
            low, middle, high = (
                f"{float(value):.5g}" for value in (along.min(), np.median(along), along.max())
            )
            yield f"{name} {letter}{unit:<{14 - len(name) - 2}}{low:>10}{middle:>10}{high:>10}"
    proposed = ", ".join(f"{mm:.5g}" for mm in fingerprint.spacing_zyx_mm)
    yield f"proposed spacing (z, y, x): {proposed} mm, {fingerprint.spacing_reason}"
    yield ""
    names = ("0.5 %", "median", "99.5 %", "mean", "deviation", "least", "most")
    yield f"{'foreground':14}" + "".join(f"{name:>10}" for name in names) + "  HU of a CT"
    for index, channel in enumerate(fingerprint.channels):
        figures = (
            *(channel.percentile_00_5, channel.median, channel.percentile_99_5),
            *(channel.mean, channel.std, channel.min, channel.max),
        )
        yield f"{f'channel {index}':14}" + "".join(f"{value:>10.5g}" for value in figures)


def _of_structures(fingerprint: Fingerprint, labels: LabelSet) -> Iterator[str]:
    yield f"{'structure':24}{'cases':>7}{'least':>10}{'median':>10}{'most':>10}  ml"
    for name, volumes in volumes_of(fingerprint, labels).items():
        low, middle, high = min(volumes), float(np.median(volumes)), max(volumes)
        yield f"{name:24}{len(volumes):>7}{low:>10.4g}{middle:>10.4g}{high:>10.4g}"


def _of_groups(fingerprint: Fingerprint, labels: LabelSet) -> Iterator[str]:
    yield f"cases by the structures that occur in them (all are named in {FINGERPRINT}):"
    for group in fingerprint.groups:
        yield f"{len(group.cases):>5}  {structures_in_words(group.structures, labels.names)}"


def structures_in_words(held: Sequence[str], known: Sequence[str]) -> str:
    """Which of the structures of a label set occur, by those that do or by those that do not.

    >>> structures_in_words(("liver", "spleen"), ("liver", "spleen"))
    'all 2'
    >>> structures_in_words(("liver", "spleen"), ("liver", "spleen", "tumor"))
    'all but tumor'
    >>> structures_in_words(("liver",), ("liver", "spleen", "tumor"))
    'liver'
    """
    missing = [name for name in known if name not in held]
    if not missing:
        return f"all {len(known)}"
    if len(missing) < len(held) and len(missing) <= SHOWN_STRUCTURES:
        return f"all but {', '.join(missing)}"
    more = len(held) - SHOWN_STRUCTURES
    return (", ".join(held[:SHOWN_STRUCTURES]) or "nothing") + (f" and {more} more" if more > 0 else "")


def _counted(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"


def volumes_of(fingerprint: Fingerprint, labels: LabelSet) -> dict[str, list[float]]:
    """Structure to its volumes in the cases that hold it, ml; in the order of the label set."""
    cases = fingerprint.cases
    found = {
        name: [case.volumes_ml[name] for case in cases if name in case.volumes_ml] for name in labels.names
    }
    return {name: volumes for name, volumes in found.items() if volumes}


def plot(fingerprint: Fingerprint, labels: LabelSet, path: Path) -> None:
    """Write a picture (PNG) of sizes, spacings, intensities, volumes and groups of `labels`' structures."""
    volumes = volumes_of(fingerprint, labels)
    height = max(3.2, 0.24 * len(volumes) + 1.2)
    figure = Figure(figsize=(11, 3.4 + height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2, 3, height_ratios=(3.2, height))
    _spread(figure.add_subplot(grid[0, 0]), [c.size_zyx for c in fingerprint.cases], "size (voxels)")
    spacings = figure.add_subplot(grid[0, 1])
    _spread(spacings, [c.spacing_zyx_mm for c in fingerprint.cases], "spacing (mm)")
    spacings.plot(fingerprint.spacing_zyx_mm, range(3), "x", color="black", label="proposed")
    spacings.legend(frameon=False, fontsize=8)
    _intensities(figure.add_subplot(grid[0, 2]), fingerprint)
    _volumes(figure.add_subplot(grid[1, :2]), volumes)
    _groups(figure.add_subplot(grid[1, 2]), fingerprint, labels)
    figure.savefig(path, dpi=110)


def _spread(
    axes: Axes, rows: list[tuple[int, int, int]] | list[tuple[float, float, float]], label: str
) -> None:
    values = np.array(rows, np.float64)
    rng = np.random.default_rng(0)
    for axis in range(3):
        away = rng.uniform(-0.18, 0.18, len(values))
        axes.plot(values[:, axis], axis + away, "o", color=BLUE, alpha=0.5, markersize=4, markeredgewidth=0)
    axes.set_yticks(range(3), ["z", "y", "x"])
    axes.set_ylim(2.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel(label)


def _intensities(axes: Axes, fingerprint: Fingerprint) -> None:
    for index, channel in enumerate(fingerprint.channels):
        edges = np.linspace(channel.percentile_00_5, channel.percentile_99_5, BINS + 1)
        axes.stairs(channel.histogram, edges, label=f"channel {index}")
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.set_xlabel("foreground (CT: HU), 0.5 to 99.5 %", fontsize=9)
    if len(fingerprint.channels) > 1:
        axes.legend(frameon=False, fontsize=8)


def _volumes(axes: Axes, volumes: dict[str, list[float]]) -> None:
    names = list(volumes)
    for row, name in enumerate(names):
        axes.plot(volumes[name], [row] * len(volumes[name]), "o", color=BLUE, alpha=0.4, markersize=4)
    axes.set_yticks(range(len(names)), [f"{name} ({len(volumes[name])})" for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xscale("log")
    axes.set_xlabel("volume (ml); in brackets the number of cases")
    axes.grid(axis="x", color=GREY, alpha=0.3)


def _groups(axes: Axes, fingerprint: Fingerprint, labels: LabelSet) -> None:
    groups = fingerprint.groups[:10]
    names = [textwrap.fill(structures_in_words(group.structures, labels.names), 26) for group in groups]
    axes.barh(range(len(groups)), [len(group.cases) for group in groups], color=BLUE)
    axes.set_yticks(range(len(groups)), names, fontsize=7)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("cases")
    axes.set_title("cases with the same structures", fontsize=9)
