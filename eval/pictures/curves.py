"""Draw what a run used over time (GPU memory, utilization, RAM), with its stages below."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from eval.measuring.trace import EXACT_CPU, GPU, GPU_USE, OWN_CPU, OWN_GPU, OWN_RAM, RAM, Trace
from eval.measuring.watch import Stage

# Blue and orange of Okabe and Ito, which readers with colour vision deficiencies tell apart.
OWN_COLOUR, WHOLE_COLOUR = "#0072b2", "#e69f00"
PANELS = (
    ("GPU memory (MB)", OWN_GPU, GPU),
    ("GPU utilization (%)", None, GPU_USE),
    ("RAM (MB)", OWN_RAM, RAM),
    ("CPU (%)", OWN_CPU, EXACT_CPU),
)
"""Name of a panel, the command's own quantity, that of the whole machine."""
FLATTENED = 4.0
"""If the machine's peak is this many times the command's own, each has a panel of its own: on one scale, the
command's curve would be a flat line."""
LABELS = {
    OWN_GPU: "the command's", GPU: "whole device", GPU_USE: "whole device",
    OWN_RAM: "the command's", RAM: "whole host",
    OWN_CPU: "the command's, of one processor", EXACT_CPU: "whole host, of all processors",
}  # fmt: skip
SHADES = ("#4d5866", "#a3adba")
"""Colours of the stages of successive cases, in turn."""
PANEL_IN, STAGE_IN = 1.95, 0.26


def draw_curves(trace: Trace, stages: Sequence[Stage], title: str, path: Path) -> None:
    """Draw a trace and the stages of its run into a file; quantities without samples have no panel."""
    panels = panels_of(trace)
    rows_in = [
        *([PANEL_IN] * len(panels)),
        *([STAGE_IN * len({stage.name for stage in stages}) + 0.15] if stages else []),
    ] or [PANEL_IN]
    figure, rows = plt.subplots(
        len(rows_in),
        1,
        sharex=True,
        squeeze=False,
        figsize=(10, 1.0 + sum(rows_in)),
        height_ratios=rows_in,
        layout="constrained",
    )
    try:
        axes = list(rows[:, 0])
        figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=10)
        for axis, (name, quantities) in zip(axes, panels, strict=False):
            _panel(axis, trace, name, quantities)
        if stages:
            _draw_stages(axes[-1], stages)
        axes[-1].set_xlabel("time (s)")
        axes[-1].set_xlim(min(float(trace.times_s.min(initial=0.0)), 0.0), trace.duration_s)
        figure.savefig(path, dpi=150)
    finally:
        plt.close(figure)


def panels_of(trace: Trace) -> list[tuple[str, list[str]]]:
    """Name and quantities of each panel; quantities without samples have none."""
    panels = []
    for name, own, whole in PANELS:
        kept = [quantity for quantity in (own, whole) if quantity is not None and trace.has(quantity)]
        if len(kept) == 2 and trace.peak(kept[1]) > FLATTENED * trace.peak(kept[0]):
            panels += [(name, [quantity]) for quantity in kept]
        elif kept:
            panels.append((name, kept))
    return panels


def _panel(axis: Axes, trace: Trace, name: str, quantities: Sequence[str]) -> None:
    for quantity in quantities:
        whole = not LABELS[quantity].startswith("the command")
        values = trace.values[quantity]
        known = ~np.isnan(values)
        axis.plot(
            trace.times_s[known],
            values[known],
            color=WHOLE_COLOUR if whole else OWN_COLOUR,
            linewidth=1.4,
            label=LABELS[quantity],
        )
    axis.set_ylabel(name, fontsize=9)
    axis.set_ylim(bottom=0)
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=2, fontsize=8, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _draw_stages(axis: Axes, stages: Sequence[Stage]) -> None:
    """Draw a row for each stage, in the order of their first starts, with a bar for each time it ran."""
    names = list(dict.fromkeys(stage.name for stage in stages))
    for stage in stages:
        row, width = names.index(stage.name), stage.end_s - stage.start_s
        axis.barh(row, width, left=stage.start_s, height=0.7, color=SHADES[stage.case % 2], linewidth=0)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.spines[["top", "right"]].set_visible(False)
