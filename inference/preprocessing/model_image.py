"""A network's input, made a few slices at a time: resampled and normalized as in training.

Shapes: channels of an image (z, y, x), a network's input (channels, z, y, x) float32.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from inference.imaging.volume import Volume
from inference.preprocessing.intensity import (
    ChannelStatistics,
    Over,
    channel_statistics,
    needs_statistics,
    normalize,
    statistics_over,
)
from inference.preprocessing.model_grid import InputScheme, model_grid
from inference.preprocessing.resampling import Limits, Prepare, resample_slices, spline_limits
from inference.threads import Threads
from model.arrays import F32, Voxels, Zyx
from model.manifest.intensity import Intensity
from model.manifest.resampling import along_axes

AIR_HU = -500.0
"""Voxels up to here are air or lung: what is looked for lies above, fat included."""


MakeSlices = Callable[[int, int], F32]
"""Makes slices from one to before another of a channel's input."""


@dataclass(frozen=True)
class CaseStatistics:
    """Figures of a whole case, taken when a scheme first asks for them and kept for the others."""

    volume: Volume
    _kept: dict[tuple[int, Over], ChannelStatistics] = field(default_factory=dict)

    def of(self, channel: int, intensity: Intensity) -> ChannelStatistics | None:
        """What a scheme needs to know of a channel; None where it needs nothing."""
        if not needs_statistics(intensity):
            return None
        over = statistics_over(intensity)
        if (channel, over) not in self._kept:
            array = self.volume.channels[channel]
            self._kept[channel, over] = channel_statistics(array, over, self.volume.filled)
        return self._kept[channel, over]


class ModelImage:
    """A region on a network's grid.

    Holds only the slices that were asked for last, so that memory does not grow with the scan.

    Args:
        region: what the network sees, in the orientation in which it is looked at.
        scheme: how its input is made.
        statistics: of the whole case.
        threads: work on slices.
    """

    def __init__(
        self, region: Volume, scheme: InputScheme, statistics: CaseStatistics, threads: Threads
    ) -> None:
        self._region = region
        self._scheme = scheme
        self._statistics = statistics
        self._threads = threads
        geometry = region.geometry
        grid = model_grid(geometry.size_zyx, geometry.spacing_zyx_mm, scheme)
        self.size_zyx: Zyx = grid.size_zyx
        self._lines = grid.lines
        self._along = along_axes(scheme.resampling, geometry.spacing_zyx_mm, scheme.spacing_zyx_mm)
        self._first = 0
        self._held: F32 = self._nothing()
        self._resampled: dict[int, ChannelStatistics] = {}

    def slices(self, first: int, stop: int) -> F32:
        """Slices `first` to before `stop` of the input (channels, slices, y, x), not to be changed.

        Made once if asked for in rising order.
        """
        held = self._first + self._held.shape[1]
        if (first, stop) == (self._first, held):
            return self._held
        if not self._first <= first <= held <= stop:
            self._held, held = self._nothing(), first
            self._first = first
        fresh = self._make(held, stop) if held < stop else self._nothing()
        self._held = np.concatenate([self._held[:, first - self._first :], fresh], axis=1)
        self._first = first
        return self._held

    def air(self, channel: int) -> float:
        """Value of a CT channel's input up to which a voxel is air."""
        intensity = self._scheme.intensities[channel]
        statistics = self._figures(channel)
        air = np.full(1, AIR_HU, np.float32)
        return float(normalize(air, intensity, statistics, np.ones(1, bool))[0])

    def _nothing(self) -> F32:
        return np.zeros((len(self._scheme.intensities), 0, *self.size_zyx[1:]), np.float32)

    def _make(self, first: int, stop: int) -> F32:
        count = len(self._scheme.intensities)
        fresh = np.empty((count, stop - first, *self.size_zyx[1:]), np.float32)
        for channel in range(count):
            make = self._maker(channel)

            def part(start: int, end: int, channel: int = channel, make: MakeSlices = make) -> None:
                fresh[channel, start:end] = make(first + start, first + end)

            self._threads.spread(part, stop - first)
        return fresh

    def _maker(self, channel: int) -> MakeSlices:
        """What makes slices of a channel; figures of the whole image are taken here, once."""
        array, along, size = self._region.channels[channel], self._along, self.size_zyx
        intensity = self._scheme.intensities[channel]
        statistics = self._figures(channel)
        limits, lines = self._limits[channel], self._lines
        prepare = self._prepare(channel) if self._scheme.normalize_first else None

        def make(start: int, stop: int) -> F32:
            made = resample_slices(
                array, size, start, stop, along, prepare=prepare, limits=limits, lines=lines
            )
            return made if prepare else normalize(made, intensity, statistics)

        return make

    def _figures(self, channel: int) -> ChannelStatistics | None:
        """What the channel's scheme needs to know of the whole image."""
        intensity = self._scheme.intensities[channel]
        if self._scheme.figures_first or not needs_statistics(intensity):
            return self._statistics.of(channel, intensity)
        if channel not in self._resampled:
            array, limits = self._region.channels[channel], self._limits[channel]
            slices = (
                resample_slices(
                    array, self.size_zyx, k, k + 1, self._along, limits=limits, lines=self._lines
                )[0]
                for k in range(self.size_zyx[0])
            )
            self._resampled[channel] = channel_statistics(slices, statistics_over(intensity))
        return self._resampled[channel]

    def _prepare(self, channel: int) -> Prepare:
        intensity = self._scheme.intensities[channel]
        statistics = self._statistics.of(channel, intensity)
        filled = self._region.filled

        def prepare(plane: Voxels, index: int) -> F32:
            return normalize(plane, intensity, statistics, None if filled is None else filled[index])

        return prepare

    @cached_property
    def _limits(self) -> tuple[Limits | None, ...]:
        """What each channel is clipped to, where a spline needs it."""
        return tuple(
            spline_limits(
                array, self._along, self._prepare(channel) if self._scheme.normalize_first else None
            )
            for channel, array in enumerate(self._region.channels)
        )
