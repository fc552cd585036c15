"""Arrays of a prepared store, read as far as they are asked for.

A chunk (`training.data.prepared`) is the least that is read and decompressed. Values are kept as they were
stored, which takes half of the memory, and become network input when they are asked for.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.preprocessing.intensity import ChannelStatistics, needs_statistics, normalize
from model.arrays import U8
from model.labels import Table
from model.manifest.intensity import Intensity

Index = Any
"""Slices along the first axes, or `...`."""


class Chunked(Protocol):
    """What can be sliced: an array in memory, or one in chunks on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes, bytes."""

    def __getitem__(self, index: Index, /) -> NDArray[Any]:
        """The part inside slices."""


@dataclass(frozen=True)
class SliceRange:
    """Some slices of an array, as an array of its own; nothing is read before it is asked for."""

    whole: Chunked
    """The array, (…, z, y, x)."""
    inside: slice
    """Its slices along z; first and stop are stated."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""
        *channels, _, y, x = self.whole.shape
        return (*channels, self.inside.stop - self.inside.start, y, x)

    @property
    def nbytes(self) -> int:
        """Memory that the whole array takes, bytes."""
        return self.whole.nbytes

    def __getitem__(self, index: Index) -> NDArray[Any]:
        """The part inside slices along the first axes."""
        given = index if isinstance(index, tuple) else (index,)
        axes = len(self.shape)
        parts = [*given, *[slice(None)] * (axes - len(given))]
        first, stop, step = parts[axes - 3].indices(self.shape[axes - 3])
        parts[axes - 3] = slice(self.inside.start + first, self.inside.start + stop, step)
        return self.whole[tuple(parts)]


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image whose voxels are stored as they were before normalization."""

    values: Chunked
    """(input channels, z, y, x), int16; or float32 network input."""
    intensities: tuple[Intensity, ...] | None
    """How the values of each channel become network input; None: they are network input."""
    statistics: tuple[ChannelStatistics, ...]
    """Of each channel of the image that the values were made from."""
    dtype: type[np.floating[Any]] = np.float32
    """Type of the network input; half floats take longer to make than they spare in copying."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Input channels, and voxels along z, y, x."""
        return self.values.shape

    @property
    def nbytes(self) -> int:
        """Memory that the values take, bytes; none on disk."""
        return self.values.nbytes

    @property
    def can_wait(self) -> bool:
        """Whether a part of the stored values can be normalized later, without the whole image."""
        return self.intensities is not None and not any(map(needs_statistics, self.intensities))

    def slices(self, inside: slice) -> "StoredImage":
        """Some of its slices along z, which are not read yet."""
        return replace(self, values=SliceRange(self.values, inside))

    def __getitem__(self, index: Index) -> NDArray[np.floating]:
        """Network input inside slices; the first axis, of the channels, must be asked for as a whole."""
        read = np.asarray(self.values[index])
        if self.intensities is None:
            return read
        made = [
            normalize(values, intensity, statistics)
            for values, intensity, statistics in zip(read, self.intensities, self.statistics, strict=True)
        ]
        together = made[0][None] if len(made) == 1 else np.stack(made)
        return together.astype(self.dtype, copy=False)


@dataclass(frozen=True, kw_only=True)
class StoredLabels:
    """A label map that becomes output channels when it is asked for."""

    ids: Chunked
    """Label id of each voxel, (z, y, x) uint8."""
    table: Table
    """From label id to output channel, (256,)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along z, y, x."""
        return self.ids.shape

    @property
    def nbytes(self) -> int:
        """Memory that the ids take, bytes; none on disk."""
        return self.ids.nbytes

    def slices(self, inside: slice) -> "StoredLabels":
        """Some of its slices along z, which are not read yet."""
        return replace(self, ids=SliceRange(self.ids, inside))

    def __getitem__(self, index: Index) -> U8:
        """Output channels inside slices."""
        channels: U8 = self.table[np.asarray(self.ids[index])]
        return channels
