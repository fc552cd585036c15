"""Where voxels lie in the world, and boxes of voxels.

Arrays are (z, y, x). World coordinates are LPS millimetres: x towards the patient's left, y towards
posterior, z towards superior. `direction` is SimpleITK's: nine numbers, row after row, whose *columns* are
the world directions of the index axes x, y, z; so the centre of voxel (k, j, i) lies at `origin + direction @
(spacing_xyz * (i, j, k))`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from model.arrays import F64, Mask, Zyx, ZyxMm

Direction = tuple[float, float, float, float, float, float, float, float, float]

SAME_GRID_MM = 1e-2
"""How far corresponding corners of two images on one grid may lie apart."""
IDENTITY: Direction = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
ORTHONORMAL_WITHIN = 1e-4


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """The grid of one image.

    Raises:
        ValueError: a size below 1, a spacing that is not above 0, or a direction that is not orthonormal.
    """

    size_zyx: Zyx
    spacing_zyx_mm: ZyxMm
    origin_xyz_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """LPS position of the centre of voxel (0, 0, 0)."""
    direction: Direction = IDENTITY
    nifti_header: bytes | None = field(default=None, repr=False, compare=False)
    """The 348 bytes of the NIfTI file that the grid was read from, so that labels can be written with the
    very same fields."""

    def __post_init__(self) -> None:
        if min(self.size_zyx) < 1:
            raise ValueError(f"size_zyx: must be 1 or more, is {self.size_zyx}")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing_zyx_mm):
            raise ValueError(f"spacing_zyx_mm: must be above 0, is {self.spacing_zyx_mm}")
        if not np.isfinite(self.origin_xyz_mm).all():
            raise ValueError(f"origin_xyz_mm: must be finite, is {self.origin_xyz_mm}")
        if not skewness(self.matrix) <= ORTHONORMAL_WITHIN:
            raise ValueError(f"direction: must be orthonormal, is {self.direction}")

    @property
    def matrix(self) -> F64:
        """Direction as an array of shape (3, 3)."""
        return np.array(self.direction, np.float64).reshape(3, 3)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(np.prod(self.spacing_zyx_mm)) / 1000.0

    def to_world(self, index_zyx: ArrayLike) -> F64:
        """LPS position in mm (x, y, z) of a voxel index (z, y, x), which may be fractional.

        Shape (..., 3).
        """
        steps = np.asarray(index_zyx, np.float64)[..., ::-1] * np.array(self.spacing_zyx_mm)[::-1]
        return np.asarray(self.origin_xyz_mm + steps @ self.matrix.T, np.float64)


ON_A_VOXEL = 1e-9
"""Share of a voxel within which a position is taken for the voxel's centre."""


@dataclass(frozen=True)
class Line:
    """Where the voxels of one grid lie along an axis of another: voxel n at index `first + n * step`."""

    first: float
    step: float

    @property
    def inverse(self) -> "Line":
        """Where the voxels of the other grid lie along this one's axis."""
        return Line(-self.first / self.step, 1 / self.step)

    def positions(self, count: int) -> F64:
        """Where the first so many voxels lie; one that rounding alone keeps off a voxel lies on it.

        Three steps of two thirds are 2, not 2 + 2e-16, which would take a trace of the voxel behind it: where
        a scheme looks at voxels that are not 0, a trace counts.

        >>> Line(0.0, 2 / 3).positions(4).tolist()[3]
        2.0
        """
        exact = self.first + np.arange(count) * self.step
        near = np.rint(exact)
        return np.asarray(np.where(np.abs(exact - near) < ON_A_VOXEL, near, exact), np.float64)


Lines = tuple[Line | None, Line | None, Line | None]
"""One along z, y and x; None where both grids span the same edges, so that their sizes say where voxels
lie."""
EDGES: Lines = (None, None, None)
SAME = Line(0.0, 1.0)


def same_grid(one: Geometry, other: Geometry) -> bool:
    """Whether two images have their voxels at the same places, within 0.01 mm."""
    if one.size_zyx != other.size_zyx:
        return False
    last = tuple(size - 1 for size in one.size_zyx)
    corners = [(0, 0, 0), (last[0], 0, 0), (0, last[1], 0), (0, 0, last[2])]
    apart = abs(one.to_world(corners) - other.to_world(corners)).max()
    return bool(apart <= SAME_GRID_MM)


def box_of(held: Sequence[Mask]) -> "Box | None":
    """The box between the first and the last index along z, y and x at which there is something.

    Args:
        held: for each axis, whether a slice, row or column holds anything.

    Returns:
        None where nothing is held.
    """
    indices = [np.flatnonzero(along) for along in held]
    if not all(index.size for index in indices):
        return None
    z, y, x = ((int(index[0]), int(index[-1]) + 1) for index in indices)
    return Box(start_zyx=(z[0], y[0], x[0]), stop_zyx=(z[1], y[1], x[1]))


def skewness(matrix: F64) -> float:
    """Largest deviation of `matrix.T @ matrix` from the identity; NaN where the matrix is not finite."""
    return float(np.max(np.abs(matrix.T @ matrix - np.eye(3))))


def closest_orthonormal(matrix: F64) -> F64 | None:
    """The orthonormal matrix nearest to one whose columns have length 1.

    None where none is near (axes almost in a plane).
    """
    if not np.isfinite(matrix).all():
        return None
    left, stretch, right = np.linalg.svd(matrix)
    return None if stretch[-1] < 0.5 else np.asarray(left @ right, np.float64)


def as_direction(matrix: F64) -> Direction:
    """A (3, 3) array as nine floats, with 0.0 for -0.0."""
    a, b, c, d, e, f, g, h, i = (float(value) + 0.0 for value in matrix.ravel())
    return a, b, c, d, e, f, g, h, i


@dataclass(frozen=True, kw_only=True)
class Box:
    """A half-open box of voxels: `start <= index < stop` along each axis.

    Raises:
        ValueError: a start below 0 or a stop that is not above its start.
    """

    start_zyx: Zyx
    stop_zyx: Zyx

    def __post_init__(self) -> None:
        if min(self.start_zyx) < 0 or any(b <= a for a, b in zip(self.start_zyx, self.stop_zyx, strict=True)):
            raise ValueError(f"box: must not be empty, is {self.start_zyx} to {self.stop_zyx}")

    @property
    def size_zyx(self) -> Zyx:
        """Voxels along each axis."""
        (a, b, c), (d, e, f) = self.start_zyx, self.stop_zyx
        return d - a, e - b, f - c

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index: `array[box.slices]`."""
        (a, b, c), (d, e, f) = self.start_zyx, self.stop_zyx
        return slice(a, d), slice(b, e), slice(c, f)
