"""How patches are varied; `training.augmentation.patches` does it.

What is left out is not done: a recipe says everything that happens to its patches.
"""

from dataclasses import dataclass
from typing import Literal

from model.checks import check, check_between

Axes = Literal["axial", "all"]
"""`axial`: in the axial plane only, alike for all slices, which is several times faster; `all`: in 3D."""
AxisName = Literal["z", "y", "x"]


@dataclass(frozen=True, kw_only=True)
class _Change:
    chance: float = 1.0
    """Chance of it, for each patch by itself, 0 to 1."""

    def __post_init__(self) -> None:
        check_between("chance", self.chance, 0, 1)


def _check_range(name: str, values: tuple[float, float], low: float, high: float) -> None:
    first, last = values
    check(
        low <= first <= last <= high,
        f"{name}: must be two numbers from {low:g} to {high:g}, the lower first, is {list(values)}",
    )


@dataclass(frozen=True, kw_only=True)
class Slab(_Change):
    """The patch is cut from some slices of the case; one of a channel drawn evenly is among them."""

    thickness_voxels: tuple[int, int] = (16, 48)
    """Least and most slices."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("thickness_voxels", self.thickness_voxels, 1, 1024)


@dataclass(frozen=True, kw_only=True)
class Rotation(_Change):
    """Rotation about the patch's middle, evenly drawn to either side."""

    axial_deg: float = 30.0
    """Largest rotation in the axial plane, degrees."""
    other_deg: float = 0.0
    """Largest rotation in the coronal and in the sagittal plane, degrees; above 0 everything is turned in
    3D."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("axial_deg", self.axial_deg, 0, 180)
        check_between("other_deg", self.other_deg, 0, 180)


@dataclass(frozen=True, kw_only=True)
class Scaling(_Change):
    """Structures become larger or smaller, half of them either."""

    size: tuple[float, float] = (0.7, 1.4)
    """Smallest and largest size that a structure of size 1 gets."""
    axes: Axes = "axial"
    """Along which axes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("size", self.size, 0.2, 5)


@dataclass(frozen=True, kw_only=True)
class Elastic(_Change):
    """Smooth deformation: displacements at control points, between them cubic B-splines."""

    displacement_voxels: float = 5.0
    """Largest displacement along an axis, voxels."""
    every_voxels: int = 32
    """Distance of control points, voxels."""
    axes: Axes = "axial"
    """Along which axes; `axial` displaces all slices alike."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("displacement_voxels", self.displacement_voxels, 0, 50)
        check_between("every_voxels", self.every_voxels, 2, 512)


@dataclass(frozen=True, kw_only=True)
class Flips:
    """Mirroring. Along x the liver changes sides: not for networks that name organs by their side."""

    axes: tuple[AxisName, ...]
    """Axes along which patches are mirrored, each by itself."""
    chance: float = 0.5
    """Chance of each."""

    def __post_init__(self) -> None:
        check_between("chance", self.chance, 0, 1)
        twice = len(set(self.axes)) != len(self.axes)
        check(not twice, f"axes: names an axis twice, is {list(self.axes)}")


@dataclass(frozen=True, kw_only=True)
class Noise(_Change):
    """Gaussian noise."""

    deviation: tuple[float, float] = (0.0, 0.1)
    """Smallest and largest standard deviation, in network units."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("deviation", self.deviation, 0, 10)


@dataclass(frozen=True, kw_only=True)
class Blur(_Change):
    """Gaussian blur, another along each axis."""

    sigma_voxels: tuple[float, float] = (0.5, 1.0)
    """Smallest and largest sigma, voxels."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("sigma_voxels", self.sigma_voxels, 0, 10)


@dataclass(frozen=True, kw_only=True)
class Brightness(_Change):
    """Values times a factor, plus a shift; both evenly drawn."""

    factor: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor."""
    shift: float = 0.0
    """Largest shift to either side, in network units."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("factor", self.factor, 0, 10)
        check_between("shift", self.shift, 0, 10)


@dataclass(frozen=True, kw_only=True)
class Contrast(_Change):
    """The distance of values from their mean times a factor, below 1 as often as above."""

    factor: tuple[float, float] = (0.75, 1.25)
    """Smallest and largest factor."""
    keep_range: bool = True
    """Whether values stay between the lowest and the highest of the patch (nnU-Net)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("factor", self.factor, 0, 10)


@dataclass(frozen=True, kw_only=True)
class LowResolution(_Change):
    """The image shrunk by nearest neighbour and enlarged again, linearly (Isensee et al. 2021)."""

    size: tuple[float, float] = (0.5, 1.0)
    """Smallest and largest share of its voxels that are left along an axis."""
    axes: Axes = "all"
    """Along which axes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("size", self.size, 0.05, 1)


@dataclass(frozen=True, kw_only=True)
class Gamma(_Change):
    """Values to a power between the patch's lowest and highest, which stay what they are."""

    exponent: tuple[float, float] = (0.7, 1.5)
    """Smallest and largest exponent; below 1 as often as above."""
    keep_statistics: bool = True
    """Whether mean and standard deviation become again what they were (nnU-Net)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_range("exponent", self.exponent, 0.1, 10)


@dataclass(frozen=True, kw_only=True)
class HistogramShift(_Change):
    """Values through a rising curve of straight pieces between the patch's lowest and highest.

    The ends stay; each point between may move as far as its neighbours (MONAI's `RandHistogramShift`).
    """

    points: int = 10
    """Points of the curve, the ends included."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between("points", self.points, 3, 1000)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Patches are varied on the training device, in this order; chances and strengths are per patch.

    Intensities are in network units: with `window` intensity 1 is the whole width of the window. What a patch
    becomes depends on the seed and on its number in the run, and not on workers or processes.
    """

    slab: Slab | None = None
    """Cut from a shorter scan; what lies above and below is what `inference.tiling.padding` says."""
    rotation: Rotation | None = None
    """Turned about the middle."""
    scaling: Scaling | None = None
    """Larger and smaller."""
    elastic: Elastic | None = None
    """Deformed."""
    flips: Flips | None = None
    """Mirrored."""
    noise: Noise | None = None
    """Noisy."""
    blur: Blur | None = None
    """Blurred."""
    brightness: Brightness | None = None
    """Brighter and darker."""
    contrast: Contrast | None = None
    """With more contrast, or less."""
    low_resolution: LowResolution | None = None
    """Coarser."""
    inverted_gamma: Gamma | None = None
    """Values of the negative image bent (nnU-Net, with chance 0.1)."""
    gamma: Gamma | None = None
    """Values bent (nnU-Net, with chance 0.3)."""
    histogram_shift: HistogramShift | None = None
    """Values bent by a random curve."""


def usual_augmentation() -> Augmentation:
    """That of a recipe that states none, and of `demo`: mild, in the axial plane, without mirroring."""
    # With points, as a checkpoint reads them: a run that is resumed writes its recipe to the same letter.
    return Augmentation(
        rotation=Rotation(chance=0.5, axial_deg=15.0),
        scaling=Scaling(chance=0.5, size=(0.87, 1.18)),
        noise=Noise(chance=0.3, deviation=(0.0, 0.04)),
        blur=Blur(chance=0.2, sigma_voxels=(0.0, 1.0)),
        brightness=Brightness(chance=0.5, shift=0.05),
        contrast=Contrast(chance=0.5, factor=(0.85, 1.15), keep_range=False),
        gamma=Gamma(chance=0.5, exponent=(0.8, 1.2), keep_statistics=False),
    )
