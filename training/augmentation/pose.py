"""Rotation, scaling, deformation and mirroring of a patch, by one interpolation.

Three ways, from cheap to dear, all of the same result: patches that are only mirrored are copied; those that
are turned, scaled or deformed in the axial plane are sampled in 2D with their slices as channels; the others
in 3D. Images are interpolated linearly and are 0 beyond the crop, labels take the nearest voxel and are
background there.

Shapes: crops (c, Z, Y, X) float32 and their labels (Z, Y, X) uint8, patches the same with (z, y, x).
Positions are in the crop's voxels, from its middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.arrays import F32, F64, Zyx
from training.augmentation.draws import Key, draw_matrix, generator
from training.augmentation.separable import apply_along, spline_matrix
from training.recipes.augmentation_options import Augmentation, Elastic


@dataclass(frozen=True, kw_only=True, eq=False)
class Pose:
    """How one patch looks at its crop."""

    matrix: F64
    """From offsets in the patch to offsets in the crop, (3, 3)."""
    displacement: F32 | None = None
    """Voxels added at control points, (3, points z, y, x), or (3, 1, points y, x) for all slices alike."""

    @property
    def only_mirrors(self) -> bool:
        """Whether voxels are only put in another order."""
        return self.displacement is None and bool(np.array_equal(np.abs(self.matrix), np.eye(3)))

    def crop_size(self, patch_zyx: Zyx) -> Zyx:
        """Voxels of the crop that the patch can see, along each axis; the patch's own plus an even number."""
        half = (np.array(patch_zyx) - 1) / 2  # to the middle of the outermost voxels
        beyond = np.abs(self.matrix) @ half - half
        if self.displacement is not None:
            beyond = beyond + np.abs(self.displacement).max(axis=(1, 2, 3))
        z, y, x = (
            int(n + 2 * max(0, np.ceil(more - 1e-9))) for n, more in zip(patch_zyx, beyond, strict=True)
        )
        return z, y, x

    @property
    def is_axial(self) -> bool:
        """Whether slices stay slices."""
        straight = not self.matrix[0, 1:].any() and not self.matrix[1:, 0].any()
        return straight and (self.displacement is None or self.displacement.shape[1] == 1)


def draw_pose_of(options: Augmentation, key: Key, patch_zyx: Zyx) -> Pose:
    """The pose of a patch."""
    return Pose(
        matrix=draw_matrix(options, key), displacement=_draw_displacement(options.elastic, key, patch_zyx)
    )


