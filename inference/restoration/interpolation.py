"""Linear interpolation of probabilities between two grids that span the same box edge to edge.

Voxel i of n on the finer grid lies at (i + 0.5) * m / n - 0.5 of m on the other, held at the outermost
voxels' centres beyond them (nnU-Net's convention, as in `inference.preprocessing.resampling`). Every voxel's
value is computed by the same float32 operations in the same order (z, then y, then x) wherever it is
computed, so that parts of an image, or single voxels, come out bit for bit as the whole image does.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.geometry import Line
from model.arrays import F32, Zyx
from model.manifest.resampling import Interpolation


@dataclass(frozen=True)
class Axis:
    """Where the voxels of an output axis lie between those of an input axis."""

    low: NDArray[np.intp]
    """Input voxel before each output voxel."""
    high: NDArray[np.intp]
    """Input voxel after it; the same one where `share` is 0."""
    share: F32
    """Weight of `high`, 0 to below 1."""

    def part(self, first: int, stop: int, origin: int = 0) -> "Axis":
        """The output voxels from `first` to before `stop`, with input voxels counted from `origin`."""
        return Axis(self.low[first:stop] - origin, self.high[first:stop] - origin, self.share[first:stop])

    def __len__(self) -> int:
        return len(self.low)


def axis_positions(
    size_in: int, size_out: int, kind: Interpolation = "linear", line: Line | None = None
) -> Axis:
    """Linear interpolation, or the nearest voxel, from `size_in` to `size_out` voxels over the same length.

    Or, where it is given, along the line on which the output's voxels lie.

    From 2 to 4 voxels: output voxels lie at -0.25, 0.25, 0.75, 1.25 of the input, so `low` is 0 0 0 1, `high`
    0 1 1 1, `share` 0 0.25 0.75 0.
    """
    position = (np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5
    if line is not None:
        position = line.positions(size_out)
    if kind == "nearest":
        position = np.floor(position + 0.5)
    position = np.clip(position, 0, size_in - 1)
    low = np.floor(position).astype(np.intp)
    share = (position - low).astype(np.float32)
    # float32 may round a share just below 1 up to it; that is the next voxel.
    low[share == 1] += 1
    share[share == 1] = 0
    return Axis(low, np.where(share == 0, low, low + 1), share)


def blend(low: F32, high: F32, share: F32 | np.float32) -> F32:
    """`low + (high - low) * share`, overwriting `low`.

    Exactly `low` where both are equal or the share is 0.
    """
    step = high - low
    step *= share
    low += step
    return low


def interpolate_axis(array: F32, positions: Axis, axis: int) -> F32:
    """Interpolate one axis of an array linearly; a new array."""
    share = positions.share.reshape([-1 if a == axis % array.ndim else 1 for a in range(array.ndim)])
    return blend(np.take(array, positions.low, axis), np.take(array, positions.high, axis), share)


def interpolate(array: F32, size_zyx: Zyx) -> F32:
    """Interpolate the last three axes of an array to another size.

    The array itself where it has that size.
    """
    for axis, size in zip((-3, -2, -1), size_zyx, strict=True):
        if array.shape[axis] != size:
            array = interpolate_axis(array, axis_positions(array.shape[axis], size), axis)
    return array
