"""From one grid to another over the same field of view, as nnU-Net does it.

Both grids cover the same box edge to edge, so along each axis with `n` input and `m` output voxels

    input index = (output index + 0.5) * n / m - 0.5

clamped to the first and last voxel's centre. Four voxels become two: output 0 lies at input 0.5, output 1 at
2.5.

    input    |  0  |  1  |  2  |  3  |
    output   |     0     |     1     |

Every kind of interpolation is a sum over a few input voxels along one axis after the other (`Taps`), and one
output slice depends on nothing but the input slices under it: slices may be made in any order and in any
grouping, with the same bits.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from inference.geometry import EDGES, SAME, Geometry, Line, Lines
from model.arrays import F32, F64, U8, Voxels, Zyx, ZyxMm
from model.manifest.resampling import Interpolation

SPLINE_POLE = np.sqrt(3.0) - 2.0
MANY_TAPS = 12
"""From here on products of small matrices are faster than a sum over taps."""
ONE_THREAD_PRODUCTS = 1 << 18
"""Up to so many multiplications OpenBLAS works in the calling thread alone. Threads of its own, started by
each of those that resample, would wait for one another: 30 times slower beside another busy process."""
SPLINE_REACH = 12
"""Voxels after which the influence of a voxel on a cubic spline is below 1e-6."""


def model_size(size_zyx: Zyx, spacing_zyx_mm: ZyxMm, target_zyx_mm: ZyxMm) -> Zyx:
    """Voxels of the model grid: `max(1, round(spacing / target * n))` along each axis, in nnU-Net's order."""
    z, y, x = (
        max(1, round(s / t * n)) for n, s, t in zip(size_zyx, spacing_zyx_mm, target_zyx_mm, strict=True)
    )
    return z, y, x


Along = Interpolation | tuple[Interpolation, ...]
"""What is done along z, y and x, or along all three."""
Block = tuple[slice, slice, F32]
"""Which outputs, of which inputs, and the weights (outputs, inputs)."""
Prepare = Callable[[Voxels, int], F32]
"""Makes of a slice (y, x) of the image and its index what is to be resampled."""
Limits = tuple[F32, F32]
"""Lowest and highest value to which a spline is clipped: of the whole image, shape (1, 1), or of each slice
along y or x, shape (y, 1) or (1, x)."""


def resample_image(array: Voxels, size_zyx: Zyx, along: Along = "linear") -> F32:
    """Bring an image to another size over the same field of view.

    Args:
        array: (z, y, x), finite; a view will do.
        size_zyx: size of the result.
        along: `area` first averages whole blocks of voxels along axes where an output voxel covers at least
            two of the input's, then interpolates linearly; `cubic` is the interpolating cubic spline over
            edge voxels repeated, clipped to the range of the input, or, where it goes along two axes, of
            each slice along the third, which comes last then; `nearest` takes the voxel that the output's
            centre lies in.

    Returns:
        float32, shape `size_zyx`; the same values where the size is the same. May share memory with `array`
        then.
    """
    if array.shape == tuple(size_zyx):
        return array.astype(np.float32, copy=False)
    return resample_slices(array, size_zyx, 0, size_zyx[0], along)


def resample_slices(
    array: Voxels,
    size_zyx: Zyx,
    start: int,
    stop: int,
    along: Along = "linear",
    *,
    prepare: Prepare | None = None,
    limits: Limits | None = None,
    lines: Lines = EDGES,
) -> F32:
    """Slices `start` to before `stop` of `resample_image(array, size_zyx, along)`, without the others.

    Args:
        array: see `resample_image`.
        size_zyx: see `resample_image`.
        start: first slice of the result.
        stop: one past its last.
        along: see `resample_image`.
        prepare: applied to each slice of the image before it is resampled.
        limits: to which a cubic result is clipped, by `spline_limits` of the whole image; found out where
            they are not given.
        lines: where the result's voxels lie on the image's axes.
    """
    kinds = (along,) * 3 if isinstance(along, str) else along
    along_z, along_y, along_x = (
        taps(n, m, kind, line) for n, m, kind, line in zip(array.shape, size_zyx, kinds, lines, strict=True)
    )
    # A spline overshoots. What is resampled slice by slice is clipped slice by slice, as nnU-Net does.
    by_slice = "cubic" in kinds[1:] and kinds[0] != "cubic"
    apart = apart_in_plane(kinds)
    # With y or x apart the spline along the two others is whole, and clipped, before that axis follows.
    early_y = _unchanged(array.shape[1]) if apart == 1 else along_y
    early_x = _unchanged(array.shape[2]) if apart == 2 else along_x

    def plane_of(index: int) -> F32:
        plane = array[index] if prepare is None else prepare(array[index], index)
        resampled = in_plane(plane, early_y, early_x)
        return np.clip(resampled, plane.min(), plane.max()) if by_slice else resampled

    limits = limits or spline_limits(array, kinds, prepare)
    result = np.empty((stop - start, *size_zyx[1:]), np.float32)
    between = None if apart is None else np.empty((len(early_y.index), len(early_x.index)), np.float32)
    planes: dict[int, F32] = {}
    for k in range(start, stop):
        indices, weights = along_z.index[k], along_z.weight[k]
        planes = {int(i): planes[int(i)] if int(i) in planes else plane_of(int(i)) for i in indices}
        made = result[k - start] if between is None else between
        np.multiply(planes[int(indices[0])], weights[0], out=made)
        for i, weight in zip(indices[1:], weights[1:], strict=True):
            if weight:
                made += planes[int(i)] * weight
        if limits is not None:
            np.clip(made, *limits, out=made)
        if apart == 1:
            result[k - start] = in_plane(made, along_y, _unchanged(made.shape[1]))
        elif apart == 2:
            result[k - start] = in_plane(made, _unchanged(made.shape[0]), along_x)
    return result


