"""An image in memory: its voxels and where they lie; cropping, canonical orientation.

| name | what it is |
|---|---|
| `Volume.array` | (z, y, x), int16 where that holds every value of the file, float32 else |
| `Geometry` | size, spacing, origin and direction of a grid (`inference.geometry`) |
| `Orientation` | permutation and flips between a stored and the canonical array |
"""

from dataclasses import dataclass, replace

import numpy as np

from inference.geometry import Box, Geometry, box_of
from inference.imaging.orientation import Orientation, orient, orientation_of
from model.arrays import Mask, Voxels


@dataclass(frozen=True, kw_only=True, eq=False)
class Volume:
    """Voxels on a grid: one channel, or several on the same grid."""

    array: Voxels
    """The first channel (z, y, x)."""
    geometry: Geometry
    warnings: tuple[str, ...] = ()
    """What was odd about the file and how it was taken, for the user."""
    doubts: tuple[str, ...] = ()
    """Those of the warnings for which the image may be refused (`inference.trust.input_doubts`): its voxels
    are not where they are taken to be, or some have no value."""
    further: tuple[Voxels, ...] = ()
    """The other channels, each (z, y, x)."""
    modalities: tuple[str, ...] = ()
    """What the file of each channel says made it, as DICOM writes it (`CT`, `MR`), empty where it does not
    say; nothing where no file can."""
    filled: Mask | None = None
    """Voxels where any channel is not 0, holes filled; only where a network's normalization asks for it."""

    def __post_init__(self) -> None:
        for array in (*self.channels, *(() if self.filled is None else (self.filled,))):
            if array.shape != self.geometry.size_zyx:
                raise ValueError(f"array is {array.shape}, the grid is {self.geometry.size_zyx}")

    @property
    def channels(self) -> tuple[Voxels, ...]:
        """All channels, each (z, y, x)."""
        return (self.array, *self.further)

    @property
    def voxel_bytes(self) -> int:
        """What a voxel takes in memory, all channels together."""
        return sum(array.itemsize for array in self.channels)


def to_canonical(volume: Volume) -> tuple[Volume, Orientation]:
    """The volume with array axes closest to superior, posterior, left (LPS); a view.

    `orientation.undo(array)` turns an array on the canonical grid back into the stored order.
    """
    orientation = orientation_of(volume.geometry)
    return turned(volume, orientation), orientation


def turned(volume: Volume, orientation: Orientation) -> Volume:
    """The volume with its axes turned, at its place in the world; a view."""
    return replace(
        volume,
        array=orientation.apply(volume.array),
        geometry=orient(volume.geometry, orientation),
        further=tuple(orientation.apply(array) for array in volume.further),
        filled=None if volume.filled is None else orientation.apply(volume.filled),
    )


def crop(volume: Volume, box: Box) -> Volume:
    """The part of a volume inside a box, at its place in the world; a view.

    Raises:
        ValueError: the box reaches beyond the volume.
    """
    if any(stop > size for stop, size in zip(box.stop_zyx, volume.geometry.size_zyx, strict=True)):
        raise ValueError(f"box ends at {box.stop_zyx}, the volume at {volume.geometry.size_zyx}")
    x, y, z = (float(value) for value in volume.geometry.to_world(box.start_zyx))
    geometry = replace(volume.geometry, size_zyx=box.size_zyx, origin_xyz_mm=(x, y, z), nifti_header=None)
    return replace(
        volume,
        array=volume.array[box.slices],
        geometry=geometry,
        further=tuple(array[box.slices] for array in volume.further),
        filled=None if volume.filled is None else volume.filled[box.slices],
    )


def foreground_box(volume: Volume, *, positive: bool = False, margin: int = 0) -> Box:
    """The smallest box around voxels that are not 0 in any channel; everything where there are none.

    Args:
        volume: an image.
        positive: whether voxels must be above 0.
        margin: voxels that the box reaches farther on every side, as far as the volume does.
    """
    held = [np.zeros(size, bool) for size in volume.geometry.size_zyx]
    for array in volume.channels:
        for index, plane in enumerate(array):
            filled = plane > 0 if positive else plane != 0
            held[0][index] |= filled.any()
            held[1] |= filled.any(axis=1)
            held[2] |= filled.any(axis=0)
    sizes = volume.geometry.size_zyx
    box = box_of(held) or Box(start_zyx=(0, 0, 0), stop_zyx=sizes)
    z0, y0, x0 = (max(0, start - margin) for start in box.start_zyx)
    z1, y1, x1 = (min(size, stop + margin) for size, stop in zip(sizes, box.stop_zyx, strict=True))
    return Box(start_zyx=(z0, y0, x0), stop_zyx=(z1, y1, x1))
