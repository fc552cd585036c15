"""Planes through a body that show most of its structures, oriented as radiologists expect them.

Volumes are (z, y, x) in canonical LPS order: z grows towards the head, y towards the back, x towards the
patient's left. A plane is a picture whose first row is on top:

    axial       rows front to back, columns patient's right to left     A on top,  R on the left
    coronal     rows head to feet,  columns patient's right to left     H on top,  R on the left
    sagittal    rows head to feet,  columns front to back               H on top,  A on the left
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
import SimpleITK as sitk

from model.arrays import U8, Mask, Voxels, ZyxMm

AIR_HU = -500.0


class Plane(Enum):
    """An anatomical plane: the array axis that it cuts, and the letters of its four edges."""

    AXIAL = (0, "RLAP")
    CORONAL = (1, "RLHF")
    SAGITTAL = (2, "APHF")

    @property
    def axis(self) -> int:
        """Array axis at right angles to the plane."""
        return self.value[0]

    @property
    def letters(self) -> str:
        """Letters of the left, right, top and bottom edge."""
        return self.value[1]

    @property
    def title(self) -> str:
        """Name as a heading."""
        return self.name.capitalize()


@dataclass(frozen=True, kw_only=True)
class Region:
    """The part of a plane that is shown, in rows and columns of the picture."""

    rows: slice
    columns: slice


def canonical(image: sitk.Image) -> sitk.Image:
    """The image with its axes permuted and flipped to LPS.

    Nothing is interpolated, an oblique image stays oblique.
    """
    return sitk.DICOMOrient(image, "LPS")


def cut(volume: Voxels, plane: Plane, index: int) -> Voxels:
    """The picture of one plane, shape (rows, columns)."""
    picture: Voxels = np.take(volume, index, axis=plane.axis)
    return picture if plane is Plane.AXIAL else picture[::-1]


def pixel_mm(plane: Plane, spacing_zyx_mm: ZyxMm) -> tuple[float, float]:
    """Height and width of a plane's pixels in mm."""
    height, width = (size for axis, size in enumerate(spacing_zyx_mm) if axis != plane.axis)
    return height, width


def most_informative(labels: U8, plane: Plane) -> int:
    """Index of the plane that shows the most structures at their largest; the middle one without labels.

    Each structure counts with its area in the plane as a share of its largest area in any such plane, so that
    small organs count as much as the liver.
    """
    others = tuple(axis for axis in range(3) if axis != plane.axis)
    scores = np.zeros(labels.shape[plane.axis])
    for label in np.unique(labels[labels > 0]):
        areas = np.count_nonzero(labels == label, axis=others)
        scores += areas / areas.max()
    return int(np.argmax(scores)) if scores.any() else labels.shape[plane.axis] // 2


def body_region(picture_hu: Voxels, labelled: Mask, margin: int = 4) -> Region:
    """The smallest part of a plane that holds the body (above −500 HU) and all labels; all of it without any.

    Args:
        picture_hu: the plane, in HU.
        labelled: True where there is a label; of the same shape.
        margin: pixels that are added on each side.
    """
    inside = _mostly(picture_hu > AIR_HU) | labelled
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if rows.size == 0:
        return Region(rows=slice(0, inside.shape[0]), columns=slice(0, inside.shape[1]))
    height, width = inside.shape
    return Region(
        rows=slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, height)),
        columns=slice(max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, width)),
    )


def _mostly(body: Mask) -> Mask:
    """A mask without the rows and columns in which it is nearly empty, as of the table, tubes and noise."""
    busy_rows = body.mean(axis=1, keepdims=True) > 0.06
    busy_columns = body.mean(axis=0, keepdims=True) > 0.06
    return np.asarray(body & busy_rows & busy_columns)