def spline_limits(
    array: Voxels, kinds: Sequence[Interpolation], prepare: Prepare | None = None
) -> Limits | None:
    """What slices are clipped to where a spline goes along z; None where it does not.

    The range of the whole image, or of each slice along y or x where that axis alone is no spline's.

    Args:
        array: (z, y, x).
        kinds: what is done along z, y and x.
        prepare: see `resample_slices`.
    """
    if kinds[0] != "cubic":
        return None
    apart = apart_in_plane(kinds)
    over = (0, 1) if apart is None else 2 - apart
    low, high = np.float32(np.inf), np.float32(-np.inf)
    for index, stored in enumerate(array):
        plane = stored if prepare is None else prepare(stored, index)
        low = np.minimum(low, plane.min(axis=over, keepdims=True))
        high = np.maximum(high, plane.max(axis=over, keepdims=True))
    return np.asarray(low, np.float32), np.asarray(high, np.float32)


def apart_in_plane(kinds: Sequence[Interpolation]) -> int | None:
    """1 or 2 where splines go along z and the other axis of a plane but not along y or x; else None."""
    in_plane_kinds = [kind == "cubic" for kind in kinds[1:]]
    if kinds[0] != "cubic" or sum(in_plane_kinds) != 1:
        return None
    return 1 + in_plane_kinds.index(False)


