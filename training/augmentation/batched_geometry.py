"""Rotation, scaling, deformation and mirroring of a batch, by one interpolation.

Three ways, from cheap to dear, all of the same result: patches that are only mirrored are copied; those that
are turned, scaled or deformed in the axial plane are sampled in 2D with their slices as channels; the others
in 3D. Images are interpolated linearly and are 0 beyond the crop, labels take the nearest voxel and are
background there.

Shapes: crops (b, c, Z, Y, X) float32 and labels (b, Z, Y, X) uint8, patches the same with (z, y, x).
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
from training.recipes.batched_augmentation_options import BatchedAugmentation, Elastic


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

    @property
    def is_axial(self) -> bool:
        """Whether slices stay slices."""
        straight = not self.matrix[0, 1:].any() and not self.matrix[1:, 0].any()
        return straight and (self.displacement is None or self.displacement.shape[1] == 1)


def draw_pose_of(options: BatchedAugmentation, key: Key, patch_zyx: Zyx) -> Pose:
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


def pose_batch(crops: Tensor, labels: Tensor, poses: Sequence[Pose], patch_zyx: Zyx) -> tuple[Tensor, Tensor]:
    """The patches that the poses see, and their labels."""
    ways = {"mirrored": _mirrored, "axial": _axial, "free": _free}
    kinds = ["mirrored" if pose.only_mirrors else "axial" if pose.is_axial else "free" for pose in poses]
    if len(set(kinds)) == 1:
        return ways[kinds[0]](crops, labels, poses, patch_zyx)
    images = crops.new_empty((len(poses), crops.shape[1], *patch_zyx))
    target = labels.new_empty((len(poses), *patch_zyx))
    for kind, way in ways.items():
        chosen = [index for index, found in enumerate(kinds) if found == kind]
        if chosen:
            part = [poses[index] for index in chosen]
            images[chosen], target[chosen] = way(crops[chosen], labels[chosen], part, patch_zyx)
    return images, target


def _mirrored(crops: Tensor, labels: Tensor, poses: Sequence[Pose], patch_zyx: Zyx) -> tuple[Tensor, Tensor]:
    inside = [slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(labels.shape[1:], patch_zyx, strict=True)]
    images, target = crops[:, :, *inside], labels[:, *inside]
    axes = [[axis - 3 for axis in range(3) if pose.matrix[axis, axis] < 0] for pose in poses]
    if not any(axes):
        return images.clone(), target.clone()
    return (
        torch.stack([image.flip(over) for image, over in zip(images, axes, strict=True)]),
        torch.stack([ids.flip(over) for ids, over in zip(target, axes, strict=True)]),
    )


def _axial(crops: Tensor, labels: Tensor, poses: Sequence[Pose], patch_zyx: Zyx) -> tuple[Tensor, Tensor]:
    """In 2D, slices as channels; along z first, by itself."""
    slices, ids = _slices(crops, labels, [float(pose.matrix[0, 0]) for pose in poses], patch_zyx[0])
    at = torch.stack([_positions(pose, patch_zyx, (1, 2), crops.device) for pose in poses])
    size = crops.shape[3:]
    flat = slices.flatten(1, 2)
    images = functional.grid_sample(flat, _normalized(at, size), align_corners=False)
    index, inside = _nearest(at, size)
    kept = ids.flatten(2).gather(2, index.flatten(1).unsqueeze(1).expand(-1, patch_zyx[0], -1))
    target = kept.unflatten(2, patch_zyx[1:]) * inside.unsqueeze(1)  # type: ignore[no-untyped-call]
    return images.view(len(poses), -1, *patch_zyx), target


def _slices(crops: Tensor, labels: Tensor, steps: Sequence[float], depth: int) -> tuple[Tensor, Tensor]:
    """Slices at equal distances about the middle of each crop, (b, c, depth, Y, X), and of its labels."""
    first, odd = divmod(labels.shape[1] - depth, 2)
    if not odd and all(step == 1 for step in steps):
        return crops[:, :, first : first + depth], labels[:, first : first + depth]
    made = [_along_z(image, ids, step, depth) for image, ids, step in zip(crops, labels, steps, strict=True)]
    return torch.stack([image for image, _ in made]), torch.stack([ids for _, ids in made])


def _along_z(image: Tensor, labels: Tensor, step: float, depth: int) -> tuple[Tensor, Tensor]:
    """Slices of one crop (c, Z, Y, X) and of its labels (Z, Y, X), between slices by linear interpolation."""
    held = labels.shape[0]
    at = (torch.arange(depth, device=image.device) - (depth - 1) / 2) * step + (held - 1) / 2
    nearest = at.round().long()
    inside = (nearest >= 0) & (nearest < held)
    ids = labels[nearest.clamp(0, held - 1)] * inside[:, None, None]
    below = at.floor().long()
    share = (at - below)[:, None, None]
    first, second = (
        image[:, where.clamp(0, held - 1)] * ((where >= 0) & (where < held))[:, None, None]
        for where in (below, below + 1)
    )
    return first + (second - first) * share, ids


def _free(crops: Tensor, labels: Tensor, poses: Sequence[Pose], patch_zyx: Zyx) -> tuple[Tensor, Tensor]:
    at = torch.stack([_positions(pose, patch_zyx, (0, 1, 2), crops.device) for pose in poses])
    size = crops.shape[2:]
    images = functional.grid_sample(crops, _normalized(at, size), align_corners=False)
    index, inside = _nearest(at, size)
    target = labels.flatten(1).gather(1, index.flatten(1)).view(index.shape) * inside
    return images, target


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
