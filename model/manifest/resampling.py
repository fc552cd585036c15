"""How an image is brought to a network's grid, and a network's output back to the image's.

All kinds share nnU-Net's rule for the grid: it spans the image edge to edge, with `max(1, round(spacing /
target * n))` voxels along each axis.
"""

from dataclasses import dataclass
from typing import Literal

from model.arrays import ZyxMm
from model.checks import check

Interpolation = Literal["linear", "area", "cubic", "nearest"]
"""What is done along one axis: `area` averages whole blocks of voxels that fit into an output voxel, then
interpolates linearly; `cubic` is the interpolating B-spline, clipped to the range of its input."""


@dataclass(frozen=True, kw_only=True)
class LinearResampling:
    """Linear along all axes."""

    kind: Literal["linear"] = "linear"


@dataclass(frozen=True, kw_only=True)
class AreaResampling:
    """Averages of whole blocks of voxels, then linear: nothing of a finer image is left out."""

    kind: Literal["area"] = "area"


@dataclass(frozen=True, kw_only=True)
class CubicResampling:
    """Cubic spline along all axes."""

    kind: Literal["cubic"] = "cubic"


@dataclass(frozen=True, kw_only=True)
class SeparateAxisResampling:
    """nnU-Net's rule: where one axis is much coarser than the others, it is resampled apart from them.

    An axis is coarse if a single one has a grid's largest spacing, and that is more than `above_ratio` times
    the smallest. The grid that is resampled from is looked at first, then the one that is resampled to. A
    coarse axis is resampled by `along`, the other two slice by slice by `in_plane`. Else all three are
    resampled by `in_plane`.
    """

    kind: Literal["separate_axis"] = "separate_axis"
    in_plane: Literal["linear", "cubic", "nearest"] = "cubic"
    """nnU-Net's `order` 1, 3 and 0."""
    along: Literal["linear", "cubic", "nearest"] = "nearest"
    """nnU-Net's `order_z`."""
    above_ratio: float = 3.0
    """nnU-Net's `ANISO_THRESHOLD`; 0 stands for `force_separate_z`: true."""

    def __post_init__(self) -> None:
        check(0 <= self.above_ratio <= 1e6, f"above_ratio: must be 0 to 1e6, is {self.above_ratio}")


@dataclass(frozen=True, kw_only=True)
class SeparateAxisRestoration:
    """The rule of `SeparateAxisResampling` on the way back, for scores."""

    kind: Literal["separate_axis"] = "separate_axis"
    in_plane: Literal["linear", "nearest"] = "linear"
    """nnU-Net's `order` 1 and 0 for probabilities."""
    along: Literal["linear", "nearest"] = "nearest"
    """nnU-Net's `order_z`."""
    above_ratio: float = 3.0
    """See `SeparateAxisResampling`."""

    def __post_init__(self) -> None:
        check(0 <= self.above_ratio <= 1e6, f"above_ratio: must be 0 to 1e6, is {self.above_ratio}")


Resampling = LinearResampling | AreaResampling | CubicResampling | SeparateAxisResampling
"""How an image is brought to a network's grid."""
Restoration = LinearResampling | SeparateAxisRestoration
"""How a network's output is brought to the image's grid; only linear and nearest interpolation keep the
promise that winners between grid points can be told from the grid points alone."""


def separate_axis(from_zyx_mm: ZyxMm, to_zyx_mm: ZyxMm, above_ratio: float) -> int | None:
    """The axis that `SeparateAxisResampling` resamples apart, 0 to 2; None for none.

    Source: `determine_do_sep_z_and_axis` of nnU-Net.

    >>> separate_axis((5.0, 0.8, 0.8), (1.5, 1.5, 1.5), 3.0)
    0
    >>> separate_axis((2.0, 1.0, 1.0), (2.0, 2.0, 2.0), 3.0) is None
    True
    """
    for spacing in (from_zyx_mm, to_zyx_mm):
        largest = max(spacing)
        if above_ratio == 0 or largest / min(spacing) > above_ratio:
            coarse = [axis for axis in range(3) if spacing[axis] == largest]
            return coarse[0] if len(coarse) == 1 else None
    return None


def along_axes(
    resampling: Resampling | Restoration, from_zyx_mm: ZyxMm, to_zyx_mm: ZyxMm
) -> tuple[Interpolation, ...]:
    """What is done along z, y and x between two grids with these spacings.

    >>> along_axes(SeparateAxisResampling(), (5.0, 0.8, 0.8), (2.5, 0.8, 0.8))
    ('nearest', 'cubic', 'cubic')
    """
    if not isinstance(resampling, SeparateAxisResampling | SeparateAxisRestoration):
        return (resampling.kind,) * 3
    apart = separate_axis(from_zyx_mm, to_zyx_mm, resampling.above_ratio)
    return tuple(resampling.along if axis == apart else resampling.in_plane for axis in range(3))
