"""The two pictures of a benchmark: time by stages, and memory over time."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eval.benchmark.contestants import BARE, EVEN, OURS, PLAIN, PLAIN_BF16
from eval.benchmark.markdown_table import ordered
from eval.benchmark.results import STAGES, Entry
from eval.measuring.trace import OWN_RAM, Trace

# Okabe and Ito's colours, which readers with colour vision deficiencies tell apart.
STAGE_COLOURS = dict(
    zip(
        STAGES,
        ("#999999", "#56b4e9", "#f0e442", "#cc79a7", "#0072b2", "#d55e00", "#009e73", "#000000"),
        strict=True,
    )
)  # fmt: skip
LINES = {
    OURS: ("#0072b2", "-"),
    BARE: ("#0072b2", ":"),
    PLAIN: ("#d55e00", "-"),
    PLAIN_BF16: ("#e69f00", "--"),
    EVEN: ("#d55e00", ":"),
}
NAMED_SHARE = 0.05
"""Stages shorter than this share of the longest bar are drawn without a figure."""
DPI = 150


def draw_stages(entries: Sequence[Entry], path: Path, subject: str = "") -> None:
    """Draw a bar of stages for each contestant, in a panel for each network and scan.

    Args:
        entries: of all contestants.
        path: picture to write.
        subject: what was measured, and where; drawn below.
    """
    panels = _panels([entry for entry in entries if entry.seconds and not entry.stopped])
    heights = [len(group) + 1.2 for group in panels.values()]
    figure, axes = _figure(len(panels), (10, 0.9 + 0.42 * sum(heights)), heights)
    for axis, ((network, scan), group) in zip(axes, panels.items(), strict=True):
        for place, entry in enumerate(group):
            _bar(axis, place, entry, max(each.wall_s for each in group))
        axis.set_yticks(range(len(group)), [entry.contestant for entry in group], fontsize=8)
        axis.invert_yaxis()
        axis.set_title(f"{network} network, {scan}", loc="left", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    if axes:
        axes[-1].set_xlabel("wall time (s)", fontsize=9)
        present = [
            name
            for name in STAGES
            if any(name in entry.seconds for group in panels.values() for entry in group)
        ]
        handles = [axes[0].barh(0, 0, color=STAGE_COLOURS[name], label=name) for name in present]
        figure.legend(
            handles=handles, loc="outside upper center", ncols=len(present), fontsize=8, frameon=False
        )
    figure.supxlabel(subject, fontsize=8)
    figure.savefig(path, dpi=DPI)


def _bar(axis: Axes, place: int, entry: Entry, longest_s: float) -> None:
    left = 0.0
    for name in STAGES:
        width = entry.seconds.get(name, 0.0)
        axis.barh(place, width, left=left, height=0.72, color=STAGE_COLOURS[name])
        if width > NAMED_SHARE * longest_s:
            colour = "black" if name in ("start", "read", "localize", "preprocess") else "white"
            axis.text(
                left + width / 2, place, f"{width:.1f}", ha="center", va="center", fontsize=7, color=colour
            )
        left += width
    axis.text(left + 0.008 * longest_s, place, f"{entry.wall_s:.1f} s", va="center", fontsize=8)
    axis.set_xlim(0, 1.09 * longest_s)


def draw_memory(traces: Mapping[tuple[str, str, str], Trace], path: Path, subject: str = "") -> None:
    """Draw resident memory over time: a line for each contestant, in a panel for each network and scan.

    Args:
        traces: network, scan and contestant to the samples of a run.
        path: picture to write.
        subject: what was measured, and where; drawn below.
    """
    panels: dict[tuple[str, str], list[tuple[str, Trace]]] = {}
    for (network, scan, contestant), trace in traces.items():
        if trace.has(OWN_RAM):
            panels.setdefault((network, scan), []).append((contestant, trace))
    figure, axes = _figure(len(panels), (10, 0.6 + 2.2 * max(1, len(panels))), [1.0] * len(panels))
    for axis, ((network, scan), group) in zip(axes, panels.items(), strict=True):
        for contestant, trace in group:
            values = trace.values[OWN_RAM]
            known = ~np.isnan(values) & (trace.times_s >= 0)
            colour, style = LINES[contestant]
            axis.plot(
                trace.times_s[known],
                values[known],
                color=colour,
                linestyle=style,
                linewidth=1.4,
                label=contestant,
            )
        axis.set_ylim(bottom=0)
        axis.set_xlim(left=0)
        axis.set_ylabel("resident MiB", fontsize=9)
        axis.set_title(f"{network} network, {scan}", loc="left", fontsize=9)
        axis.legend(fontsize=8, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    if axes:
        axes[-1].set_xlabel("time since the start (s)", fontsize=9)
    figure.supxlabel(subject, fontsize=8)
    figure.savefig(path, dpi=DPI)


def _figure(panels: int, size_in: tuple[float, float], heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size_in, layout="constrained")
    FigureCanvasAgg(figure)
    if not panels:
        return figure, []
    rows = figure.subplots(panels, 1, squeeze=False, height_ratios=list(heights))
    return figure, list(rows[:, 0])


def _panels(entries: Sequence[Entry]) -> dict[tuple[str, str], list[Entry]]:
    panels: dict[tuple[str, str], list[Entry]] = {}
    for entry in ordered(entries):
        panels.setdefault(entry.key, []).append(entry)
    return panels
