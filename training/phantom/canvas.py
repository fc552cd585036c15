"""Painting coarse distance fields onto the voxels of the scan.

A field is drawn on the coarse grid and interpolated to the voxels; a signed distance is smooth, so an organ's
surface stays sharp and lies where it should to a fraction of a voxel. Each paint mixes its HU with what is
there by the share of the voxel that it fills (partial volume), judged with the voxel's extent along the
surface normal: thick slices blur slanted surfaces as a scanner does. Arrays are (z, y, x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.phantom.frame import FloatArray, Frame, Region, Slices, resample
from training.phantom.shapes import gradient_norm, smooth_max

_CHUNK_VOXELS = 400_000


@dataclass(frozen=True)
class Field:
    """Signed distance in mm on a region of the coarse grid."""

    region: Region
    distance: FloatArray


def overlap(a: Region, b: Region) -> tuple[Slices, Slices] | None:
    """The common box of two regions of one grid, as slices into each; None where they do not meet."""
    own: list[slice] = []
    other: list[slice] = []
    for first, second in zip(a.slices, b.slices, strict=True):
        low, high = max(first.start, second.start), min(first.stop, second.stop)
        if low >= high:
            return None
        own.append(slice(low - first.start, high - first.start))
        other.append(slice(low - second.start, high - second.start))
    return (own[0], own[1], own[2]), (other[0], other[1], other[2])


def carve(field: Field, obstacle: Field, gap_mm: float | FloatArray, seam_mm: float = 5.0) -> Field:
    """A field that keeps a gap (a number, or an array on its region) from another one.

    The edge is rounded over `seam_mm`.
    """
    boxes = overlap(field.region, obstacle.region)
    if boxes is None:
        return field
    own, other = boxes
    distance = field.distance.copy()
    gap = gap_mm[own] if isinstance(gap_mm, np.ndarray) else np.float32(gap_mm)
    distance[own] = smooth_max(distance[own], gap - obstacle.distance[other], seam_mm)
    return Field(field.region, distance)


class Canvas:
    """Image (HU, float32) and labels (uint8) of one scan while it is drawn.

    `spacing_zyx_mm` is the voxel spacing, `blur_zyx_mm` the width over which the scanner averages, at least
    one voxel.
    """

    def __init__(
        self,
        *,
        frame: Frame,
        shape: tuple[int, int, int],
        spacing_zyx_mm: tuple[float, float, float],
        blur_zyx_mm: tuple[float, float, float],
        offset_zyx_mm: tuple[float, float, float],
    ) -> None:
        self.frame = frame
        self.image = np.full(shape, -1000.0, dtype=np.float32)
        self.labels = np.zeros(shape, dtype=np.uint8)
        self._blur = blur_zyx_mm
        self._positions = [
            (np.arange(n) * s + o) / frame.step_mm
            for n, s, o in zip(shape, spacing_zyx_mm, offset_zyx_mm, strict=True)
        ]

    @classmethod
    def over(cls, frame: Frame) -> Canvas:
        """A canvas whose voxels are the frame's own points, and as wide as its steps."""
        step = frame.step_mm
        return cls(
            frame=frame,
            shape=frame.shape,
            spacing_zyx_mm=(step, step, step),
            blur_zyx_mm=(step, step, step),
            offset_zyx_mm=(0.0, 0.0, 0.0),
        )

    def paint(
        self, field: Field, hu: float | FloatArray, *, label: int | None = None, within: int | None = None
    ) -> None:
        """Fill the inside of a field with `hu` (a number, or an array on the field's region).

        With `label`, the inside takes that label. With `within`, only voxels that have that label now are
        touched.
        """
        if field.region.empty:
            return
        share = _share(field, self._blur, self.frame.step_mm)
        box = _bounds(share)
        if box is None:
            return
        share = share[box]
        starts = [s.start + b.start for s, b in zip(field.region.slices, box, strict=True)]
        tissue = hu[box] if isinstance(hu, np.ndarray) else float(hu)
        targets, local = [], []
        for position, start, size in zip(self._positions, starts, share.shape, strict=True):
            inside = np.flatnonzero((position >= start) & (position <= start + size - 1))
            if inside.size == 0:
                return
            targets.append(slice(int(inside[0]), int(inside[-1]) + 1))
            local.append(position[inside] - start)
        per_plane = local[1].size * local[2].size
        chunk = max(1, _CHUNK_VOXELS // max(per_plane, 1))
        for begin in range(0, local[0].size, chunk):
            part = [local[0][begin : begin + chunk], local[1], local[2]]
            planes = slice(targets[0].start + begin, targets[0].start + begin + part[0].size)
            self._mix(
                resample(share, part), _sample(tissue, part), (planes, targets[1], targets[2]), label, within
            )

    def _mix(
        self,
        level: FloatArray,
        tissue: FloatArray | float,
        box: tuple[slice, slice, slice],
        label: int | None,
        within: int | None,
    ) -> None:
        """Blend one block: `level` is the signed distance in voxel extents, so 0.5.

        Level is the filled share.
        """
        image, labels = self.image[box], self.labels[box]
        inside = level < 0
        alpha = np.subtract(np.float32(0.5), level, out=level)
        np.clip(alpha, 0, 1, out=alpha)
        if within is not None:
            own = labels == within
            alpha *= own
            inside &= own
        image += alpha * (tissue - image)
        if label is not None:
            labels[inside] = label


def _sample(tissue: FloatArray | float, positions: list[FloatArray]) -> FloatArray | float:
    return resample(tissue, positions) if isinstance(tissue, np.ndarray) else tissue


def _share(field: Field, blur_zyx_mm: tuple[float, float, float], step_mm: float) -> FloatArray:
    """Distance divided by the voxel's extent along the surface normal, limited to ±2."""
    d = field.distance
    if min(d.shape) < 2:
        return np.asarray(np.clip(d / np.float32(min(blur_zyx_mm)), -2, 2))
    extent = gradient_norm(d, [width / step_mm for width in blur_zyx_mm])
    # A true distance stays within these bounds; kinks and steps of an approximate one must not smear its
    # tissue about.
    np.clip(extent, 0.3 * min(blur_zyx_mm), 1.3 * max(blur_zyx_mm), out=extent)
    return np.asarray(np.clip(d / extent, -2, 2))


def _bounds(share: FloatArray) -> tuple[slice, slice, slice] | None:
    """Smallest box, with one point of margin, in which anything is painted."""
    touched = share < 0.6
    slices = []
    for axis in range(3):
        hits = np.flatnonzero(touched.any(axis=tuple(i for i in range(3) if i != axis)))
        if hits.size == 0:
            return None
        slices.append(slice(max(0, int(hits[0]) - 1), min(share.shape[axis], int(hits[-1]) + 2)))
    return slices[0], slices[1], slices[2]
