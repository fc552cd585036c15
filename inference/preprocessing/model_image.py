"""A network's input, made a few slices at a time: resampled, then normalized, as in training."""

import numpy as np
from numpy.typing import NDArray

from inference.imaging.volume import Volume
from inference.preprocessing.intensity import ImageStatistics, normalize
from inference.preprocessing.resampling import model_size, resample_slices
from inference.threads import spread
from model.manifest import Network, Zyx

F32 = NDArray[np.float32]

AIR_HU = -500.0
"""Voxels up to here are air or lung: what is looked for lies above, fat included."""


class ModelImage:
    """A region on a network's grid.

    Holds only the slices that were asked for last, so that memory does not grow with the scan.

    Args:
        region: in canonical orientation.
        network: says spacing, interpolation and intensity.
        statistics: of the whole image, for intensities that need them.
    """

    def __init__(self, region: Volume, network: Network, statistics: ImageStatistics | None = None) -> None:
        self._region = region
        self._network = network
        self._statistics = statistics
        geometry = region.geometry
        self.size_zyx: Zyx = model_size(geometry.size_zyx, geometry.spacing_zyx_mm, network.spacing_zyx_mm)
        self._first = 0
        self._held: F32 = np.zeros((0, *self.size_zyx[1:]), np.float32)

    def slices(self, first: int, stop: int) -> F32:
        """Slices `first` to before `stop` of the normalized image (z, y, x), not to be changed.

        Made once if asked for in rising order.
        """
        held = self._first + len(self._held)
        if (first, stop) == (self._first, held):
            return self._held
        if not self._first <= first <= held <= stop:
            self._held, held = self._held[:0], first
        fresh = self._make(held, stop) if held < stop else self._held[:0]
        self._held = np.concatenate([self._held[first - self._first if len(self._held) else 0 :], fresh])
        self._first = first
        return self._held

    def air(self) -> float:
        """Value of the normalized image up to which a voxel is air."""
        return float(normalize(np.full(1, AIR_HU, np.float32), self._network.intensity, self._statistics)[0])

    def _make(self, first: int, stop: int) -> F32:
        def part(start: int, end: int) -> F32:
            resampled = resample_slices(
                self._region.array, self.size_zyx, first + start, first + end, self._network.interpolation
            )
            return normalize(resampled, self._network.intensity, self._statistics)

        return np.concatenate(spread(part, stop - first))
