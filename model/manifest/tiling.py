"""Where a network's windows lie, in which order they run, which are left out, what each counts."""

from dataclasses import dataclass, field
from typing import Literal

from model.checks import check, check_between

AxisName = Literal["z", "y", "x"]
Padding = Literal["zeros", "end_slices"]


@dataclass(frozen=True, kw_only=True)
class GaussianImportance:
    """A Gaussian centred between the two middle voxels of an even axis.

    A mirrored window counts the same.
    """

    kind: Literal["gaussian"] = "gaussian"
    sigma: float = 0.125
    """Standard deviation as a share of the window's side (1/8 in nnU-Net and MONAI)."""
    least: float = 1e-3
    """Least importance, relative to the centre's (MONAI's floor)."""

    def __post_init__(self) -> None:
        check_between("sigma", self.sigma, 0.01, 10)
        check_between("least", self.least, 1e-6, 1)


@dataclass(frozen=True, kw_only=True)
class NnunetImportance:
    """nnU-Net's map to the bit.

    It is centred on voxel n // 2, cut off at four sigmas, scaled to 10 and rounded to half floats. Zeros take
    the smallest value that is not 0.
    """

    kind: Literal["nnunet_gaussian"] = "nnunet_gaussian"
    sigma: float = 0.125
    """Standard deviation as a share of the window's side."""

    def __post_init__(self) -> None:
        check_between("sigma", self.sigma, 0.01, 10)


@dataclass(frozen=True, kw_only=True)
class ConstantImportance:
    """Every voxel of a window counts the same."""

    kind: Literal["constant"] = "constant"


Importance = GaussianImportance | NnunetImportance | ConstantImportance
"""How much a window's output counts at each of its voxels."""


@dataclass(frozen=True, kw_only=True)
class AllWindows:
    """Every window of the grid, from feet to head."""

    kind: Literal["all"] = "all"


@dataclass(frozen=True, kw_only=True)
class CentreFirst:
    """Three by three windows around the middle of each level, the centre first.

    Source: FLARE22 winner, efficient inference.

    The eight around the centre are left out where its result shows that they hold nothing.
    """

    kind: Literal["centre_first"] = "centre_first"
    least_foreground: int = 1000
    """Foreground voxels below which the eight are left out, and the next level too."""
    least_anterior: int = 500
    """Foreground voxels in the anterior part below which the eight are left out."""
    anterior_share: float = 0.6
    """The part of the window that counts as anterior."""
    passing_through: tuple[str, ...] = ()
    """Channels of what runs along the body (aorta, vena cava, esophagus): where nothing else is seen and none
    of it touches the window's anterior or posterior edge, the eight are left out."""

    def __post_init__(self) -> None:
        check(self.least_foreground >= 0, f"least_foreground: must be 0 or more, is {self.least_foreground}")
        check(self.least_anterior >= 0, f"least_anterior: must be 0 or more, is {self.least_anterior}")
        check_between("anterior_share", self.anterior_share, 0, 1)


Order = AllWindows | CentreFirst
"""Which windows run, and in which order."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """How an image is covered by windows."""

    overlap: float = 0.5
    """Share of a window that neighbouring windows cover again at least, per axis, 0 to 0.9."""
    placement: Literal["even", "steps"] = "even"
    """`even`: windows are spread evenly, the first and the last one flush with the image's ends (nnU-Net).
    `steps`: one every `int(window * (1 - overlap))` voxels, counted along the network's `axes`; the last one
    is moved back to the image's end (MONAI)."""
    importance: Importance = field(default_factory=GaussianImportance)
    """How much a window's output counts at each of its voxels."""
    order: Order = field(default_factory=AllWindows)
    """Which windows run, and in which order."""
    mirror_axes: tuple[AxisName, ...] = ()
    """Axes over whose every combination of flips the output is averaged; canonical axes, whatever `axes`
    says."""
    padding: Padding = "zeros"
    """What a window shows above and below a scan that is shorter than it: `zeros` (nnU-Net, MONAI), or the
    scan's first and last slice repeated, for networks that were trained so. Beside it there are zeros."""
    skip_air: bool = True
    """Windows of a CT that hold nothing but air are not run; what no window covers is background."""

    def __post_init__(self) -> None:
        check_between("overlap", self.overlap, 0, 0.9)
        every = self.placement == "even" or isinstance(self.order, AllWindows)
        check(every, f"placement: {self.placement} needs order all, is {self.order.kind}")
        twice = len(set(self.mirror_axes)) != len(self.mirror_axes)
        check(not twice, f"mirror_axes: names an axis twice, is {list(self.mirror_axes)}")
