"""Label maps: read, checked, and compared in physical space.

Arrays are (z, y, x), `size_xyz` and world coordinates are SimpleITK's: x, y, z, LPS, mm.
"""

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from eval.eval_errors import JudgingError
from eval.image_files import read_image
from model.arrays import F64, U8, ZyxMm, counts_of_ids

SAME_GRID_VOXELS = 0.05
"""Two grids are the same if no corner differs by more than this share of the smallest voxel size, which is
what rounding in headers does."""

TIMES_AS_FINE = 27
"""Voxels that a label map that is resampled may have for one of the other image: three along each axis."""
MANY_VOXELS = 2**28
"""Number of voxels that one may have whatever the other image's: a body of 1 m at 512×512×1000."""


@dataclass(frozen=True, kw_only=True)
class LabelVolume:
    """A label map and its grid in physical space."""

    path: Path
    """The file that it was read from."""
    labels: U8
    """Label of each voxel; shape (z, y, x)."""
    grid: sitk.Image
    """An image with this geometry; only its header is used."""

    @property
    def spacing_zyx_mm(self) -> ZyxMm:
        """Voxel size in the order of the array's axes."""
        x, y, z = self.grid.GetSpacing()
        return (z, y, x)

    @property
    def diagonal_mm(self) -> float:
        """Length of the diagonal of the image's box: no two places in it are farther apart."""
        return math.dist(
            (0, 0, 0), [n * mm for n, mm in zip(self.labels.shape, self.spacing_zyx_mm, strict=True)]
        )

    def as_image(self) -> sitk.Image:
        """The labels as an image of 8 bits per voxel."""
        image = sitk.GetImageFromArray(self.labels)
        image.CopyInformation(self.grid)
        return image

    @property
    def head_axis(self) -> int:
        """Array axis that runs closest to the body's feet-to-head direction."""
        direction = np.abs(np.reshape(self.grid.GetDirection(), (3, 3)))
        return 2 - int(np.argmax(direction[2]))


def read_labels(path: Path) -> LabelVolume:
    """Read a label map of any pixel type whose values are whole numbers from 0 to 255.

    Raises:
        JudgingError: the file cannot be read or holds other values.
    """
    image = read_image(path)
    return LabelVolume(path=path, labels=_as_labels(sitk.GetArrayFromImage(image), path), grid=image)


def _as_labels(voxels: NDArray[np.generic], path: Path) -> U8:
    if voxels.dtype == np.uint8:
        return np.asarray(voxels, np.uint8)
    low, high = float(voxels.min()), float(voxels.max())
    if not (low >= 0 and high <= 255):
        raise JudgingError(
            f"{path}: holds values from {low:g} to {high:g}, a label map has 0 to 255; is this an image?"
        )
    labels = voxels.astype(np.uint8)
    if not np.array_equal(labels, voxels):
        raise JudgingError(f"{path}: holds values that are not whole numbers, so it is no label map")
    return labels


def size_difference(first_xyz: tuple[int, ...], second_xyz: tuple[int, ...]) -> str | None:
    """The difference between the sizes of two images, in words; None if they are the same."""
    if first_xyz == second_xyz:
        return None
    return f"sizes differ, {_times(first_xyz)} and {_times(second_xyz)} voxels"


def is_too_fine(size_xyz: tuple[int, ...], other_xyz: tuple[int, ...]) -> bool:
    """Whether an image has too many voxels to be brought onto another's grid: its header may state any."""
    return math.prod(size_xyz) > max(MANY_VOXELS, TIMES_AS_FINE * math.prod(other_xyz))


def grid_difference(first: sitk.Image, second: sitk.Image) -> str | None:
    """The difference between the grids of two images, in words; None if the grids are the same."""
    if sizes := size_difference(first.GetSize(), second.GetSize()):
        return sizes
    last = [size - 1 for size in first.GetSize()]
    corners = [
        tuple(c * n for c, n in zip(corner, last, strict=True))
        for corner in itertools.product((0, 1), repeat=3)
    ]
    places_mm = [
        np.array([image.TransformIndexToPhysicalPoint(corner) for corner in corners])
        for image in (first, second)
    ]
    apart_mm = float(np.linalg.norm(places_mm[0] - places_mm[1], axis=1).max())
    smallest_mm = min(first.GetSpacing() + second.GetSpacing())
    if apart_mm > SAME_GRID_VOXELS * smallest_mm or not np.allclose(
        first.GetSpacing(), second.GetSpacing(), rtol=1e-2
    ):
        return (
            f"same size, but corners lie up to {apart_mm:.2f} mm apart (origin, spacing or direction differs)"
        )
    return None


