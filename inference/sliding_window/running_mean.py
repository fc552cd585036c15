"""Averages of overlapping windows that are means at every moment."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.sliding_window.placement import covered
from inference.threads import Threads
from model.arrays import F32, Zyx

HALF = np.float32(0.5)


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

    def add(self, values: F32, importance: F32, start: Zyx, threads: Threads) -> None:
        """Add one window.

        Args:
            values: (channels, z, y, x) of the window.
            importance: (z, y, x) of the window, above 0.
            start: where the window begins, see `window_starts`; what lies outside is left out.
            threads: work on slices.
        """
        depth, height, width = self.weight.shape
        window = (importance.shape[0], importance.shape[1], importance.shape[2])
        (z, y, x), (wz, wy, wx) = covered(start, window, (depth, height, width))

        def slices(first: int, stop: int) -> None:
            for k in range(first, stop):  # A slice of all classes at a time stays in the processor's cache.
                weight = importance[wz.start + k, wy, wx]
                total = self.weight[z.start + k, y, x]
                mean, value = self.mean[:, z.start + k, y, x], values[:, wz.start + k, wy, wx]
                if total.any():
                    total += weight
                    update_mean(mean, value, weight / total)
                else:  # The mean of one value is the value.
                    total[...] = weight
                    mean[...] = value

        threads.spread(slices, z.stop - z.start)

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


class WholeWindows:
    """What `RunningMean` gives where each window covers everything, in the memory of the first one's values.

    Bit for bit the same for one window, since a mean of one value is the value, and for two that count as
    much: whatever a voxel's importance, half of its total is exactly the second one's share.
    """

    def __init__(self, channels: int, size_zyx: Zyx) -> None:
        self._empty = (channels, *size_zyx)
        self._values: F32 | None = None

    @property
    def mean(self) -> F32:
        """(channels, z, y, x): mean of the values; 0 if there were none."""
        return np.zeros(self._empty, np.float32) if self._values is None else self._values

    @property
    def weight(self) -> F32:
        """(z, y, x): 1 where a window was added, else 0; a view of one value."""
        return np.broadcast_to(np.float32(self._values is not None), self._empty[1:])

    def take(self, values: F32, start: Zyx, threads: Threads) -> None:
        """Take the values of the first window or of the second (channels, z, y, x), which begin at `start`.

        The first one's must be contiguous and stay where they are until the mean was read: they become the
        mean.

        What lies outside is left out by moving the rest together: later steps want channels in one piece, and
        a copy would take as much memory again. So `values` are no longer what they were.
        """
        _, depth, height, width = self._empty
        window = (values.shape[1], values.shape[2], values.shape[3])
        _, of_window = covered(start, window, (depth, height, width))
        inside = values[:, *of_window]
        if self._values is None:
            self._values = inside if inside.shape == values.shape else _together(values, inside)
            return
        mean = self._values

        def slices(first: int, stop: int) -> None:
            for k in range(first, stop):  # A slice of all classes at a time stays in the processor's cache.
                update_mean(mean[:, k], inside[:, k], HALF)

        threads.spread(slices, depth)

    def advance(self, slices: int) -> None:
        """Forget the windows."""
        del slices
        self._values = None


def _together(values: F32, inside: F32) -> F32:
    """A part of an array (channels, z, y, x), moved to its front."""
    together = values.reshape(-1)[: inside.size].reshape(inside.shape)
    for channel, slices in zip(together, inside, strict=True):
        for index in range(len(slices)):  # Each moves towards the front, past none that comes after it.
            channel[index] = slices[index]
    return together


def update_mean(mean: F32, value: F32, share: F32 | np.float32) -> None:
    """Move a mean towards a new value in place: `mean += (value - mean) * share`.

    The share is the new value's weight over the total weight so far.
    """
    step: NDArray[Any] = value - mean
    step *= share
    mean += step