def _draw_displacement(elastic: Elastic | None, key: Key, patch_zyx: Zyx) -> F32 | None:
    if elastic is None:
        return None
    rng = generator(key, "elastic")
    if rng.random() >= elastic.chance:
        return None
    points = [-(-n // elastic.every_voxels) + 3 for n in patch_zyx]
    if elastic.axes == "axial":
        points[0] = 1
    drawn = rng.uniform(-elastic.displacement_voxels, elastic.displacement_voxels, (3, *points))
    if elastic.axes == "axial":
        drawn[0] = 0
    return drawn.astype(np.float32)


def look(crop: Tensor, labels: Tensor, pose: Pose, patch_zyx: Zyx) -> tuple[Tensor, Tensor]:
    """The patch that a pose sees in a crop, and its labels; new tensors."""
    if pose.only_mirrors:
        return _mirrored(crop, labels, pose, patch_zyx)
    return (_in_2d if pose.is_axial else _in_3d)(crop, labels, pose, patch_zyx)


def middle(size_zyx: Sequence[int], wanted_zyx: Zyx) -> tuple[slice, slice, slice]:
    """The middle of a crop, as much as is wanted and there is; sizes differ by even numbers."""
    z, y, x = (
        slice(max(0, (n - m) // 2), max(0, (n - m) // 2) + m)
        for n, m in zip(size_zyx, wanted_zyx, strict=True)
    )
    return z, y, x


def _mirrored(crop: Tensor, labels: Tensor, pose: Pose, patch_zyx: Zyx) -> tuple[Tensor, Tensor]:
    inside = middle(labels.shape, patch_zyx)
    axes = [axis - 3 for axis in range(3) if pose.matrix[axis, axis] < 0]
    return crop[:, *inside].flip(axes), labels[inside].flip(axes)  # flip copies, also along no axis


def _in_2d(crop: Tensor, labels: Tensor, pose: Pose, patch_zyx: Zyx) -> tuple[Tensor, Tensor]:
    """Slices as channels; along z first, by itself."""
    slices, ids = _slices(crop, labels, float(pose.matrix[0, 0]), patch_zyx[0])
    at = _positions(pose, patch_zyx, (1, 2), crop.device)
    size = crop.shape[2:]
    image = functional.grid_sample(
        slices.flatten(0, 1)[None], _normalized(at, size)[None], align_corners=False
    )
    index, inside = _nearest(at, size)
    same = index.flatten()[None].expand(patch_zyx[0], -1)  # gather is faster than indexing by what it repeats
    target = ids.flatten(1).gather(1, same).view(patch_zyx) * inside
    return image.view(-1, *patch_zyx), target


def _slices(crop: Tensor, labels: Tensor, step: float, depth: int) -> tuple[Tensor, Tensor]:
    """Slices at equal distances about the middle of a crop and of its labels, linearly between slices."""
    held = labels.shape[0]
    if step == 1 and held == depth:
        return crop, labels
    at = (torch.arange(depth, device=crop.device) - (depth - 1) / 2) * step + (held - 1) / 2
    nearest, below = at.round().long(), at.floor().long()
    inside = (nearest >= 0) & (nearest < held)
    ids = labels[nearest.clamp(0, held - 1)] * inside[:, None, None]
    share = (at - below)[:, None, None]
    first, second = (
        crop[:, where.clamp(0, held - 1)] * ((where >= 0) & (where < held))[:, None, None]
        for where in (below, below + 1)
    )
    return first + (second - first) * share, ids


def _in_3d(crop: Tensor, labels: Tensor, pose: Pose, patch_zyx: Zyx) -> tuple[Tensor, Tensor]:
    at = _positions(pose, patch_zyx, (0, 1, 2), crop.device)
    image = functional.grid_sample(crop[None], _normalized(at, labels.shape)[None], align_corners=False)[0]
    index, inside = _nearest(at, labels.shape)
    return image, labels.flatten()[index.flatten()].view(patch_zyx) * inside


def _positions(pose: Pose, patch_zyx: Zyx, axes: Sequence[int], device: torch.device) -> Tensor:
    """Where each voxel of a patch lies, along the axes chosen: (their sizes, their number)."""
    matrix = torch.tensor(pose.matrix, dtype=torch.float32, device=device)
    offsets = [
        torch.arange(patch_zyx[axis], dtype=torch.float32, device=device) - (patch_zyx[axis] - 1) / 2
        for axis in axes
    ]
    places = torch.stack(torch.meshgrid(*offsets, indexing="ij"))
    at: Tensor = torch.tensordot(matrix[list(axes)][:, list(axes)], places, 1)
    if pose.displacement is not None:
        at = at + _displacement(pose.displacement, patch_zyx, axes, device)
    return at.movedim(0, -1)


def _displacement(points: F32, patch_zyx: Zyx, axes: Sequence[int], device: torch.device) -> Tensor:
    """Displacements of all voxels from those of control points, (axes, their sizes)."""
    at_points = torch.from_numpy(points).to(device)[list(axes)]
    if len(axes) == 2:
        at_points = at_points[:, 0]
    elif points.shape[1] == 1:
        at_points = at_points.expand(-1, patch_zyx[0], -1, -1)
    matrices = []
    for place, axis in enumerate(axes):
        count, voxels = at_points.shape[1 + place], patch_zyx[axis]
        alike = points.shape[1 + axis] == 1
        matrices.append(None if alike else spline_matrix(count, voxels).to(device))
    return apply_along(at_points, matrices)


def _normalized(at: Tensor, size: Sequence[int]) -> Tensor:
    """Positions as `grid_sample` wants them: x first, the crop from -1 to 1."""
    half = torch.tensor(size, dtype=torch.float32, device=at.device) / 2
    return (at / half).flip(-1)


def _nearest(at: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Index of the nearest voxel of the flattened axes, int64, and whether there is one."""
    sides = torch.tensor(size, device=at.device)
    nearest = (at + (sides - 1) / 2).round().long()
    inside = ((nearest >= 0) & (nearest < sides)).all(-1)
    index = torch.zeros_like(nearest[..., 0])
    for axis, side in enumerate(size):
        index = index * side + nearest[..., axis].clamp(0, side - 1)
    return index, inside
