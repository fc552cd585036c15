"""Region of interest: where a low-resolution network sees organs.

The members then look at this box only, which saves most of their windows on a large field of view (FLARE23
low-resource ensemble).
"""

from collections.abc import Callable, Iterable
from math import ceil, floor, prod
from typing import Literal

import cc3d
import numpy as np

from inference.geometry import Box, Geometry, box_of
from inference.restoration.winners import Rule
from inference.runtime.session import Session
from inference.sliding_window.groups import Group, Image, Pass
from inference.sliding_window.order import touched
from inference.threads import Threads
from model.arrays import F32, U8, Mask, ZyxMm
from model.labels import BACKGROUND
from model.manifest.network import Localization, Member
from model.manifest.tiling import Tiling

LEAST_SHARE = 0.1
"""Connected parts of less than this share of the largest one are taken for specks."""
AXES = "zyx"

OVERLAP = 0.25
"""Overlap of neighbouring windows, where the image is larger than one window."""

CUT_MM2 = 100.0
"""A structure that covers so much of a side of the region is cut off there; a speck is not."""
Side = tuple[int, Literal[0, 1]]
"""Axis of (z, y, x), and 0 for the side where a box starts, 1 for that where it stops."""

TWO_CLASSES = Rule(scores="probabilities", softmax=True, order=(0, 1))


def organ_mask(
    image: Image, localization: Localization, session: Callable[[], Session], threads: Threads
) -> Mask:
    """Where the localization network sees any organ; (z, y, x) on its grid.

    Args:
        image: on the localization grid.
        localization: the network's windows and axes.
        session: opens the network; its first channel is the background, or it has a single one for all
            organs.
        threads: work on slices.
    """
    member = Member(
        file=localization.file,
        spacing_zyx_mm=localization.spacing_zyx_mm,
        window_zyx=localization.window_zyx,
        axes=localization.axes,
        tiling=Tiling(overlap=OVERLAP),
    )
    once = Pass(member=member, image=image, session=lambda: _TwoChannels(session()))
    group = Group(passes=[once], channels=(BACKGROUND, "organs"), rule=TWO_CLASSES, threads=threads)
    return np.concatenate([slab[1] > slab[0] for slab in group.slabs(0, image.size_zyx[0])])


