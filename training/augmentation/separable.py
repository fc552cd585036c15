"""Changes that work along each axis by itself, as matrices: blur, low resolution, splines.

A matrix product along an axis is as fast as a processor gets, on the CPU and on GPUs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def apply_along(values: Tensor, matrices: Sequence[Tensor | None]) -> Tensor:
    """Values with each of the last axes replaced by a matrix times it; None leaves an axis as it is.

    Args:
        values: (…, n of each axis).
        matrices: one for each of the last axes, (new n, n).
    """
    axes = len(matrices)
    for place, matrix in enumerate(matrices):
        if matrix is None:
            continue
        axis = place - axes
        if axis == -1:
            values = values @ matrix.T
        else:
            whole = values.shape
            flat = values.reshape(*whole[: axis + 1 or None][:-1], whole[axis], -1)
            values = (matrix @ flat).reshape(*whole[:axis], len(matrix), *whole[axis + 1 :])
    return values


def blur_matrix(sigma: float, size: int) -> Tensor:
    """Gaussian weights over three sigma to either side; beyond the ends the end voxel repeats. (n, n)."""
    place = torch.arange(size, dtype=torch.float32)
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = torch.exp(-0.5 * (offsets / max(sigma, 1e-6)) ** 2)
    weights = weights / weights.sum()
    matrix = torch.zeros(size, size)
    for offset, weight in zip(offsets.tolist(), weights.tolist(), strict=True):
        source = (place + offset).clamp(0, size - 1).long()
        matrix[torch.arange(size), source] += weight
    return matrix


def low_resolution_matrix(share: float, size: int) -> Tensor:
    """Shrunk to `share` of its voxels by nearest neighbour, then enlarged again, linearly. (n, n)."""
    coarse = max(1, round(size * share))
    # Voxel i of n covers i/n to (i+1)/n of the axis.
    nearest = ((torch.arange(coarse) + 0.5) * (size / coarse)).floor().long().clamp(0, size - 1)
    at = ((torch.arange(size) + 0.5) * (coarse / size) - 0.5).clamp(0, coarse - 1)
    below = at.floor().long()
    above = (below + 1).clamp(max=coarse - 1)
    share_above = at - below
    matrix = torch.zeros(size, size)
    matrix[torch.arange(size), nearest[below]] += 1 - share_above
    matrix[torch.arange(size), nearest[above]] += share_above
    return matrix


def spline_matrix(points: int, size: int) -> Tensor:
    """Cubic B-splines: values at `size` voxels from `points` control points, (size, points).

    Rows add up to 1, so that values stay between those of the control points.
    """
    at = torch.linspace(0, points - 3, size)
    first = at.floor().long().clamp(max=points - 4)
    t = at - first
    basis = torch.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    matrix = torch.zeros(size, points)
    for place, weight in enumerate(basis):
        matrix[torch.arange(size), first + place] += weight
    return matrix
