"""A picture of a CT with its labels in three planes, for a look, a talk or a paper.

The CT is drawn in the soft-tissue window, structures as transparent overlays with a contour of the same
colour, and the truth, if given, as a dashed white contour. The patient's right is on the left; proportions
are physical, with one scale for all three planes. A stack too thin to be seen from the front is drawn as
axial slices.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage

from eval.pictures.lettering import (
    BACKGROUND,
    DOUBT_ROW_IN,
    FAINT,
    GAP_IN,
    LEGEND_ROW_IN,
    TRUTH_COLOUR,
    WIDTH_IN,
    WINDOW_LEVEL_HU,
    WINDOW_WIDTH_HU,
    doubt_lines,
    draw_legend,
    mark_edges,
    mark_planes,
    scale_bar,
    write_doubts,
    write_foot,
    write_title,
)
from eval.pictures.scene import Scene, View, views_of
from model.arrays import F64, Mask
from model.colours import colours_of

SOFTNESS = 0.4
"""Standard deviation of the smoothing of outlines, in pixels along their coarser side."""
FINE_MM = 0.7
"""Contours are drawn on pixels of about this size, so that coarse voxels do not look like stairs."""
LEGEND_IN, TITLE_IN, FOOT_IN = 3.0, 1.12, 0.45
DPI = 150


def draw(scene: Scene, path: Path) -> None:
    """Draw a scene into a file, in the format of its suffix: .png, .pdf or .svg."""
    views = views_of(scene)
    room_in = WIDTH_IN - LEGEND_IN - 4 * GAP_IN
    mm_per_in = sum(view.size_mm[1] for view in views) / room_in
    tallest_in = max(view.size_mm[0] for view in views) / mm_per_in
    # The legend has a title, a row for each structure, and one for the truth.
    legend_in = LEGEND_ROW_IN * (len(scene.present) + 2)
    doubts = doubt_lines(scene.doubts)
    title_in = TITLE_IN + DOUBT_ROW_IN * len(doubts)
    height_in = title_in + max(tallest_in, legend_in) + FOOT_IN
    figure = Figure(figsize=(WIDTH_IN, height_in), facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    left_in = GAP_IN
    for view in views:
        view_height_in, view_width_in = (size / mm_per_in for size in view.size_mm)
        box = (
            left_in / WIDTH_IN,
            (height_in - title_in - view_height_in) / height_in,
            view_width_in / WIDTH_IN,
            view_height_in / height_in,
        )
        _draw_view(figure.add_axes(box), scene, view, views, mm_per_in)
        left_in += view_width_in + GAP_IN
    write_title(figure, scene, height_in)
    write_doubts(figure, doubts, height_in)
    write_foot(figure, scene, height_in)
    draw_legend(figure, scene, left_in / WIDTH_IN, 1 - title_in / height_in)
    figure.savefig(path, dpi=DPI, facecolor=BACKGROUND, format=path.suffix.lstrip(".").lower())


def _draw_view(axes: Axes, scene: Scene, view: View, views: Sequence[View], mm_per_in: float) -> None:
    height_mm, width_mm = view.size_mm
    low = WINDOW_LEVEL_HU - WINDOW_WIDTH_HU / 2
    axes.imshow(
        view.of(scene.ct_hu),
        cmap="gray",
        vmin=low,
        vmax=low + WINDOW_WIDTH_HU,
        extent=(0, width_mm, height_mm, 0),
        interpolation="bicubic",
    )
    picture = view.of(scene.labels)
    truth = None if scene.truth is None else view.of(scene.truth)
    for name, colour in colours_of(scene.label_set).items():
        label = scene.label_set.ids[name]
        _overlay(axes, picture == label, view, colour)
        if truth is not None:
            _outline(axes, truth == label, view)
    axes.set(xlim=(0, width_mm), ylim=(height_mm, 0), aspect="equal")
    axes.set_axis_off()
    mark_edges(axes, view)
    mark_planes(axes, view, views, mm_per_in)
    position = f"{view.plane.title}  ·  {view.index + 1}/{scene.labels.shape[view.plane.axis]}"
    heading = axes.annotate(
        position, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", ha="left", va="bottom"
    )
    heading.set(color=FAINT, fontsize=11)
    if view is views[0]:
        scale_bar(axes, view)


def _overlay(axes: Axes, mask: Mask, view: View, colour: str) -> None:
    if not mask.any():
        return
    x_mm, y_mm, soft = _smooth(mask, view.pixel_mm)
    axes.contourf(x_mm, y_mm, soft, levels=[0.5, 2.0], colors=[colour], alpha=0.42, antialiased=True)
    axes.contour(x_mm, y_mm, soft, levels=[0.5], colors=[colour], linewidths=1.5)


def _outline(axes: Axes, mask: Mask, view: View) -> None:
    if mask.any():
        x_mm, y_mm, soft = _smooth(mask, view.pixel_mm)
        axes.contour(
            x_mm,
            y_mm,
            soft,
            levels=[0.5],
            colors=[TRUTH_COLOUR],
            linewidths=1.2,
            linestyles=[(0, (3.0, 2.0))],
        )


def _smooth(mask: Mask, size_mm: tuple[float, float]) -> tuple[F64, F64, F64]:
    """Pixel centres in mm (x, y) and a smoothed mask on pixels of about `FINE_MM`; its outline is at 0.5."""
    padded = np.pad(mask.astype(np.float64), 1)
    factors = tuple(max(1, round(size / FINE_MM)) for size in size_mm)
    soft = ndimage.zoom(padded, factors, order=1, grid_mode=True, mode="grid-constant")
    fine_mm = [size / factor for size, factor in zip(size_mm, factors, strict=True)]
    soft = ndimage.gaussian_filter(soft, [SOFTNESS * max(size_mm) / fine for fine in fine_mm])
    y_mm, x_mm = (
        (np.arange(count) + 0.5) * fine - size
        for count, fine, size in zip(soft.shape, fine_mm, size_mm, strict=True)
    )
    return x_mm, y_mm, soft