class _TwoChannels:
    """Logits of background and organs.

    A single channel gets a background of logit 0 beside it: their softmax is the single one's sigmoid.
    Several organs are united.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, window: F32) -> F32:
        logits = self._session.run(window)
        background, organs = (
            (logits[:, :1], logits[:, 1:]) if logits.shape[1] > 1 else (np.zeros_like(logits), logits)
        )
        return np.concatenate([background, np.logaddexp.reduce(organs, axis=1, keepdims=True)], axis=1)

    def close(self) -> None:
        self._session.close()


def without_specks(mask: Mask) -> Mask:
    """The connected parts of a mask (z, y, x) that are no specks."""
    parts = np.asarray(cc3d.connected_components(mask, connectivity=26, out_dtype=np.uint32))
    voxels = np.bincount(parts[mask], minlength=1)  # Of the background, nearly all of it, none are counted.
    return np.asarray((voxels >= max(1, LEAST_SHARE * voxels.max()))[parts], bool)


def bounding_box(mask: Mask) -> Box | None:
    """The smallest box around a mask (z, y, x); None where it is empty."""
    return box_of([np.asarray(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)])


def region_of_interest(organs: Mask, geometry: Geometry, localization: Localization) -> Box | None:
    """The box of voxels of an image that the members shall look at.

    None where nothing was found, or too little.

    Args:
        organs: (z, y, x) union of all organs, without specks, on the localization grid, which spans the image
            edge to edge.
        geometry: of the image.
        localization: how little is too little, how far the box reaches beyond the organs, and along which
            axes it is as long as the image.
    """
    found = bounding_box(organs)
    image_ml = geometry.voxel_ml * prod(geometry.size_zyx)
    if found is None or image_ml * np.count_nonzero(organs) / organs.size < localization.least_ml:
        return None
    start, stop = [], []
    for axis, (size, spacing) in enumerate(zip(geometry.size_zyx, geometry.spacing_zyx_mm, strict=True)):
        if AXES[axis] not in localization.crop_axes:
            start.append(0)
            stop.append(size)
            continue
        scale, margin = size / organs.shape[axis], localization.margin_mm / spacing
        start.append(max(0, floor(found.start_zyx[axis] * scale - margin)))
        stop.append(min(size, ceil(found.stop_zyx[axis] * scale + margin)))
    return Box(start_zyx=(start[0], start[1], start[2]), stop_zyx=(stop[0], stop[1], stop[2]))


def neighbourhood(organs: Mask, geometry: Geometry, box: Box, margin_mm: float) -> Mask:
    """Where within a box of the image organs may be: up to a margin from those found.

    Args:
        organs: (z, y, x) on the localization grid.
        geometry: of the image, canonical.
        box: of the image.
        margin_mm: rounded up to whole voxels of the localization grid.

    Returns:
        (z, y, x) on that grid, the part of it that the box touches.
    """
    near = organs.copy()
    for axis, (size, spacing, cells) in enumerate(
        zip(geometry.size_zyx, geometry.spacing_zyx_mm, organs.shape, strict=True)
    ):
        lines = np.moveaxis(near, axis, 0)
        reached = lines.copy()
        for step in range(1, min(cells, ceil(margin_mm / (size * spacing / cells)) + 1)):
            reached[step:] |= lines[:-step]
            reached[:-step] |= lines[step:]
        lines[...] = reached
    return near[tuple(touched(box.slices, geometry.size_zyx, organs.shape))]


def cut_structures(labels: U8, box: Box, within: Box, spacing_zyx_mm: ZyxMm) -> dict[Side, set[int]]:
    """Structures that go on where a box ends, by the side at which they do.

    Of an image 100 slices high, a box from slice 20 to the last: a liver in slice 20 is cut, one in slice 99
    is not, since there is no more of it to be seen.

    Args:
        labels: (z, y, x) on the image's grid, above 0 where there is a structure.
        box: what was looked at.
        within: what there is to look at: sides of `box` that lie on its sides are left out.
        spacing_zyx_mm: of the grid.

    Returns:
        Sides at which at least one structure covers `CUT_MM2`, and the labels of those that do.
    """
    cut: dict[Side, set[int]] = {}
    for axis in range(3):
        pixel_mm2 = prod(spacing_zyx_mm) / spacing_zyx_mm[axis]
        sides: tuple[tuple[Literal[0, 1], int, bool], ...] = (
            (0, box.start_zyx[axis], box.start_zyx[axis] > within.start_zyx[axis]),
            (1, box.stop_zyx[axis] - 1, box.stop_zyx[axis] < within.stop_zyx[axis]),
        )
        for end, index, inside in sides:
            if inside:
                covered = np.bincount(np.take(labels, index, axis).ravel(), minlength=256) * pixel_mm2
                if found := {int(label) for label in np.flatnonzero(covered >= CUT_MM2) if label}:
                    cut[axis, end] = found
    return cut


def grown(box: Box, sides: Iterable[Side], by_mm: float, within: Box, spacing_zyx_mm: ZyxMm) -> Box:
    """A box that reaches farther at some of its sides, but not beyond another box."""
    start, stop = list(box.start_zyx), list(box.stop_zyx)
    for axis, end in sides:
        more = ceil(by_mm / spacing_zyx_mm[axis])
        if end:
            stop[axis] = min(within.stop_zyx[axis], stop[axis] + more)
        else:
            start[axis] = max(within.start_zyx[axis], start[axis] - more)
    return Box(start_zyx=(start[0], start[1], start[2]), stop_zyx=(stop[0], stop[1], stop[2]))
