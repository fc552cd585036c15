"""From voxel values to network input, by the schemes of `model.manifest.intensity`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np

from model.arrays import F32, Mask, Voxels
from model.manifest.intensity import (
    ClipZscoreIntensity,
    DivideIntensity,
    Intensity,
    RangeIntensity,
    WindowIntensity,
    WindowSigmoidIntensity,
    ZeroToOneIntensity,
    ZscoreIntensity,
)

SMALLEST_STD = 1e-8
"""What a standard deviation is at least, so that an image of one value becomes zeros (nnU-Net)."""
Over = Literal["image", "nonzero", "nonzero_filled"]


@dataclass(frozen=True, kw_only=True)
class ChannelStatistics:
    """What one channel of an image holds, over the voxels that count."""

    mean: float
    std: float
    lowest: float
    highest: float


NOTHING = ChannelStatistics(mean=0.0, std=0.0, lowest=0.0, highest=0.0)


def channel_statistics(
    array: Iterable[Voxels], over: Over = "image", filled: Mask | None = None
) -> ChannelStatistics:
    """Mean, deviation and range of one channel.

    Args:
        array: (z, y, x), or its slices one after the other. Voxels that are NaN or infinite are left out;
            where none counts all figures are 0.
        over: which voxels count, see `ZscoreIntensity.over`.
        filled: (z, y, x), for `nonzero_filled` (`nonzero_filled`).
    """
    count, total, squares = 0, 0.0, 0.0
    lowest, highest = np.inf, -np.inf
    shift = _middle(array) if isinstance(array, np.ndarray) else 0.0
    for index, plane in enumerate(array):
        counted = np.isfinite(plane)
        if over == "nonzero":
            counted &= plane != 0
        elif over == "nonzero_filled" and filled is not None:
            counted &= filled[index]
        values = plane[counted].astype(np.float64) - shift
        if values.size:
            count, total, squares = (
                count + values.size,
                total + float(values.sum()),
                squares + float(values @ values),
            )
            lowest, highest = min(lowest, float(values.min())), max(highest, float(values.max()))
    if not count:
        return NOTHING
    std = float(np.sqrt(max(0.0, squares / count - (total / count) ** 2)))
    return ChannelStatistics(
        mean=total / count + shift, std=std, lowest=lowest + shift, highest=highest + shift
    )


def _middle(array: Voxels) -> float:
    """The value in the middle, near which others lie: taken from all, it keeps the sum of squares small."""
    middle = float(array[tuple(n // 2 for n in array.shape)])
    return middle if np.isfinite(middle) else 0.0


def nonzero_filled(channels: tuple[Voxels, ...]) -> Mask:
    """Where any channel is not 0, with the holes in that mask filled (nnU-Net's mask for normalization).

    (z, y, x).
    """
    mask = channels[0] != 0
    for channel in channels[1:]:
        mask |= channel != 0
    parts, count = cc3d.connected_components(~mask, connectivity=6, return_N=True)
    outside = np.zeros(count + 1, bool)
    for axis in range(3):
        for edge in (0, -1):
            outside[np.unique(np.take(parts, edge, axis))] = True
    outside[0] = False
    for plane, numbers in zip(mask, parts, strict=True):
        plane |= ~outside[numbers] & (numbers > 0)
    return np.asarray(mask, bool)


def needs_statistics(intensity: Intensity) -> bool:
    """Whether a scheme asks for figures of the image itself."""
    return isinstance(intensity, ZscoreIntensity | ZeroToOneIntensity)


def statistics_over(intensity: Intensity) -> Over:
    """The voxels over which a scheme's figures are taken."""
    return intensity.over if isinstance(intensity, ZscoreIntensity) else "image"


def normalize(
    array: Voxels,
    intensity: Intensity,
    statistics: ChannelStatistics | None = None,
    filled: Mask | None = None,
) -> F32:
    """Network input of one channel.

    Args:
        array: any shape; voxels that are not finite become what the lowest value (+inf: the highest) becomes.
        intensity: the scheme and its figures.
        statistics: of the whole channel, for schemes that take their figures from the image.
        filled: same shape; the voxels that `nonzero_filled` changes.

    Returns:
        A new float32 array of the same shape, finite everywhere.

    Raises:
        ValueError: the scheme needs statistics, or the mask, and was given none.
    """
    values = array.astype(np.float32)
    if array.dtype != np.int16 and not np.isfinite(values).all():
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    match intensity:
        case WindowIntensity():
            np.clip(values, intensity.lower, intensity.upper, out=values)
            values -= intensity.lower
            values /= intensity.upper - intensity.lower
            return values
        case WindowSigmoidIntensity():
            return _logistic(values, intensity.lower, intensity.upper)
        case ClipZscoreIntensity():
            np.clip(values, intensity.lower, intensity.upper, out=values)
            return _standardize(values, intensity.mean, intensity.std)
        case ZscoreIntensity() | ZeroToOneIntensity():
            return _by_image(values, intensity, statistics, filled)
        case DivideIntensity():
            values /= intensity.by
            return values
        case RangeIntensity():
            return _onto_range(values, intensity)
    return values


def _onto_range(values: F32, intensity: RangeIntensity) -> F32:
    """In the order of MONAI's `ScaleIntensityRange`."""
    values -= intensity.lower
    values /= intensity.upper - intensity.lower
    values *= intensity.to_upper - intensity.to_lower
    values += intensity.to_lower
    if intensity.clip:
        np.clip(values, intensity.to_lower, intensity.to_upper, out=values)
    return values


def _by_image(
    values: F32,
    intensity: ZscoreIntensity | ZeroToOneIntensity,
    statistics: ChannelStatistics | None,
    filled: Mask | None,
) -> F32:
    if statistics is None:
        raise ValueError(f"{intensity.kind} needs the statistics of the image")
    if isinstance(intensity, ZeroToOneIntensity):
        values -= statistics.lowest
        values /= max(statistics.highest - statistics.lowest, SMALLEST_STD)
        return values
    if intensity.over == "image":
        return _standardize(values, statistics.mean, statistics.std)
    changed = values != 0 if intensity.over == "nonzero" else filled
    if changed is None:
        raise ValueError("zscore over nonzero_filled needs the mask")
    return np.where(changed, _standardize(values.copy(), statistics.mean, statistics.std), values)


def _standardize(values: F32, mean: float, std: float) -> F32:
    values -= mean
    values /= max(std, SMALLEST_STD)
    return values


def _logistic(values: F32, lower: float, upper: float) -> F32:
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
