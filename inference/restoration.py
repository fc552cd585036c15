"""From the model grid back to the input grid: class probabilities are interpolated, then the winner is taken.

Nearest-neighbour labels would show the model grid's steps on the organs' surfaces. Both grids span the same box edge
to edge: voxel i of n on the input grid lies at (i + 0.5) * m / n - 0.5 of m on the model grid, held at the outermost
voxels' centres beyond them (nnU-Net's convention, see `inference.resampling`).

Shapes: probabilities (channels, z, y, x) float32; decisions (z, y, x) uint8, 0 = background, then as `decide` says.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from model.manifest import Zyx

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Activation = Literal["softmax", "sigmoid"]

SLAB_VOXELS = 4_000_000
"""Input-grid voxels times channels that are interpolated at a time: 16 MiB of float32."""


@dataclass(frozen=True)
class Axis:
    """Where the voxels of an output axis lie between those of an input axis."""

    low: NDArray[np.intp]
    """Input voxel before each output voxel."""
    high: NDArray[np.intp]
    """Input voxel after it; the same one where `share` is 0."""
    share: F32
    """Weight of `high`, 0 to below 1."""


def axis_positions(size_in: int, size_out: int) -> Axis:
    """Linear interpolation from `size_in` to `size_out` voxels over the same length.

    From 2 to 4 voxels: output voxels lie at -0.25, 0.25, 0.75, 1.25 of the input, so `low` is 0 0 0 1, `high` 0 1 1 1,
    `share` 0 0.25 0.75 0.
    """
    position = (np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5
    position = np.clip(position, 0, size_in - 1)
    low = np.floor(position).astype(np.intp)
    share = (position - low).astype(np.float32)
    # float32 may round a share just below 1 up to it; that is the next voxel.
    low[share == 1] += 1
    share[share == 1] = 0
    return Axis(low, np.where(share == 0, low, low + 1), share)


def interpolate_axis(array: F32, positions: Axis, axis: int) -> F32:
    """Interpolate one axis of an array linearly; equal neighbours give exactly their value."""
    low = np.take(array, positions.low, axis)
    step = np.take(array, positions.high, axis)
    step -= low
    step *= positions.share.reshape([-1 if a == axis % array.ndim else 1 for a in range(array.ndim)])
    low += step
    return low


def interpolate(array: F32, size_zyx: Zyx) -> F32:
    """Interpolate the last three axes of an array to another size."""
    for axis, size in zip((-3, -2, -1), size_zyx, strict=True):
        if array.shape[axis] != size:
            array = interpolate_axis(array, axis_positions(array.shape[axis], size), axis)
    return array


def decide(probabilities: F32, activation: Activation) -> U8:
    """The winning channel of each voxel; probabilities (channels, ...), result (...).

    Under softmax the channel with the largest probability, the first of equals. Under sigmoid 0 where no channel is above
    0.5, else 1 + the last channel that is (nnU-Net's regions: later ones lie inside earlier ones).
    """
    if activation == "softmax":
        return np.asarray(probabilities.argmax(axis=0), np.uint8)
    decisions = np.zeros(probabilities.shape[1:], np.uint8)
    for index, channel in enumerate(probabilities, start=1):
        decisions[channel > 0.5] = index
    return decisions


def restore(probabilities: F32, size_zyx: Zyx, activation: Activation) -> U8:
    """Decisions on the input grid, interpolated in slabs so that no class stack of its size is ever held.

    Args:
        probabilities: (channels, z, y, x) on the model grid.
        size_zyx: size of the input grid's box that the model grid spans.
        activation: see `decide`.
    """
    out = np.empty(size_zyx, np.uint8)
    depth, height, width = size_zyx
    along_z = axis_positions(probabilities.shape[1], depth)
    thickness = max(1, SLAB_VOXELS // (height * width * probabilities.shape[0]))
    for first in range(0, depth, thickness):
        part = slice(first, min(first + thickness, depth))
        slab = Axis(along_z.low[part], along_z.high[part], along_z.share[part])
        planes = interpolate_axis(probabilities, slab, 1)
        out[part] = decide(interpolate(planes, (planes.shape[1], height, width)), activation)
    return out
