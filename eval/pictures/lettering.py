"""What is written on and around the views of a picture: edges, marks, scale, title and legend."""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from eval.pictures.planes import Plane
from eval.pictures.scene import Scene, View
from eval.scoring.metrics import dice_per_label
from model.colours import colours_of
from model.organ_counts import ml_in_words, possible

WINDOW_LEVEL_HU, WINDOW_WIDTH_HU = 40.0, 400.0
BACKGROUND, TEXT, FAINT, DOUBT = "#0b0d10", "#eceff3", "#9aa4b2", "#ff6b6b"
TRUTH_COLOUR, TICK = "#ffffff", "#ffd166"
TICK_IN = 0.08
WIDTH_IN, GAP_IN = 16.0, 0.18
LEGEND_POINTS = 11.5
LEGEND_ROW_IN = 0.27
"""Height of one row of the legend."""
DOUBT_ROW_IN, LINE_LETTERS, MOST_DOUBT_LINES = 0.22, 170, 4
"""Height of a line of doubts, how many letters of that size go into the picture's width, how many lines."""


def mark_edges(axes: Axes, view: View) -> None:
    """Write the letters of the directions at the four edges of a view."""
    places = (
        (0.012, 0.5, "left", "center"),
        (0.988, 0.5, "right", "center"),
        (0.5, 0.985, "center", "top"),
        (0.5, 0.015, "center", "bottom"),
    )
    for letter, (x, y, horizontal, vertical) in zip(view.plane.letters, places, strict=True):
        text = axes.text(
            x,
            y,
            letter,
            color=TEXT,
            fontsize=13,
            fontweight="bold",
            ha=horizontal,
            va=vertical,
            transform=axes.transAxes,
        )
        text.set_path_effects([withStroke(linewidth=3, foreground=BACKGROUND)])


def mark_planes(axes: Axes, view: View, views: Sequence[View], mm_per_in: float) -> None:
    """Draw short ticks outside the edges where the other planes cut this one."""
    tick_mm = TICK_IN * mm_per_in
    height_mm, width_mm = view.size_mm
    down_axis = 1 if view.plane is Plane.AXIAL else 0
    for other in views:
        if other.plane is view.plane:
            continue
        if other.plane.axis == down_axis:
            at_mm = (view.row_of(other.index) + 0.5) * view.pixel_mm[0]
            marks = [((-tick_mm, 0), (at_mm, at_mm)), ((width_mm, width_mm + tick_mm), (at_mm, at_mm))]
        else:
            at_mm = (other.index - view.region.columns.start + 0.5) * view.pixel_mm[1]
            marks = [((at_mm, at_mm), (-tick_mm, 0)), ((at_mm, at_mm), (height_mm, height_mm + tick_mm))]
        for x_mm, y_mm in marks:
            axes.plot(x_mm, y_mm, color=TICK, linewidth=1.6, clip_on=False)


def scale_bar(axes: Axes, view: View) -> None:
    """Draw a bar of a round length, at most two fifths of a view's width."""
    height_mm, width_mm = view.size_mm
    length_mm = next(
        length for length in (100.0, 50.0, 20.0, 10.0, 5.0) if length < width_mm * 0.4 or length == 5.0
    )
    left_mm, y_mm = 0.035 * width_mm, 0.955 * height_mm
    axes.plot((left_mm, left_mm + length_mm), (y_mm, y_mm), color=TEXT, linewidth=3, solid_capstyle="butt")
    label = f"{length_mm / 10:g} cm"
    axes.text(
        left_mm + length_mm / 2,
        y_mm - 0.015 * height_mm,
        label,
        color=TEXT,
        fontsize=11,
        ha="center",
        va="bottom",
    )


def write_title(figure: Figure, scene: Scene, height_in: float) -> None:
    """Write the title of a picture, and its size, spacing and window below."""
    left = GAP_IN / WIDTH_IN
    figure.text(
        left,
        1 - 0.2 / height_in,
        scene.title,
        color=TEXT,
        fontsize=17,
        fontweight="bold",
        ha="left",
        va="top",
    )
    spacing = " × ".join(f"{size:.3g}" for size in reversed(scene.spacing_zyx_mm))
    size = " × ".join(str(count) for count in reversed(scene.labels.shape))
    line = f"{size} voxels of {spacing} mm   ·   window {WINDOW_LEVEL_HU:g}/{WINDOW_WIDTH_HU:g} HU"
    figure.text(left, 1 - 0.53 / height_in, line, color=FAINT, fontsize=11, ha="left", va="top")


