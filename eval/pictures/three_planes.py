"""A CT with its labels in three planes, for a look, a talk or a paper.

CT in the soft-tissue window, organs as transparent overlays with a contour of the same colour, the truth, if
given, as a dashed white contour; patient's right on the left, physical proportions, one scale for all three
planes. A stack too thin to be seen from the front is drawn as axial slices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from scipy import ndimage

from eval.pictures.colours import colours_of
from eval.pictures.planes import Plane, Region, body_region, cut, most_informative, pixel_mm
from eval.scoring.metrics import dice_per_label
from model.arrays import F64, U8, Mask, Voxels, ZyxMm
from model.labels import LabelSet

WINDOW_LEVEL_HU, WINDOW_WIDTH_HU = 40.0, 400.0
BACKGROUND, TEXT, FAINT = "#0b0d10", "#eceff3", "#9aa4b2"
TRUTH_COLOUR, TICK = "#ffffff", "#ffd166"
TICK_IN = 0.08
FLAT = 0.15
"""A coronal view lower than this share of its width shows next to nothing."""
MOST_VIEWS = 3
SOFTNESS = 0.4
"""Standard deviation of the smoothing of outlines, in voxels along the coarser side of a pixel."""
FINE_MM = 0.7
"""Contours are drawn on pixels about this small, so that coarse voxels do not show as stairs."""
WIDTH_IN, LEGEND_IN, TITLE_IN, FOOT_IN, GAP_IN = 16.0, 2.6, 1.12, 0.3, 0.18
DPI = 150
LEGEND_POINTS = 11.5
LEGEND_ROW_IN = 0.27
"""Height of one row of the legend."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What is drawn; all arrays (z, y, x) in canonical LPS order and of one shape."""

    ct_hu: Voxels
    labels: U8
    spacing_zyx_mm: ZyxMm
    label_set: LabelSet
    title: str
    truth: U8 | None = None


@dataclass(frozen=True, kw_only=True)
class _View:
    """One plane of a scene, cut to the body."""

    plane: Plane
    index: int
    region: Region
    pixel_mm: tuple[float, float]
    shape_zyx: tuple[int, ...]

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        rows, columns = self.region.rows, self.region.columns
        return (rows.stop - rows.start) * self.pixel_mm[0], (columns.stop - columns.start) * self.pixel_mm[1]

    def of(self, volume: Voxels) -> Voxels:
        """This view of a volume of the scene."""
        return cut(volume, self.plane, self.index)[self.region.rows, self.region.columns]

    def row_of(self, index: int) -> int:
        """Row of the picture that shows an index of the array axis which runs down it: y, or z from the head down."""
        first: int = self.region.rows.start
        return (index if self.plane is Plane.AXIAL else self.shape_zyx[0] - 1 - index) - first


def draw(scene: Scene, path: Path) -> None:
    """Draw a scene into a file; its suffix says which format (png, pdf, svg)."""
    views = _views(scene)
    room_in = WIDTH_IN - LEGEND_IN - 4 * GAP_IN
    mm_per_in = sum(view.size_mm[1] for view in views) / room_in
    tallest_in = max(view.size_mm[0] for view in views) / mm_per_in
    # Title and rows of the legend: every structure, and the truth.
    legend_in = LEGEND_ROW_IN * (len(scene.label_set.ids) + 2)
    height_in = TITLE_IN + max(tallest_in, legend_in) + FOOT_IN
    figure = Figure(figsize=(WIDTH_IN, height_in), facecolor=BACKGROUND)
    FigureCanvasAgg(figure)
    left_in = GAP_IN
    for view in views:
        view_height_in, view_width_in = (size / mm_per_in for size in view.size_mm)
        box = (
            left_in / WIDTH_IN,
            (height_in - TITLE_IN - view_height_in) / height_in,
            view_width_in / WIDTH_IN,
            view_height_in / height_in,
        )
        _draw_view(figure.add_axes(box), scene, view, views, mm_per_in)
        left_in += view_width_in + GAP_IN
    _write_title(figure, scene, height_in)
    _draw_legend(figure, scene, left_in / WIDTH_IN, 1 - TITLE_IN / height_in)
    figure.savefig(path, dpi=DPI, facecolor=BACKGROUND, format=path.suffix.lstrip(".").lower())


