"""From voxel values to network input, by the four schemes of `model.manifest.Intensity`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.geometry import Voxels
from model.manifest import Intensity

SMALLEST_STD = 1e-8


@dataclass(frozen=True, kw_only=True)
class ImageStatistics:
    """Mean and standard deviation of one image."""

    mean: float
    std: float


def image_statistics(array: Voxels) -> ImageStatistics:
    """Mean and deviation over the box around all voxels that are not 0, as nnU-Net's crop and z-score have it.

    Args:
        array: (z, y, x). Voxels that are NaN or infinite are left out; an image of zeros has mean 0 and
            deviation 0.
    """
    box: list[slice] = []
    for axis in range(3):
        rest: tuple[int, int] = ((1, 2), (0, 2), (0, 1))[axis]
        filled = np.flatnonzero((array[tuple(box)] != 0).any(axis=rest))
        if not filled.size:
            return ImageStatistics(mean=0.0, std=0.0)
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
    inside = array[tuple(box)]
    count, total, squares = 0, 0.0, 0.0
    shift = float(
        np.nan_to_num(inside[tuple(n // 2 for n in inside.shape)])
    )  # keeps the sum of squares small
    for plane in inside:
        values = plane[np.isfinite(plane)].astype(np.float64) - shift
        count, total, squares = (
            count + values.size,
            total + float(values.sum()),
            squares + float(values @ values),
        )
    if not count:
        return ImageStatistics(mean=0.0, std=0.0)
    return ImageStatistics(
        mean=total / count + shift, std=float(np.sqrt(max(0.0, squares / count - (total / count) ** 2)))
    )


def normalize(
    array: Voxels, intensity: Intensity, statistics: ImageStatistics | None = None
) -> NDArray[np.float32]:
    """Network input of an image.

    Args:
        array: any shape; voxels that are not finite become what the lowest value (+inf: the highest) becomes.
        intensity: the scheme and its figures.
        statistics: of the whole image; only `zscore` needs them.

    Returns:
        A new float32 array of the same shape, finite everywhere.

    Raises:
        ValueError: `zscore` without statistics.
    """
    values = array.astype(np.float32)
    if array.dtype != np.int16 and not np.isfinite(values).all():
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    if intensity.scheme == "zscore":
        if statistics is None:
            raise ValueError("zscore needs the statistics of the image")
        return _standardize(values, statistics.mean, statistics.std)
    lower, upper = _figure(intensity.lower), _figure(intensity.upper)
    if intensity.scheme == "clip_zscore":
        np.clip(values, lower, upper, out=values)
        return _standardize(values, _figure(intensity.mean), _figure(intensity.std))
    if intensity.scheme == "window":
        np.clip(values, lower, upper, out=values)
        values -= lower
        values /= upper - lower
        return values
    return _logistic(values, lower, upper)


def _standardize(values: NDArray[np.float32], mean: float, std: float) -> NDArray[np.float32]:
    values -= mean
    values /= max(std, SMALLEST_STD)
    return values


def _logistic(values: NDArray[np.float32], lower: float, upper: float) -> NDArray[np.float32]:
    """`1 / (1 + exp(-t))` with t from -1 at `lower` to 1 at `upper`, in place.

    Far values saturate without overflow.
    """
    values -= lower
    values *= -2.0 / (upper - lower)
    values += 1.0
    np.clip(values, -80.0, 80.0, out=values)
    np.exp(values, out=values)
    values += 1.0
    return np.reciprocal(values, out=values)


def _figure(value: float | None) -> float:
    assert value is not None, "the manifest's check guarantees this figure"
    return value