def onto_grid(volume: LabelVolume, grid: sitk.Image) -> LabelVolume:
    """A label map resampled onto another grid: each voxel takes the label nearest in physical space.

    A label that lies between the centres of all voxels is given to those that its own lie in, as far as no
    other label is lost for it: where two fight for the last voxel, the one that was sampled there stays.

    Raises:
        JudgingError: some labels lie outside the grid and would be lost.
    """
    moved: U8 = sitk.GetArrayFromImage(
        sitk.Resample(volume.as_image(), grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    )
    lost_ml = _volume_outside_ml(volume, grid)
    if lost_ml > 0:
        raise JudgingError(
            f"{volume.path}: {lost_ml:.3g} ml of labels lie outside the other image, "
            "which does not cover them"
        )
    voxels = counts_of_ids(moved)
    for label in np.flatnonzero((counts_of_ids(volume.labels) > 0) & (voxels == 0)):
        for z, y, x in np.unique(_voxels_at(np.argwhere(volume.labels == label), volume.grid, grid), axis=0):
            there = moved[z, y, x]
            if there == 0 or voxels[there] > 1:
                moved[z, y, x] = label
                voxels[there] -= 1
                voxels[label] += 1
    return LabelVolume(path=volume.path, labels=moved, grid=grid)


def _voxels_at(voxels_zyx: NDArray[np.intp], of: sitk.Image, grid: sitk.Image) -> NDArray[np.intp]:
    """The voxels of a grid nearest to some of another image, shape (voxels, 3): z, y and x of each.

    Args:
        voxels_zyx: indices in the other image, shape (voxels, 3).
        of: the other image.
        grid: the image whose voxels are wanted.
    """
    places_mm = np.array(of.GetOrigin()) + voxels_zyx[:, ::-1] @ _axes_mm(of).T
    indices_xyz = np.linalg.solve(_axes_mm(grid), (places_mm - np.array(grid.GetOrigin())).T)
    within = np.clip(np.rint(indices_xyz.T), 0, np.array(grid.GetSize()) - 1).astype(np.intp)
    return np.asarray(within[:, ::-1])


def _axes_mm(grid: sitk.Image) -> F64:
    """The steps from voxel to voxel along x, y and z, as the columns of a matrix."""
    return np.asarray(np.reshape(grid.GetDirection(), (3, 3)) * np.array(grid.GetSpacing()), np.float64)


def _volume_outside_ml(volume: LabelVolume, grid: sitk.Image) -> float:
    """Volume in ml of the voxels with a label of which no part lies in the box of another grid.

    Coarse voxels at the rim of one and the same field of view may have their centres beyond it.
    """
    size, spacing_mm = np.array(grid.GetSize()), np.array(grid.GetSpacing())
    middle = grid.TransformContinuousIndexToPhysicalPoint(((size - 1) / 2).tolist())
    turned = np.reshape(grid.GetDirection(), (3, 3)).T @ _axes_mm(volume.grid)
    reach_mm = np.abs(turned).sum(axis=1) / 2
    box = sitk.Image((1, 1, 1), sitk.sitkUInt8)
    # A voxel that only touches the box from outside is outside.
    box.SetSpacing((size * spacing_mm + 2 * (1 - 1e-6) * reach_mm).tolist())
    box.SetOrigin(middle)
    box.SetDirection(grid.GetDirection())
    seen = sitk.Resample(box + 1, volume.grid, sitk.Transform(), sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8)
    outside = np.count_nonzero((sitk.GetArrayViewFromImage(seen) == 0) & (volume.labels > 0))
    return float(outside) * float(np.prod(volume.spacing_zyx_mm)) / 1000.0


def _times(size: tuple[int, ...]) -> str:
    return "×".join(str(n) for n in size)
