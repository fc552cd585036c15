"""Scenes and their views: the content of a picture, and the planes that show most of it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eval.pictures.planes import Plane, Region, body_region, cut, most_informative, pixel_mm
from eval.scoring.metrics import label_boxes, labels_at_edge
from model.arrays import U8, Voxels, ZyxMm
from model.labels import LabelSet

FLAT = 0.15
"""A stack is drawn as axial slices if its coronal view is lower than this share of the view's width."""
MOST_VIEWS = 3
"""Largest number of axial slices."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Content of a picture; all arrays are (z, y, x) in canonical LPS order and of one shape."""

    ct_hu: Voxels
    """The CT in HU."""
    labels: U8
    """Predicted labels."""
    spacing_zyx_mm: ZyxMm
    """Voxel size."""
    label_set: LabelSet
    """Names of the labels."""
    title: str
    """Heading."""
    truth: U8 | None = None
    """True labels, if there are any."""
    truth_name: str = "truth"
    """What the legend calls them, where they are another program's labels and not the truth."""

    doubts: tuple[str, ...] = ()
    """What a reader should look at before the labels are trusted."""
    maker: str = ""
    """Name of the bundle that made the labels; empty where it is not known."""

    @cached_property
    def present(self) -> tuple[str, ...]:
        """The structures that the labels, or the truth, hold; found once, in passes over the whole volume."""
        shown = [self.labels] if self.truth is None else [self.labels, self.truth]
        return tuple(
            name
            for name, label in self.label_set.ids.items()
            if any(np.any(volume == label) for volume in shown)
        )

    @cached_property
    def at_edge(self) -> frozenset[int]:
        """Labels that reach the edge of the scan, which may cut off some of each."""
        return labels_at_edge(label_boxes(self.labels), self.labels.shape)


@dataclass(frozen=True, kw_only=True)
class View:
    """One plane of a scene, cut to the body."""

    plane: Plane
    """Orientation."""
    index: int
    """Index along the array axis that the plane cuts."""
    region: Region
    """Part of the plane that is shown."""
    pixel_mm: tuple[float, float]
    """Height and width of a pixel."""
    shape_zyx: tuple[int, ...]
    """Shape of the scene's arrays."""

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width of the view."""
        rows, columns = self.region.rows, self.region.columns
        return (rows.stop - rows.start) * self.pixel_mm[0], (columns.stop - columns.start) * self.pixel_mm[1]

    def of(self, volume: Voxels) -> Voxels:
        """The part of one of the scene's volumes that this view shows; shape (rows, columns)."""
        return cut(volume, self.plane, self.index)[self.region.rows, self.region.columns]

    def row_of(self, index: int) -> int:
        """Row of the picture for an index of the array axis that runs down it: y, or z from the head down."""
        first: int = self.region.rows.start
        return (index if self.plane is Plane.AXIAL else self.shape_zyx[0] - 1 - index) - first


def views_of(scene: Scene) -> list[View]:
    """The three planes that show the most structures.

    A flat stack gives its first, middle and last slice with labels instead.
    """
    guide = scene.labels if scene.truth is None or scene.labels.any() else scene.truth
    views = [_view(scene, plane, most_informative(guide, plane)) for plane in Plane]
    height_mm, width_mm = next(view for view in views if view.plane is Plane.CORONAL).size_mm
    if height_mm >= FLAT * width_mm:
        return views
    labelled = np.flatnonzero(guide.any(axis=(1, 2))) if guide.any() else np.arange(guide.shape[0])
    slices = np.unique(np.linspace(labelled[0], labelled[-1], MOST_VIEWS).round().astype(int))
    return [_view(scene, Plane.AXIAL, int(index)) for index in slices]


def _view(scene: Scene, plane: Plane, index: int) -> View:
    labelled = cut(scene.labels, plane, index) > 0
    if scene.truth is not None:
        labelled = labelled | (cut(scene.truth, plane, index) > 0)
    region = body_region(cut(scene.ct_hu, plane, index), labelled)
    size_mm = pixel_mm(plane, scene.spacing_zyx_mm)
    return View(plane=plane, index=index, region=region, pixel_mm=size_mm, shape_zyx=scene.labels.shape)
