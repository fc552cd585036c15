"""A body's map that structures are added to, before the body is deformed.

What is added moves as the organs do, and does not depend on what a scan shows. Points are voxels (z, y, x) on
the map's grid, z counted from the lowest of `Additions.levels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.phantom.bodies.body import STEPS_PER_MM, Body
from training.phantom.frame import FloatArray
from training.phantom.shapes import curve

_LEVELS_MM = (-135.0, 80.0)
"""Canonical heights between which all of it lies; 0 is the middle of the first lumbar vertebra."""
_WAY_STEP_MM = 1.0

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """A great vessel, slice by slice, in voxels."""

    z: Points
    y: Points
    x: Points
    front: Points
    """y of its front wall."""
    back: Points

    def at(self, z: float | Points, side: str = "y") -> Points:
        """Its middle (..., 3) in slices, or that of its wall in `front` or at the `back`."""
        z = np.asarray(z, dtype=np.float64)
        return np.stack([z, np.interp(z, self.z, getattr(self, side)), np.interp(z, self.z, self.x)], axis=-1)


class Additions:
    """A map between `_LEVELS_MM` that is being added to, and what is asked of it."""

    def __init__(self, body: Body) -> None:
        self.body, self.spacing = body, np.asarray(body.spacing_zyx_mm)
        self._boxes = ndimage.find_objects(body.labels)
        count = body.labels.shape[0]
        low, high = (body.origin_zyx[0] + mm / self.spacing[0] for mm in _LEVELS_MM)
        self.levels = slice(int(np.clip(round(low), 0, count)), int(np.clip(round(high), 0, count)))
        self.labels = body.labels[self.levels].copy()
        self._added_mm: FloatArray = np.zeros(self.labels.shape, dtype=np.float32)
        """How deep a voxel lies in what was added."""

    def applied(self) -> Body:
        """The body with what was added; the one before is left as it was."""
        labels, depth = self.body.labels.copy(), self.body.depth.copy()
        added = np.clip(np.rint(self._added_mm * STEPS_PER_MM), 0, 255).astype(np.uint8)
        of_before = self.labels == labels[self.levels]
        depth[self.levels] = np.where(of_before, np.maximum(depth[self.levels], added), added)
        labels[self.levels] = self.labels
        return replace(self.body, labels=labels, depth=depth)

    def z_of(self, height_mm: float | Points) -> Points:
        """Slices at canonical heights."""
        return np.asarray(
            self.body.origin_zyx[0] + np.asarray(height_mm) / self.spacing[0] - self.levels.start
        )

    def heights_mm(self, slices: slice) -> Points:
        """Canonical heights of slices."""
        z = np.arange(slices.start, slices.stop) + self.levels.start - self.body.origin_zyx[0]
        return np.asarray(z * self.spacing[0])

    def mm(self, z: float, y: float, x: float) -> Points:
        """A step in mm, in voxels."""
        return np.asarray(np.array([z, y, x]) / self.spacing)

    def voxels(self, structure: str) -> npt.NDArray[np.intp]:
        """All voxels (n, 3) of a structure, also above and below `levels`; none where it is not there."""
        own = self.body.ids.get(structure, 0)
        box = self._boxes[own - 1] if 0 < own <= len(self._boxes) else None
        if box is None:
            return np.empty((0, 3), dtype=np.intp)
        start = np.array([s.start for s in box]) - [self.levels.start, 0, 0]
        return np.asarray(np.argwhere(self.body.labels[box] == own) + start)

    def course(self, structure: str) -> Course | None:
        """A vessel within `levels`, None where less than two slices of it are in the map."""
        voxels = self.voxels(structure)
        rows = []
        for z in np.unique(voxels[:, 0]):
            if 0 <= z < len(self.labels):
                _, y, x = voxels[voxels[:, 0] == z].T
                rows.append((z, y.mean(), x.mean(), y.min(), y.max()))
        return Course(*np.array(rows, dtype=float).T) if len(rows) > 1 else None

    def way(self, points: Sequence[Points]) -> Points:
        """Points (n, 3) about a millimetre apart, smoothly through some."""
        return np.asarray(curve(np.stack(points) * self.spacing, _WAY_STEP_MM) / self.spacing)

    def lay_tube(
        self, structure: str, way: Points, radius_mm: float | Points, yields: Sequence[str] = ()
    ) -> None:
        """Lay a tube of spheres along a way (n, 3) through fat.

        Args:
            structure: what the tube is; it is crossed where it is there already.
            way: middles of the spheres; those beyond the map are left out.
            radius_mm: of each sphere (n,), or of all.
            yields: starts of the names of structures that give way as fat does.
        """
        own = self.body.ids[structure]
        gives_way = np.isin(np.arange(256), [0, own, *self.body.of(*yields)])
        for middle, radius in zip(way, np.broadcast_to(radius_mm, len(way)), strict=True):
            low = np.maximum(np.floor(middle - radius / self.spacing).astype(int), 0)
            high = np.minimum(np.ceil(middle + radius / self.spacing).astype(int) + 1, self.labels.shape)
            if (low >= high).any():
                continue
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            away_mm = [(a - m) * mm for a, m, mm in zip(np.ogrid[box], middle, self.spacing, strict=True)]
            distance_mm = np.sqrt(sum(mm**2 for mm in away_mm))
            tube = (distance_mm <= radius) & gives_way[self.labels[box]]
            self.labels[box][tube] = own
            self._added_mm[box][tube] = np.maximum(self._added_mm[box][tube], radius - distance_mm[tube])

    def lay_sheet(
        self,
        structure: str,
        box: tuple[slice, ...],
        beside: npt.NDArray[np.bool_],
        thick_mm: npt.NDArray[np.floating],
    ) -> None:
        """Fill fat within a box up to some thickness from what is `beside`."""
        away_mm = ndimage.distance_transform_edt(~beside, sampling=self.spacing) - self.spacing.min() / 2
        sheet = (self.labels[box] == 0) & (away_mm < thick_mm)
        self.labels[box][sheet] = self.body.ids[structure]
        self._added_mm[box][sheet] = np.minimum(away_mm, thick_mm - away_mm)[sheet]
