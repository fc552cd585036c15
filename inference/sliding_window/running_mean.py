"""Averages of overlapping windows that are means at every moment."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.sliding_window.placement import covered
from inference.threads import Threads
from model.arrays import F32, Zyx


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


class OneWindow:
    """What `RunningMean` gives where a single window covers everything: its values, in the same memory.

    Bit for bit the same, since a mean of one value is the value.
    """

    def __init__(self, channels: int, size_zyx: Zyx) -> None:
        self._empty = (channels, *size_zyx)
        self._values: F32 | None = None

    @property
    def mean(self) -> F32:
        """(channels, z, y, x): the values; 0 if there was none."""
        return np.zeros(self._empty, np.float32) if self._values is None else self._values

    @property
    def weight(self) -> F32:
        """(z, y, x): 1 where the window was added, else 0; a view of one value."""
        return np.broadcast_to(np.float32(self._values is not None), self._empty[1:])

    def take(self, values: F32, start: Zyx) -> None:
        """Take the window's values (channels, z, y, x), contiguous, which begin at `start`.

        What lies outside is left out by moving the rest together: later steps want channels in one piece, and
        a copy would take as much memory again. So `values` are no longer what they were.
        """
        _, depth, height, width = self._empty
        window = (values.shape[1], values.shape[2], values.shape[3])
        _, of_window = covered(start, window, (depth, height, width))
        inside = values[:, *of_window]
        if inside.shape != values.shape:
            together = values.reshape(-1)[: inside.size].reshape(inside.shape)
            for channel, slices in zip(together, inside, strict=True):
                for index in range(depth):  # Each moves towards the front, past none that comes after it.
                    channel[index] = slices[index]
            inside = together
        self._values = inside

    def advance(self, slices: int) -> None:
        """Forget the window."""
        del slices
        self._values = None


def update_mean(mean: F32, value: F32, share: F32 | np.float32) -> None:
    """Move a mean towards a new value in place: `mean += (value - mean) * share`.

    The share is the new value's weight over the total weight so far.
    """
    step: NDArray[Any] = value - mean
    step *= share
    mean += step
