"""Where a network's windows lie in an image, and how much each of them says about a voxel.

Arrays are (z, y, x); a window's *start* is the index of its first voxel in the image and is negative where
the image is smaller than the window.
"""

from functools import lru_cache
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inference.threads import spread
from model.manifest import Zyx

F32 = NDArray[np.float32]
Slices = tuple[slice, slice, slice]

MIN_IMPORTANCE = 1e-3
"""Least importance of a voxel relative to the window's centre, so that weights never vanish (MONAI's
floor)."""


def window_starts(size: int, window: int, overlap: float) -> tuple[int, ...]:
    """First voxels of the windows along one axis: as few as the overlap allows, evenly spread, first and last flush.

    Ten voxels, windows of four, half overlapping: at most 2 voxels from start to start, 6 to go, so four
    windows::

        voxel   0 1 2 3 4 5 6 7 8 9
        0       # # # #
        2           # # # #
        4               # # # #
        6                   # # # #

    With size 110, window 64, overlap 0.5 the starts are 0, 23, 46 (nnU-Net
    `compute_steps_for_sliding_window`). An image smaller than the window gets one window with the image in
    its middle: size 3, window 8 starts at -2. nnU-Net and MONAI pad symmetrically too, in training as in
    inference, so networks know images that lie so.

    Args:
        size: voxels of the image along the axis, at least 1.
        window: voxels of the window along the axis.
        overlap: share of a window that the next one covers again, 0 to 0.9; neighbours overlap at least so
            much.
    """
    if size <= window:
        return (-((window - size) // 2),)
    step = max(1.0, window * (1.0 - overlap))
    # Subtracting a little keeps 8 * (1 - 0.9) = 0.7999... from asking for one window more than 0.8 would.
    gaps = ceil((size - window) / step - 1e-6)
    return tuple(round(i * (size - window) / gaps) for i in range(gaps + 1))


def covered(start: Zyx, window_zyx: Zyx, size_zyx: Zyx) -> tuple[Slices, Slices]:
    """The part of the image under a window: where it is in the image, and where in the window."""
    ends = zip(start, window_zyx, size_zyx, strict=True)
    bounds = [(max(0, first), min(first + length, size)) for first, length, size in ends]
    z, y, x = (slice(low, high) for low, high in bounds)
    wz, wy, wx = (slice(low - first, high - first) for (low, high), first in zip(bounds, start, strict=True))
    return (z, y, x), (wz, wy, wx)


def read_window(image: F32, start: Zyx, window_zyx: Zyx) -> F32:
    """Copy one window out of a normalized image.

    What lies outside is 0, as nnU-Net and MONAI pad normalized images.

    Args:
        image: (z, y, x).
        start: may be negative, see `window_starts`.
        window_zyx: size of the result.
    """
    depth, height, width = image.shape
    of_image, of_window = covered(start, window_zyx, (depth, height, width))
    out = np.zeros(window_zyx, np.float32)
    out[of_window] = image[of_image]
    return out


@lru_cache(maxsize=8)
def importance_map(kind: Literal["gaussian", "constant"], window_zyx: Zyx) -> F32:
    """How much a window's output counts at each of its voxels.

    (z, y, x), above 0, largest in the middle, read-only.

    `gaussian` has sigma = 1/8 of the window along each axis (nnU-Net). It is centred between the two middle
    voxels of an even axis, where nnU-Net takes the later one, so that a mirrored window counts the same.
    """
    weights = np.ones(window_zyx, np.float32)
    if kind == "gaussian":
        for axis, length in enumerate(window_zyx):
            offset = np.arange(length) - (length - 1) / 2
            profile = np.exp(-0.5 * (offset / (length / 8)) ** 2).astype(np.float32)
            weights *= profile.reshape([-1 if a == axis else 1 for a in range(3)])
        weights /= weights.max()
        np.maximum(weights, np.float32(MIN_IMPORTANCE), out=weights)
    weights.flags.writeable = False
    return weights


class RunningMean:
    """Weighted mean of overlapping windows, kept as a mean at every moment.

    `mean += (value - mean) * weight / total weight so far` instead of sums that are divided at the end:
    windows that agree on a voxel then give exactly the value that they agree on (the difference is 0), so
    that a network that returns its input reconstructs an image bit for bit whatever the overlap and
    importance. It also needs no last pass over all classes.
    """

    def __init__(self, channels: int, size_zyx: Zyx) -> None:
        self.mean: F32 = np.zeros((channels, *size_zyx), np.float32)
        """(channels, z, y, x); 0 where no window was added."""
        self.weight: F32 = np.zeros(size_zyx, np.float32)
        """(z, y, x): sum of the importance of all windows added."""

    def add(self, values: F32, importance: F32, start: Zyx) -> None:
        """Add one window.

        Args:
            values: (channels, z, y, x) of the window.
            importance: (z, y, x) of the window, above 0.
            start: where the window begins, see `window_starts`; what lies outside is left out.
        """
        depth, height, width = self.weight.shape
        window = (importance.shape[0], importance.shape[1], importance.shape[2])
        (z, y, x), (wz, wy, wx) = covered(start, window, (depth, height, width))

        def slices(first: int, stop: int) -> None:
            for k in range(first, stop):  # A slice of all classes at a time stays in the processor's cache.
                weight = importance[wz.start + k, wy, wx]
                total = self.weight[z.start + k, y, x]
                total += weight
                update_mean(self.mean[:, z.start + k, y, x], values[:, wz.start + k, wy, wx], weight / total)

        spread(slices, z.stop - z.start)

    def advance(self, slices: int) -> None:
        """Forget the first slices.

        Those after them move to the front and what follows them is empty again.
        """
        depth = self.weight.shape[0]
        kept = max(0, depth - slices)
        for k in range(kept):
            self.weight[k] = self.weight[k + slices]
            self.mean[:, k] = self.mean[:, k + slices]
        self.weight[kept:] = 0
        self.mean[:, kept:] = 0


def update_mean(mean: F32, value: F32, share: F32 | np.float32) -> None:
    """Move a mean towards a new value in place: `mean += (value - mean) * share`, share = its weight / total weight."""
    step: NDArray[Any] = value - mean
    step *= share
    mean += step