def doubt_lines(doubts: Sequence[str]) -> list[str]:
    """Doubts as lines that fit into a picture's width, at most `MOST_DOUBT_LINES`; what is cut ends in …."""
    return wrap(
        f"Look before you trust it: {'; '.join(doubts)}" if doubts else "",
        LINE_LETTERS,
        max_lines=MOST_DOUBT_LINES,
        placeholder=" …",
    )


def write_doubts(figure: Figure, lines: Sequence[str], height_in: float) -> None:
    """Write what is doubtful in red below the title."""
    for row, line in enumerate(lines):
        y = 1 - (0.79 + row * DOUBT_ROW_IN) / height_in
        text = figure.text(GAP_IN / WIDTH_IN, y, line, color=DOUBT, fontsize=11, ha="left", va="top")
        text.set_parse_math(False)


def write_foot(figure: Figure, scene: Scene, height_in: float) -> None:
    """Write at the bottom what the picture is not for, whose labels it shows, and what `≥` in it means."""
    said = ["Not for clinical use"]
    if scene.maker:
        said.append(f"labels by {scene.maker}")
    if scene.truth is None and scene.at_edge:
        said.append("≥ reaches the edge of the scan, which may cut off some of it")
    line = "   ·   ".join(said)
    text = figure.text(
        GAP_IN / WIDTH_IN, 0.11 / height_in, line, color=FAINT, fontsize=10, ha="left", va="bottom"
    )
    text.set_parse_math(False)


def volume_text(volume_ml: float) -> str:
    """A volume in whole millilitres, small ones to a tenth.

    >>> [volume_text(volume_ml) for volume_ml in (1438.4, 28.49, 3.94, 0.02)]
    ['1438 mL', '28 mL', '3.9 mL', '< 0.1 mL']
    """
    return f"{volume_ml:.0f} mL" if volume_ml >= 10 else f"{ml_in_words(volume_ml)} mL"


def draw_legend(figure: Figure, scene: Scene, left: float, top: float) -> None:
    """List the structures of the picture, with their Dice coefficient where there is a truth, else volume.

    Of a structure that the truth does not hold, `+2 mL` says how much was labelled. Without a truth, a lesion
    is a possible one, and `≥ 711 mL` is the volume of what the scan's edge may cut off.
    """
    scores = (
        {} if scene.truth is None else dice_per_label(scene.labels, scene.truth, scene.label_set.ids.values())
    )
    handles: list[Patch | Line2D] = []
    colours, voxel_ml = colours_of(scene.label_set), float(np.prod(scene.spacing_zyx_mm)) / 1000
    for name in scene.present:
        colour, label = colours[name], scene.label_set.ids[name]
        volume = volume_text(np.count_nonzero(scene.labels == label) * voxel_ml)
        if scene.truth is None:
            cut_off = label in scene.at_edge and not volume.startswith("<")
            called = possible(name) if name in scene.label_set.lesions else name
            text = f"{called}  {'≥ ' if cut_off else ''}{volume}"
        elif not np.any(scene.truth == label):
            text = f"+{volume}  {name}"
        else:
            text = f"{scores[label]:.2f}  {name}"
        handles.append(Patch(facecolor=(*to_rgb(colour), 0.6), edgecolor=colour, linewidth=1.5, label=text))
    if scene.truth is not None:
        handles.append(
            Line2D(
                [], [], color=TRUTH_COLOUR, linewidth=1.4, linestyle=(0, (3.0, 2.0)), label=scene.truth_name
            )
        )
    legend = figure.legend(
        handles=handles,
        title="Structures" if scene.truth is None else f"DSC with the {scene.truth_name}",
        loc="upper left",
        bbox_to_anchor=(left, top + 0.012),
        frameon=False,
        labelcolor=TEXT,
        fontsize=LEGEND_POINTS,
        title_fontsize=LEGEND_POINTS,
        handlelength=1.3,
        handleheight=1.1,
        labelspacing=LEGEND_ROW_IN * 72 / LEGEND_POINTS - 1.1,
        alignment="left",
        borderaxespad=0,
    )
    legend.get_title().set_color(FAINT)
