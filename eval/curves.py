"""Draw what a run took over time: GPU memory, utilization, RAM, with its stages named under it."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from eval.profile import Stage
from eval.trace import CPU, GPU, GPU_USE, OWN_CPU, OWN_GPU, OWN_RAM, RAM, Trace

# Blue and orange of Okabe and Ito, which readers with colour vision deficiencies tell apart.
OWN_COLOUR, WHOLE_COLOUR = "#0072b2", "#e69f00"
PANELS = (
    ("GPU memory (MB)", (OWN_GPU, GPU)),
    ("GPU utilization (%)", (GPU_USE,)),
    ("RAM (MB)", (OWN_RAM, RAM)),
    ("CPU (%)", (OWN_CPU, CPU)),
)
LABELS = {
    OWN_GPU: "the command's", GPU: "whole device", GPU_USE: "whole device", OWN_RAM: "the command's", RAM: "whole host",
    OWN_CPU: "the command's, of one processor", CPU: "whole host, of all processors",
}  # fmt: skip
NAMED_SHARE = 0.04
"""A stage shorter than this share of the run has no room for its name."""


def draw_curves(trace: Trace, stages: Sequence[Stage], title: str, path: Path) -> None:
    """Write the picture; quantities that were not taken have no panel."""
    panels = [(name, kept) for name, quantities in PANELS if (kept := [q for q in quantities if trace.has(q)])]
    heights = [*([3.0] * len(panels)), *([1.0] if stages else [])]
    figure, rows = plt.subplots(
        max(len(heights), 1), 1, sharex=True, squeeze=False, figsize=(10, 1.0 + 0.65 * sum(heights)), height_ratios=heights or [1],
        layout="constrained",
    )  # fmt: skip
    try:
        axes = list(rows[:, 0])
        figure.suptitle(title, x=0.01, horizontalalignment="left", fontsize=10)
        for axis, (name, quantities) in zip(axes, panels, strict=False):
            _panel(axis, trace, name, quantities)
            for stage in stages:
                axis.axvline(stage.start_s, color="0.85", linewidth=0.8, zorder=0)
        if stages:
            _stage_row(axes[-1], stages, trace.duration_s)
        axes[-1].set_xlabel("time (s)")
        axes[-1].set_xlim(min(float(trace.times_s.min(initial=0.0)), 0.0), trace.duration_s)
        figure.savefig(path, dpi=150)
    finally:
        plt.close(figure)


def _panel(axis: Axes, trace: Trace, name: str, quantities: Sequence[str]) -> None:
    for quantity in quantities:
        whole = not LABELS[quantity].startswith("the command")
        values = trace.values[quantity]
        known = ~np.isnan(values)
        axis.plot(trace.times_s[known], values[known], color=WHOLE_COLOUR if whole else OWN_COLOUR, linewidth=1.4, label=LABELS[quantity])
    axis.set_ylabel(name, fontsize=9)
    axis.set_ylim(bottom=0)
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.97), ncols=2, fontsize=8, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)


def _stage_row(axis: Axes, stages: Sequence[Stage], duration_s: float) -> None:
    shades = ("#dddddd", "#bbbbbb")
    for number, stage in enumerate(stages):
        width = stage.end_s - stage.start_s
        axis.barh(0, width, left=stage.start_s, height=1, color=shades[number % 2])
        if width > NAMED_SHARE * duration_s and not math.isclose(width, 0):
            axis.text(stage.start_s + width / 2, 0, stage.name, ha="center", va="center", fontsize=8, clip_on=True)
    axis.set_yticks([])
    axis.set_ylabel("stage", fontsize=9)
    axis.spines[["top", "right", "left"]].set_visible(False)
