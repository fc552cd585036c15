"""Images that a program made of arrays of its own, brought to what a file of the same values gives."""

from dataclasses import replace

import numpy as np

from inference.imaging.formats.voxels import VoxelSink, finite
from inference.imaging.volume import Volume
from model.arrays import Voxels

NUMBERS = "biuf"
"""Kinds of numpy's types that hold real numbers."""


def as_read(volume: Volume) -> tuple[Volume, tuple[str, ...]]:
    """The volume with channels in int16 or float32 that hold finite numbers alone, as files are read.

    Whole numbers that fit become int16, all others float32; NaN and -inf the smallest finite value, +inf the
    largest. Arrays are not changed: where that is to be done, it is done in a copy.

    Returns:
        The volume itself where it is so; and warnings of what was replaced, which are among its doubts too.

    Raises:
        TypeError: it is no volume, or a channel is no array of real numbers.
        InputError: a channel has no finite value.
    """
    if not isinstance(volume, Volume):
        raise TypeError(
            f"volume: must be a Volume (of read_volume, or of an array and a Geometry), is {_named(volume)}"
        )
    made = [_as_read(array) for array in volume.channels]
    channels = [array for array, _ in made]
    warnings = tuple(dict.fromkeys(warning for _, more in made for warning in more))
    if all(new is old for new, old in zip(channels, volume.channels, strict=True)):
        return volume, warnings
    doubts = (*volume.doubts, *warnings)
    return replace(volume, array=channels[0], further=tuple(channels[1:]), doubts=doubts), warnings


def _as_read(array: Voxels) -> tuple[Voxels, tuple[str, ...]]:
    """A channel (z, y, x) as a file of its values is read, and warnings."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in NUMBERS:
        raise TypeError(f"array: must be a numpy array of real numbers, is {_named(array)}")
    if array.dtype == np.int16:
        return array, ()
    if array.dtype == np.float32:
        return (
            (array, ())
            if all(np.isfinite(plane).all() for plane in array)
            else finite(array.copy(), "volume")
        )
    sink = VoxelSink(array.size)
    for index, plane in enumerate(array):
        sink.put(index * plane.size, plane.ravel())
    return finite(sink.values.reshape(array.shape), "volume")


def _named(value: object) -> str:
    dtype = getattr(value, "dtype", None)
    return type(value).__name__ + (f" of {dtype}" if dtype is not None else "")
