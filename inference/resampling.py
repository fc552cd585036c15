"""From one grid to another over the same field of view, as nnU-Net does it.

Both grids cover the same box edge to edge, so along each axis with `n` input and `m` output voxels

    input index = (output index + 0.5) * n / m - 0.5

clamped to the first and last voxel's centre. Four voxels become two: output 0 lies at input 0.5, output 1 at 2.5.

    input    |  0  |  1  |  2  |  3  |
    output   |     0     |     1     |
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from inference.geometry import Geometry, Voxels, Zyx, ZyxMm

Interpolation = Literal["linear", "area", "cubic"]
_INTERPOLATORS = {"linear": sitk.sitkLinear, "area": sitk.sitkLinear, "cubic": sitk.sitkBSpline3, "nearest": sitk.sitkNearestNeighbor}


def set_threads(threads: int) -> None:
    """How many threads resampling may use, for the whole process."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def model_size(size_zyx: Zyx, spacing_zyx_mm: ZyxMm, target_zyx_mm: ZyxMm) -> Zyx:
    """Voxels of the model grid: `max(1, round(n * spacing / target))` along each axis."""
    z, y, x = (max(1, round(n * s / t)) for n, s, t in zip(size_zyx, spacing_zyx_mm, target_zyx_mm, strict=True))
    return z, y, x


def resample_image(array: Voxels, size_zyx: Zyx, interpolation: Interpolation = "linear") -> NDArray[np.float32]:
    """Bring an image to another size over the same field of view.

    Args:
        array: (z, y, x); a view will do.
        size_zyx: size of the result.
        interpolation: `area` first averages whole blocks of voxels along axes where an output voxel covers at least two
            of the input's, then interpolates linearly; `cubic` is the interpolating cubic spline, mirrored at the borders.

    Returns:
        float32, shape `size_zyx`; the same values where the size is the same. May share memory with `array` then.
    """
    if array.shape == tuple(size_zyx):
        return array.astype(np.float32, copy=False)
    factors = [max(1, n // m) for n, m in zip(array.shape, size_zyx, strict=True)] if interpolation == "area" else [1, 1, 1]
    covered = [n / f for n, f in zip(array.shape, factors, strict=True)]  # the field of view in blocks
    blocks = block_means(array, factors) if max(factors) > 1 else array
    return np.asarray(_resample(blocks, covered, size_zyx, _INTERPOLATORS[interpolation], sitk.sitkFloat32), np.float32)


def resample_labels(array: NDArray[np.uint8], size_zyx: Zyx) -> NDArray[np.uint8]:
    """Bring a label map to another size over the same field of view; each voxel takes the nearest label."""
    if array.shape == tuple(size_zyx):
        return array
    return np.asarray(_resample(array, list(map(float, array.shape)), size_zyx, sitk.sitkNearestNeighbor, sitk.sitkUInt8), np.uint8)


def resample_geometry(geometry: Geometry, size_zyx: Zyx) -> Geometry:
    """The grid of a resampled image: same edges, so its first voxel's centre moves by half the difference of voxels."""
    z, y, x = (n / m for n, m in zip(geometry.size_zyx, size_zyx, strict=True))
    sz, sy, sx = geometry.spacing_zyx_mm
    at_x, at_y, at_z = (float(value) for value in geometry.to_world((0.5 * z - 0.5, 0.5 * y - 0.5, 0.5 * x - 0.5)))
    return replace(
        geometry, size_zyx=size_zyx, spacing_zyx_mm=(sz * z, sy * y, sx * x), origin_xyz_mm=(at_x, at_y, at_z), nifti_header=None
    )


def block_means(array: Voxels, factors: list[int]) -> NDArray[np.float32]:
    """Means of blocks of `factors` voxels, float32; a last block that is not full is the mean of what it has.

    `[[1, 3, 5]]` by factors (1, 1, 2) is `[[2, 5]]`.
    """
    fz, fy, fx = factors
    slabs = -(-array.shape[0] // fz)
    result = np.empty((slabs, -(-array.shape[1] // fy), -(-array.shape[2] // fx)), np.float32)
    for k in range(slabs):
        slab = array[k * fz : (k + 1) * fz]
        plane = slab[0].astype(np.float32)
        for more in slab[1:]:
            plane += more
        plane /= len(slab)
        result[k] = _means_along(_means_along(plane, fy, 0), fx, 1)
    return result


def _means_along(plane: NDArray[np.float32], factor: int, axis: int) -> NDArray[np.float32]:
    if factor == 1:
        return plane
    moved = plane if axis == 0 else plane.T
    full = len(moved) // factor
    total = moved[0 : full * factor : factor].copy()
    for i in range(1, factor):
        total += moved[i : full * factor : factor]
    total /= factor
    if full * factor < len(moved):
        total = np.concatenate([total, moved[full * factor :].mean(axis=0, keepdims=True)])
    return total if axis == 0 else total.T


def _resample(array: NDArray[np.generic], covered: list[float], size_zyx: Zyx, interpolator: int, pixel_type: int) -> NDArray[np.generic]:
    """Sample at `(i + 0.5) * covered / size - 0.5`; coordinates count voxels of `array`."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    steps = [n / m for n, m in zip(covered, size_zyx, strict=True)]
    resample = sitk.ResampleImageFilter()
    resample.SetSize([int(n) for n in reversed(size_zyx)])
    resample.SetOutputSpacing(steps[::-1])
    # SimpleITK pads with 0 half a voxel beyond the outer centres; a partial last block could end there.
    resample.SetOutputOrigin([0.5 * step - 0.5 for step in reversed(steps)])
    resample.SetInterpolator(interpolator)
    resample.SetOutputPixelType(pixel_type)
    result: NDArray[np.generic] = sitk.GetArrayFromImage(resample.Execute(image))
    return result