def _views(scene: Scene) -> list[_View]:
    """The three planes where most structures show.

    Of a flat stack the first, the middle and the last slice with labels.
    """
    guide = scene.labels if scene.truth is None or scene.labels.any() else scene.truth
    views = [_view(scene, plane, most_informative(guide, plane)) for plane in Plane]
    height_mm, width_mm = next(view for view in views if view.plane is Plane.CORONAL).size_mm
    if height_mm >= FLAT * width_mm:
        return views
    labelled = np.flatnonzero(guide.any(axis=(1, 2))) if guide.any() else np.arange(guide.shape[0])
    slices = np.unique(np.linspace(labelled[0], labelled[-1], MOST_VIEWS).round().astype(int))
    return [_view(scene, Plane.AXIAL, int(index)) for index in slices]


def _view(scene: Scene, plane: Plane, index: int) -> _View:
    labelled = cut(scene.labels, plane, index) > 0
    if scene.truth is not None:
        labelled = labelled | (cut(scene.truth, plane, index) > 0)
    region = body_region(cut(scene.ct_hu, plane, index), labelled)
    size_mm = pixel_mm(plane, scene.spacing_zyx_mm)
    return _View(plane=plane, index=index, region=region, pixel_mm=size_mm, shape_zyx=scene.labels.shape)


def _draw_view(axes: Axes, scene: Scene, view: _View, views: Sequence[_View], mm_per_in: float) -> None:
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
    _mark_edges(axes, view)
    _mark_planes(axes, view, views, mm_per_in)
    position = f"{view.plane.title}  ·  {view.index + 1}/{scene.labels.shape[view.plane.axis]}"
    heading = axes.annotate(
        position, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points", ha="left", va="bottom"
    )
    heading.set(color=FAINT, fontsize=11)
    if view is views[0]:
        _scale_bar(axes, view)


def _overlay(axes: Axes, mask: Mask, view: _View, colour: str) -> None:
    if not mask.any():
        return
    x_mm, y_mm, soft = _smooth(mask, view.pixel_mm)
    axes.contourf(x_mm, y_mm, soft, levels=[0.5, 2.0], colors=[colour], alpha=0.42, antialiased=True)
    axes.contour(x_mm, y_mm, soft, levels=[0.5], colors=[colour], linewidths=1.5)


def _outline(axes: Axes, mask: Mask, view: _View) -> None:
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
    """Pixel centres in mm and a soft mask whose half-height line is the outline, on pixels of about `FINE_MM`."""
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


def _mark_edges(axes: Axes, view: _View) -> None:
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


def _mark_planes(axes: Axes, view: _View, views: Sequence[_View], mm_per_in: float) -> None:
    """Short ticks outside the edges where the other planes cut this one."""
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


def _scale_bar(axes: Axes, view: _View) -> None:
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


def _write_title(figure: Figure, scene: Scene, height_in: float) -> None:
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


def _draw_legend(figure: Figure, scene: Scene, left: float, top: float) -> None:
    shown = [scene.labels] if scene.truth is None else [scene.labels, scene.truth]
    present = [
        name
        for name, label in scene.label_set.ids.items()
        if any(np.any(volume == label) for volume in shown)
    ]
    scores = (
        {} if scene.truth is None else dice_per_label(scene.labels, scene.truth, scene.label_set.ids.values())
    )
    handles: list[Patch | Line2D] = []
    colours = colours_of(scene.label_set)
    for name in present:
        colour = colours[name]
        score = scores.get(scene.label_set.ids[name])
        text = name if score is None else f"{score:.2f}  {name}"
        handles.append(Patch(facecolor=(*to_rgb(colour), 0.6), edgecolor=colour, linewidth=1.5, label=text))
    if scene.truth is not None:
        handles.append(
            Line2D([], [], color=TRUTH_COLOUR, linewidth=1.4, linestyle=(0, (3.0, 2.0)), label="truth")
        )
    legend = figure.legend(
        handles=handles,
        title="DSC of the prediction" if scene.truth is not None else "structures",
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
