"""The coarse grid on which anatomy is drawn, and its mapping into the canonical patient.

The canonical patient is a coordinate system in millimetres: x to the patient's left, y to the back, z to the
head, with the origin in the centre of the first lumbar vertebral body. A frame covers the scanned box with a
regular grid (about 2 mm) and knows for each of its points where it lies in the canonical patient, after pose,
body size and a smooth random warp. Shapes are functions of canonical coordinates, so one warp moves all
neighbours together and organs stay where they belong.

Arrays are (z, y, x), float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# In memory always float32; numpy's stubs cannot follow that through mixed arithmetic.
FloatArray = npt.NDArray[np.floating[Any]]
Slices = tuple[slice, slice, slice]

_WARP_KNOTS_MM = 16.0
_REGION_STRIDE = 4


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How one patient differs from the canonical one."""

    size_xyz: tuple[float, float, float]
    """Scale along the patient's axes; 1.1 means 10 % larger than the canonical patient."""
    rotation: npt.NDArray[np.float64]
    """3×3 rotation, canonical (x, y, z) to scanner (x, y, z)."""
    waves: npt.NDArray[np.float64]
    """(n, 3) wave vectors of the smooth warp, radians per mm."""
    phases: npt.NDArray[np.float64]
    """(n, 3) phase of each wave for each displacement component."""
    amplitudes_mm: npt.NDArray[np.float64]
    """(n, 3) amplitude of each wave for each displacement component."""

    def displacement(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Smooth displacement in mm at (…, 3) scanner points in mm."""
        total = np.zeros(points.shape)
        for wave, phase, amplitude in zip(self.waves, self.phases, self.amplitudes_mm, strict=True):
            total += amplitude * np.sin((points * wave).sum(-1)[..., None] + phase)
        return total

    def to_canonical(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Canonical coordinates (x, y, z) in mm of (…, 3) scanner points in mm."""
        moved = points + self.displacement(points)
        # Written out, since BLAS may round differently with another number of threads and a case must not
        # change with it.
        turned = sum(moved[..., i, None] * self.rotation[i] for i in range(3))
        return np.asarray(turned / np.asarray(self.size_xyz))

    def to_scanner(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Inverse of :meth:`to_canonical`, by fixed-point iteration (the warp is smooth and small)."""
        scaled = points * np.asarray(self.size_xyz)
        turned = np.asarray(sum(scaled[..., i, None] * self.rotation[:, i] for i in range(3)))
        guess = turned
        for _ in range(8):
            guess = turned - self.displacement(guess)
        return guess


def random_pose(rng: np.random.Generator, *, warp: float = 1.0) -> Pose:
    """Draw a body size, a small rotation, a mild scoliosis and a smooth warp (`warp` scales the last)."""
    size = float(np.clip(rng.normal(0.965, 0.07), 0.8, 1.16))
    girth = float(np.clip(rng.normal(1.0, 0.075), 0.82, 1.2))
    size_xyz = (
        size * girth,
        size * girth * float(rng.normal(1.0, 0.05)),
        size * float(rng.normal(1.0, 0.04)),
    )
    ax, ay, az = np.deg2rad(rng.normal(0.0, [3.0, 2.0, 4.0]))
    rotation = _rotation(float(ax), float(ay), float(az))
    count = 10
    wavelength = rng.uniform(110.0, 320.0, count)
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    waves = 2 * np.pi * direction / wavelength[:, None]
    # Amplitude grows with wavelength so that the strain, and with it the risk of folding, is the same for
    # every wave.
    amplitudes = warp * rng.normal(0.0, 1.0, (count, 3)) * wavelength[:, None] / 165.0
    scoliosis = np.array([[0.0, 0.0, 2 * np.pi / rng.uniform(300.0, 600.0)]])
    # The lumbar spine curves forward, the chest back: one wave along the body, at its foremost in L3.
    lordosis = np.array([[0.0, 0.0, 2 * np.pi / 420.0]])
    bends = np.array([[rng.normal(0.0, 4.0), rng.normal(0.0, 2.0), 0.0], [0.0, rng.normal(9.0, 3.5), 0.0]])
    phases = rng.uniform(0.0, 2 * np.pi, (count + 2, 3))
    phases[-1] = np.pi / 2 + 80.0 * lordosis[0, 2]
    return Pose(
        size_xyz=size_xyz,
        rotation=rotation,
        waves=np.concatenate([waves, scoliosis, lordosis]),
        phases=phases,
        amplitudes_mm=np.concatenate([amplitudes, bends]),
    )


def _rotation(ax: float, ay: float, az: float) -> npt.NDArray[np.float64]:
    """Rotation about x, then y, then z, angles in radians."""
    cx, sx, cy, sy, cz, sz = np.cos(ax), np.sin(ax), np.cos(ay), np.sin(ay), np.cos(az), np.sin(az)
    return np.array(
        [
            [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
            [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
            [-sy, cy * sx, cy * cx],
        ]
    )


@dataclass(frozen=True)
class Region:
    """A box of the coarse grid with its canonical coordinates in mm, three (z, y, x) arrays."""

    slices: Slices
    x: FloatArray
    y: FloatArray
    z: FloatArray

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of coarse grid points (z, y, x)."""
        return self.x.shape

    @property
    def empty(self) -> bool:
        """Whether the structure asked for lies outside the scan."""
        return self.x.size == 0


class Frame:
    """The coarse grid of one scan.

    `origin_xyz_mm` is the scanner coordinate of grid point 0, `step_mm` the grid spacing, `shape` the size
    (z, y, x).
    """

    def __init__(
        self,
        *,
        pose: Pose,
        origin_xyz_mm: npt.NDArray[np.float64],
        step_mm: float,
        shape: tuple[int, int, int],
    ) -> None:
        self.pose = pose
        self.origin_xyz_mm = np.asarray(origin_xyz_mm, dtype=np.float64)
        self.step_mm = step_mm
        self.shape = shape
        self._coordinates = self._canonical_grid()
        stride = _REGION_STRIDE
        self._sparse = [c[::stride, ::stride, ::stride] for c in self._coordinates]

    def _canonical_grid(self) -> list[FloatArray]:
        """Canonical (x, y, z) at each grid point: a smooth mapping on sparse knots, interpolated between."""
        knot_counts = [int(np.ceil((n - 1) * self.step_mm / _WARP_KNOTS_MM)) + 2 for n in self.shape]
        axes = [np.arange(n) * _WARP_KNOTS_MM for n in knot_counts]
        zz, yy, xx = np.meshgrid(*axes, indexing="ij")
        knots = self.pose.to_canonical(np.stack([xx, yy, zz], axis=-1) + self.origin_xyz_mm)
        positions = [np.arange(n) * self.step_mm / _WARP_KNOTS_MM for n in self.shape]
        return [resample(knots[..., i].astype(np.float32), positions) for i in range(3)]

    def halved(self) -> Frame:
        """A grid over the same box with twice the spacing; its point i is point 2i of this one."""
        size = [n // 2 + 1 for n in self.shape]
        return Frame(
            pose=self.pose,
            origin_xyz_mm=self.origin_xyz_mm,
            step_mm=2 * self.step_mm,
            shape=(size[0], size[1], size[2]),
        )

    def whole(self) -> Region:
        """The whole grid as a region."""
        x, y, z = self._coordinates
        return Region((slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2])), x, y, z)

    def region(
        self,
        low_xyz: tuple[float, float, float],
        high_xyz: tuple[float, float, float],
        margin_mm: float = 6.0,
    ) -> Region:
        """The part of the grid that covers a canonical box, given by two corners in mm, with a margin."""
        reach = margin_mm + 0.6 * _REGION_STRIDE * self.step_mm
        inside = np.ones(self._sparse[0].shape, dtype=bool)
        for axis, low, high in zip(self._sparse, low_xyz, high_xyz, strict=True):
            inside &= (axis >= low - reach) & (axis <= high + reach)
        slices = []
        for axis_index in range(3):
            hits = np.flatnonzero(inside.any(axis=tuple(i for i in range(3) if i != axis_index)))
            if hits.size == 0:
                nothing = np.zeros((0, 0, 0), dtype=np.float32)
                return Region((slice(0, 0), slice(0, 0), slice(0, 0)), nothing, nothing, nothing)
            first = max(0, (hits[0] - 1) * _REGION_STRIDE)
            slices.append(
                slice(int(first), int(min(self.shape[axis_index], (hits[-1] + 1) * _REGION_STRIDE + 1)))
            )
        box: Slices = (slices[0], slices[1], slices[2])
        x, y, z = (c[box] for c in self._coordinates)
        return Region(box, x, y, z)

    def noise(self, region: Region, wavelength_mm: float, rng: np.random.Generator) -> FloatArray:
        """Smooth random field on a region: deviation about 0.65, features of about `wavelength_mm`."""
        knot_mm = wavelength_mm / 2.0
        sizes = [int(np.ceil(n * self.step_mm / knot_mm)) + 5 for n in region.shape]
        knots = rng.standard_normal(sizes, dtype=np.float32)
        positions = [1.0 + np.arange(n) * self.step_mm / knot_mm for n in region.shape]
        # 1.9 makes up for much of the variance that three cubic B-spline smoothings take.
        return resample(knots, positions, cubic=True) * np.float32(1.9)


def resample(values: FloatArray, positions: Sequence[FloatArray], *, cubic: bool = False) -> FloatArray:
    """Sample a (z, y, x) array on the lattice of three position lists, in units of its index.

    Linear by default; `cubic` smooths with uniform cubic B-splines (positions must then stay one sample
    inside).
    """
    for axis, position in enumerate(positions):
        base = np.clip(np.floor(position).astype(np.intp), 0, max(values.shape[axis] - 2, 0))
        t: FloatArray = (position - base).astype(np.float32)
        taps: list[tuple[int, FloatArray]]
        if cubic:
            taps = [
                (-1, (1 - t) ** 3 / 6),
                (0, (3 * t**3 - 6 * t**2 + 4) / 6),
                (1, (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6),
                (2, t**3 / 6),
            ]
        else:
            taps = [(0, 1 - t), (1, t)]
        weight_shape = [1, 1, 1]
        weight_shape[axis] = -1
        last = values.shape[axis] - 1
        total = np.zeros(1, dtype=np.float32)
        for number, (offset, weight) in enumerate(taps):
            term = values.take(np.minimum(base + offset, last), axis=axis, mode="clip")
            term *= weight.reshape(weight_shape)
            total = term if number == 0 else np.add(total, term, out=total)
        values = total
    return values
