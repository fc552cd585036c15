"""Canonical orientation: array axes z towards superior, y towards posterior, x towards the patient's left.

Only whole axes are permuted and flipped, which loses nothing; what is oblique stays in the direction matrix.

A scan stored with rows running to the left, columns to anterior and slices to superior ("LAS") becomes
canonical by turning its y axis around: `Orientation(axes=(0, 1, 2), flipped=(False, True, False))`.
"""

from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.geometry import Geometry, as_direction

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """How a stored array (z, y, x of the file) becomes canonical.

    Both methods return views. Voxel `[a, b, c]` of the canonical array is found by turning round the flipped
    canonical axes and reading canonical axis `n` along stored axis `axes[n]`.
    """

    axes: tuple[int, int, int]
    """Stored array axis that becomes canonical z, y, x."""
    flipped: tuple[bool, bool, bool]
    """Whether canonical z, y, x run against the stored axis."""

    def apply(self, array: NDArray[T]) -> NDArray[T]:
        """Stored → canonical; a view."""
        return array.transpose(self.axes)[self._turn]

    def undo(self, array: NDArray[T]) -> NDArray[T]:
        """Canonical → stored; a view."""
        return array[self._turn].transpose(np.argsort(self.axes))

    @property
    def _turn(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flipped)


AS_IT_IS = Orientation(axes=(0, 1, 2), flipped=(False, False, False))
"""What turns nothing."""
OF_RAS = Orientation(axes=(0, 1, 2), flipped=(False, True, True))
"""What turns S, A, R (nibabel's RAS, its axes in the order z, y, x) to canonical, and canonical to that."""


def orientation_of(geometry: Geometry) -> Orientation:
    """The permutation and flips that bring a grid's axes closest to canonical LPS.

    Closest: of the six permutations the one with the largest sum of |cosines|; ties go to the fewest moved
        axes.
    """
    cosines = geometry.matrix[::-1, ::-1]  # [world z, y, x][array z, y, x]
    z, y, x = max(
        permutations(range(3)),
        key=lambda axes: round(sum(abs(cosines[world, axis]) for world, axis in enumerate(axes)), 9),
    )
    return Orientation(
        axes=(z, y, x), flipped=(bool(cosines[0, z] < 0), bool(cosines[1, y] < 0), bool(cosines[2, x] < 0))
    )


def orient(geometry: Geometry, orientation: Orientation) -> Geometry:
    """The grid of `orientation.apply(array)`: the same voxels at the same places in the world."""
    corner = [0, 0, 0]
    columns = []
    for axis, flip in zip(orientation.axes, orientation.flipped, strict=True):
        corner[axis] = geometry.size_zyx[axis] - 1 if flip else 0
        columns.append(geometry.matrix[:, 2 - axis] * (-1 if flip else 1))
    z, y, x = orientation.axes
    size, spacing = geometry.size_zyx, geometry.spacing_zyx_mm
    at_x, at_y, at_z = (float(value) for value in geometry.to_world(corner))
    return Geometry(
        size_zyx=(size[z], size[y], size[x]),
        spacing_zyx_mm=(spacing[z], spacing[y], spacing[x]),
        origin_xyz_mm=(at_x, at_y, at_z),
        direction=as_direction(np.stack(columns[::-1], axis=1)),
    )
