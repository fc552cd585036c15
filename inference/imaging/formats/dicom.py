"""DICOM: a folder that holds one series, or a single file.

Enhanced images with many frames count as so many slices.

The slices are put in order by their positions; images that do not make one stack are refused. Plain pixels
are read here; packed ones (JPEG and the like) in `inference.imaging.formats.unpack`, after the structure of
their file was found sound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.errors import InputError, reason
from inference.geometry import Geometry
from inference.imaging.formats.dicom_choice import CT, choose_series
from inference.imaging.formats.dicom_discord import commonest, discord, name_of, names_of
from inference.imaging.formats.dicom_file import DicomImage
from inference.imaging.formats.file_bytes import MOST_INFLATED, FileBytes
from inference.imaging.formats.image_file import mended_geometry, spaced
from inference.imaging.formats.unpack import PIXEL_BYTES, PROCESS_MB, unpacker
from inference.imaging.formats.voxels import VoxelSink, expected_bytes
from model.arrays import F64, Voxels
from model.units import MIB

SAME_PLACE_MM = 1e-3
UNEVEN = 0.05
"""Share of the usual distance by which neighbouring slices may be nearer or farther before the user is
told."""
WHOLE = 0.2
"""Share of the usual distance by which a gap may miss a whole multiple of it and still be one of missing
slices."""
PLAIN_PIXEL_BYTES = 20
"""What a pixel of a slice that is not packed takes while it is read: as stored, shifted, and in double
precision while it is rescaled."""
DEFLATED_MB = 2 * MOST_INFLATED / MIB
"""What a deflated file takes at most, as it lies on disk and inflated."""
TILT_DEGREES = 0.5


@dataclass(frozen=True, kw_only=True)
class Series:
    """One series whose headers were read and make one stack; its pixels are still on disk."""

    images: Sequence[DicomImage]
    """Slices in order."""
    geometry: Geometry
    warnings: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    """Those of the warnings by which the slices are not where they are taken to be."""

    @property
    def modality(self) -> str:
        """What made most of it, as DICOM writes it; empty where the files do not say."""
        return commonest(self.images, lambda image: image.modality)

    @property
    def voxel_bytes(self) -> int:
        """The bytes that a voxel is expected to take (`voxels.expected_bytes`)."""
        return max(expected_bytes(image.stored, image.slope, image.intercept) for image in self.images)

    @property
    def reading_mb(self) -> float:
        """MiB that reading takes at most beside the voxels, a process that unpacks them included."""
        return max(
            (PROCESS_MB if image.is_packed else 0.0)
            + image.rows * image.columns * (PIXEL_BYTES if image.is_packed else PLAIN_PIXEL_BYTES) / MIB
            + (0.0 if image.deflated_at is None else DEFLATED_MB)
            for image in self.images
        )

    def read(self) -> Voxels:
        """The array (z, y, x), rescaled to HU as the files say.

        Raises:
            InputError: damage.
        """
        sink = VoxelSink(int(np.prod(self.geometry.size_zyx)))
        at = 0
        with unpacker() as unpacking:
            for image in self.images:
                count = image.rows * image.columns
                if image.is_packed:
                    sink.put(at, unpacking.values(image.path, count))
                else:
                    sink.put(at, _pixels(image), image.slope, image.intercept)
                at += count
        return sink.values.reshape(self.geometry.size_zyx)


def open_series(path: Path, modality: str = CT, asked: str | None = None) -> Series:
    """Read the headers of the series in a folder (or one level below it), or of one file.

    Args:
        path: a folder or a file.
        modality: that is expected, by which `choose_series` takes one of several.
        asked: the one to take, by its SeriesInstanceUID or a SeriesNumber that no other has; None: any.

    Raises:
        InputError: no DICOM files, several series of the same length, none called as asked, colour, slices
            that do not make one stack, damage.
    """
    chosen, warnings = choose_series(path, modality, asked)
    images = _in_order(path, chosen)
    doubts = _unevenness(images)
    geometry, notes = _grid(path, images, [*warnings, *discord(images), *doubts])
    return Series(images=images, geometry=geometry, warnings=notes, doubts=tuple(doubts))


def _in_order(path: Path, images: list[DicomImage]) -> list[DicomImage]:
    """The slices along their normal."""
    if len(images) == 1:
        return images
    for image in images:
        if image.position_mm is None or image.orientation is None:
            raise InputError(
                f"{image.path}: does not say where it lies; export the series again as original images, one "
                "a slice"
            )
    normal = images[0].normal
    images = sorted(images, key=lambda image: float(np.dot(image.position_mm or (), normal)))
    apart = np.diff([float(np.dot(image.position_mm or (), normal)) for image in images])
    if apart.min() < SAME_PLACE_MM:
        raise InputError(_at_one_place(path, *images[(at := int(apart.argmin())) : at + 2]))
    return images


def _at_one_place(path: Path, one: DicomImage, other: DicomImage) -> str:
    """What is wrong with a series of which two images, that are no copies, lie at the same place."""
    two = " and ".join(names_of((one, other)))
    if one.path == other.path:
        two = f"{name_of(one)}, frames {one.frame + 1} and {other.frame + 1}"
    elif one.sop_uid and one.sop_uid == other.sop_uid:
        return (
            f"{path}: {two} are the same image (SOPInstanceUID) with other contents; remove the one that is "
            "wrong"
        )
    return (
        f"{path}: several of its images lie at the same place ({two}, for example; several phases?); give "
        "one phase a folder"
    )


def _grid(path: Path, images: Sequence[DicomImage], warnings: list[str]) -> tuple[Geometry, tuple[str, ...]]:
    first = images[0]
    sizes_mm = [image for image in images if image.spacing_yx_mm]
    if first.orientation is None or first.position_mm is None or not sizes_mm:
        raise InputError(
            f"{path}: says nothing about its place or the size of its pixels; export the series again as "
            "original images"
        )
    row, column, normal = np.array(first.orientation[:3]), np.array(first.orientation[3:]), first.normal
    between = first.thickness_mm or 1.0
    if len(images) > 1:
        positions = np.array([image.position_mm for image in images])
        # From plane to plane: what a tilted gantry shifts slices by within them makes no voxel thicker.
        between = float((positions[-1] - positions[0]) @ normal) / (len(images) - 1)
    elif not first.thickness_mm:
        warnings = [*warnings, "one slice that does not say how thick it is; 1 mm was taken"]
    y_mm, x_mm = commonest(sizes_mm, lambda image: image.spacing_yx_mm or ())
    spacing = spaced(path, np.array([x_mm, y_mm, between]))
    size = (len(images), first.rows, first.columns)
    return mended_geometry(
        path, size, spacing, np.array(first.position_mm), np.stack([row, column, normal], axis=1), warnings
    )


def _unevenness(images: Sequence[DicomImage]) -> list[str]:
    """Warnings about slices, in order, that are not a straight, even stack."""
    if len(images) == 1:
        return []
    warnings = []
    normal = images[0].normal
    steps = np.diff(np.array([image.position_mm for image in images], np.float64), axis=0)
    apart = steps @ normal
    usual = float(np.median(apart))
    if np.abs(apart / usual - 1).max() > UNEVEN:
        missing = _missing(apart / usual)
        seem = f"{missing} seem{'s' * (missing == 1)} to be missing" if missing else "is one missing?"
        warnings.append(
            f"slices are {apart.min():.2f} to {apart.max():.2f} mm apart ({seem}); they were taken as evenly "
            "spaced, which misplaces them; export the whole series again"
        )
    drift = float(np.linalg.norm(steps - apart[:, None] * normal, axis=1).max())
    tilt = float(np.degrees(np.arctan2(drift, usual)))
    if tilt > TILT_DEGREES:
        warnings.append(
            f"slices are shifted against one another (gantry tilted by {tilt:.1f}°); they were taken as a "
            "straight stack"
        )
    return warnings


def _missing(steps: F64) -> int:
    """How many slices gaps leave out, by steps in usual distances (n,): whole ones of 2 and more count.

    >>> _missing(np.array([1.0, 1.0, 4.0, 1.0, 1.5]))
    3
    """
    whole = np.round(steps)
    gaps = (whole >= 2) & (np.abs(steps - whole) <= WHOLE)
    return int((whole[gaps] - 1).sum())


def _pixels(image: DicomImage) -> NDArray[np.generic]:
    """Values of an image that is not packed, flat, as stored."""
    count = image.rows * image.columns
    try:
        with image.path.open("rb") as file:
            data = FileBytes(file)
            if image.deflated_at is not None:
                data = data.inflated(image.deflated_at)
            held = data[image.pixels_at : image.pixels_at + count * image.stored.itemsize]
    except OSError as error:
        raise InputError(f"{image.path}: cannot be read ({reason(error)})") from error
    except ValueError as error:
        raise InputError(f"{image.path}: is damaged ({error}); copy the series again") from error
    if len(held) != count * image.stored.itemsize:
        raise InputError(f"{image.path}: is truncated; copy the series again")
    raw = np.frombuffer(held, image.stored)
    unused, above = (
        8 * image.stored.itemsize - image.bits_stored,
        8 * image.stored.itemsize - 1 - image.high_bit,
    )
    if unused:  # overlays may lie in the other bits; shifting to and fro also carries the sign
        raw = (raw.astype(image.stored.newbyteorder("=")) << above) >> unused
    return raw