def resample_labels(array: U8, size_zyx: Zyx) -> U8:
    """Bring a label map to another size over the same field of view.

    Each voxel takes the label it lies in.
    """
    z, y, x = ((2 * np.arange(m) + 1) * n // (2 * m) for n, m in zip(array.shape, size_zyx, strict=True))
    return array[np.ix_(z, y, x)]


def resample_geometry(geometry: Geometry, size_zyx: Zyx) -> Geometry:
    """The grid of a resampled image.

    Its edges stay, so its first voxel's centre moves by half the difference between old and new voxel.
    """
    z, y, x = (n / m for n, m in zip(geometry.size_zyx, size_zyx, strict=True))
    sz, sy, sx = geometry.spacing_zyx_mm
    at_x, at_y, at_z = (
        float(value) for value in geometry.to_world((0.5 * z - 0.5, 0.5 * y - 0.5, 0.5 * x - 0.5))
    )
    return replace(
        geometry,
        size_zyx=size_zyx,
        spacing_zyx_mm=(sz * z, sy * y, sx * x),
        origin_xyz_mm=(at_x, at_y, at_z),
        nifti_header=None,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Taps:
    """What each of `m` output voxels along an axis is the sum of: `sum(weight[i] * input[index[i]])`."""

    index: NDArray[np.intp]
    """Input voxels, shape (m, taps)."""
    weight: F32
    """Shape (m, taps); rows sum to 1."""
    size: int
    """Input voxels along the axis."""
    _blocks: dict[int, list[Block]] = field(default_factory=dict, init=False, repr=False)
    """What `blocks` made, by width: making it takes as long as multiplying."""

    @property
    def is_identity(self) -> bool:
        """Whether the output is the input."""
        return len(self.index) == self.size and bool(
            np.all(self.weight[:, 0] == 1) and np.all(self.index[:, 0] == np.arange(self.size))
        )

    def blocks(self, width: int) -> list[Block]:
        """The same as matrices, some outputs at a time.

        Each matrix is as small as its outputs allow, and its product with (inputs, width) has at most
        `ONE_THREAD_PRODUCTS` multiplications.
        """
        if width in self._blocks:
            return self._blocks[width]
        found, start = [], 0
        low, high = self.index.min(axis=1), self.index.max(axis=1) + 1
        while start < len(self.index):
            count = np.arange(1, len(self.index) - start + 1)
            spans = np.maximum.accumulate(high[start:]) - np.minimum.accumulate(low[start:])
            stop = start + max(1, int(np.count_nonzero(count * spans * width <= ONE_THREAD_PRODUCTS)))
            first, last = int(low[start:stop].min()), int(high[start:stop].max())
            matrix = np.zeros((stop - start, last - first), np.float32)
            rows = np.arange(stop - start)[:, None]
            np.add.at(matrix, (rows, self.index[start:stop] - first), self.weight[start:stop])
            found.append((slice(start, stop), slice(first, last), matrix))
            start = stop
        self._blocks[width] = found
        return found


def taps(size: int, new_size: int, interpolation: Interpolation, line: Line | None = None) -> Taps:
    """Taps along one axis from `size` to `new_size` voxels, edge to edge or along a line.

    >>> taps(4, 2, "linear").index.tolist(), taps(4, 2, "linear").weight.tolist()
    ([[0, 1], [2, 3]], [[0.5, 0.5], [0.5, 0.5]])
    """
    if size == new_size and line in (None, SAME):
        return Taps(index=np.arange(size)[:, None], weight=np.ones((size, 1), np.float32), size=size)
    centre = np.asarray((np.arange(new_size) + 0.5) * size / new_size - 0.5, np.float64)
    if line is not None:
        return _linear(line.positions(new_size), size)
    if interpolation == "cubic":
        return _cubic(centre, size)
    if interpolation == "nearest":
        # In nnU-Net's order of operations: half-way between two voxels rounding decides.
        as_nnunet = (np.arange(new_size) + 0.5) * (size / new_size) - 0.5
        nearest = np.clip(np.floor(as_nnunet + 0.5), 0, size - 1).astype(np.intp)
        return _as_taps(nearest[:, None], np.ones((new_size, 1)), size)
    factor = size // new_size if interpolation == "area" else 1
    if factor > 1:
        return _area(centre, factor, size)
    return _linear(centre, size)


def _unchanged(size: int) -> Taps:
    return taps(size, size, "linear")


def in_plane(plane: Voxels, along_y: Taps, along_x: Taps) -> F32:
    """One slice (y, x) on the new grid in y and x."""
    rows = _combine_rows(plane, along_y)
    return np.ascontiguousarray(_combine_rows(rows.T, along_x).T)


def _combine_rows(plane: Voxels, along: Taps) -> F32:
    if along.is_identity:
        return plane.astype(np.float32, copy=False)
    if along.index.shape[1] >= MANY_TAPS:
        source = plane.astype(np.float32, copy=False)
        result = np.empty((len(along.index), source.shape[1]), np.float32)
        for outputs, inputs, weights in along.blocks(source.shape[1]):
            np.matmul(weights, source[inputs], out=result[outputs])
        return result
    total: F32 = plane[along.index[:, 0]] * along.weight[:, :1]
    for tap in range(1, along.index.shape[1]):
        total += plane[along.index[:, tap]] * along.weight[:, tap : tap + 1]
    return total


def _linear(centre: F64, size: int) -> Taps:
    """Between the two voxels around each place, held at the outermost ones."""
    below = np.clip(np.floor(centre), 0, max(0, size - 2)).astype(np.intp)
    share = np.clip(centre - below, 0.0, 1.0)
    return _as_taps(
        np.stack([below, np.minimum(below + 1, size - 1)], axis=1), np.stack([1 - share, share], axis=1), size
    )


def _area(centre: F64, factor: int, size: int) -> Taps:
    """Linear interpolation between the means of blocks of `factor` voxels.

    A last block that is not full is the mean of what it has.
    """
    blocks = -(-size // factor)
    position = np.clip((centre + 0.5) / factor - 0.5, 0, blocks - 1)
    below = np.clip(np.floor(position), 0, max(0, blocks - 2)).astype(np.intp)
    share = position - below
    index, weight = [], []
    for block, part in ((below, 1 - share), (np.minimum(below + 1, blocks - 1), share)):
        members = block[:, None] * factor + np.arange(factor)
        inside = members < size
        index.append(np.minimum(members, size - 1))
        weight.append(inside / inside.sum(axis=1, keepdims=True) * part[:, None])
    return _as_taps(np.concatenate(index, axis=1), np.concatenate(weight, axis=1), size)


def _cubic(centre: F64, size: int) -> Taps:
    """The cubic B-spline through all voxels: four basis functions, convolved with the inverse filter.

    Its coefficients are `sqrt(3) * pole**|k|` around each voxel (Unser 1993); beyond the edges the edge voxel
    repeats.
    """
    base = np.floor(centre).astype(np.intp)
    t = (centre - base)[:, None]
    basis = (
        np.concatenate(
            [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
        )
        / 6
    )
    inverse = np.sqrt(3.0) * SPLINE_POLE ** np.abs(np.arange(-SPLINE_REACH, SPLINE_REACH + 1))
    inverse /= inverse.sum()
    weight = np.stack([np.convolve(row, inverse) for row in basis])
    index = base[:, None] - 1 - SPLINE_REACH + np.arange(weight.shape[1])
    return _as_taps(np.clip(index, 0, size - 1), weight, size)


def _as_taps(index: NDArray[np.intp], weight: F64, size: int) -> Taps:
    return Taps(index=index, weight=weight.astype(np.float32), size=size)
