"""How voxel values become a network's input: one class for each scheme, one scheme for each channel.

| kind | figures come from | used by |
|---|---|---|
| `window` | the recipe | LeanSeg, FLARE23 low-resource ensemble |
| `range` | the recipe | MONAI `ScaleIntensityRange` |
| `window_sigmoid` | the training data's foreground | MONAI Auto3DSeg SegResNet (CT) |
| `clip_zscore` | the training data's foreground | nnU-Net (CT) |
| `zscore` | each image | nnU-Net (MR), MONAI `NormalizeIntensity` |
| `zero_to_one` | each image | nnU-Net `rescale_to_0_1`, MONAI `ScaleIntensity` |
| `divide` | the recipe | nnU-Net `rgb_to_0_1` |
| `none` | | nnU-Net `noNorm` |
"""

from dataclasses import dataclass
from typing import Literal

from model.checks import check, check_finite


@dataclass(frozen=True, kw_only=True)
class _Bounded:
    lower: float
    """Lower end of the range, in the image's units (HU for CT)."""
    upper: float
    """Upper end of the range, above `lower`."""

    def __post_init__(self) -> None:
        check_finite("lower", self.lower)
        check_finite("upper", self.upper)
        check(self.lower < self.upper, f"upper: must be above lower ({self.lower}), is {self.upper}")


@dataclass(frozen=True, kw_only=True)
class WindowIntensity(_Bounded):
    """Clip to [lower, upper], then linearly to [0, 1]."""

    kind: Literal["window"] = "window"


@dataclass(frozen=True, kw_only=True)
class RangeIntensity(_Bounded):
    """[lower, upper] linearly to [to_lower, to_upper], clipped to that or not."""

    kind: Literal["range"] = "range"
    to_lower: float = 0.0
    """What `lower` becomes."""
    to_upper: float = 1.0
    """What `upper` becomes; above `to_lower`."""
    clip: bool = True
    """Whether what lies outside becomes the nearer end."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("to_lower", self.to_lower)
        check_finite("to_upper", self.to_upper)
        rising = self.to_lower < self.to_upper
        check(rising, f"to_upper: must be above to_lower ({self.to_lower}), is {self.to_upper}")


@dataclass(frozen=True, kw_only=True)
class WindowSigmoidIntensity(_Bounded):
    """[lower, upper] linearly to [-1, 1] without clipping, then the logistic function."""

    kind: Literal["window_sigmoid"] = "window_sigmoid"


@dataclass(frozen=True, kw_only=True)
class ClipZscoreIntensity(_Bounded):
    """Clip to [lower, upper], subtract `mean`, divide by `std`, all figures of the training data."""

    kind: Literal["clip_zscore"] = "clip_zscore"
    mean: float
    """What becomes 0."""
    std: float
    """What becomes 1 above it; above 0."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_finite("mean", self.mean)
        check_finite("std", self.std)
        check(self.std > 0, f"std: must be above 0, is {self.std}")


@dataclass(frozen=True, kw_only=True)
class ZscoreIntensity:
    """Subtract the image's own mean and divide by its own standard deviation."""

    kind: Literal["zscore"] = "zscore"
    over: Literal["image", "nonzero", "nonzero_filled"] = "image"
    """Which voxels count, and are changed; the others stay what they are. `image`: all that cropping leaves.
    `nonzero`: this channel's voxels that are not 0 (MONAI `nonzero=True`). `nonzero_filled`: voxels where any
    channel is not 0, holes filled (nnU-Net `use_mask_for_norm`)."""


@dataclass(frozen=True, kw_only=True)
class ZeroToOneIntensity:
    """The image's lowest value to 0, its highest to 1."""

    kind: Literal["zero_to_one"] = "zero_to_one"


@dataclass(frozen=True, kw_only=True)
class DivideIntensity:
    """Divide by a fixed number."""

    kind: Literal["divide"] = "divide"
    by: float = 255.0
    """What becomes 1; above 0."""

    def __post_init__(self) -> None:
        check_finite("by", self.by)
        check(self.by > 0, f"by: must be above 0, is {self.by}")


@dataclass(frozen=True, kw_only=True)
class NoIntensity:
    """Values as they are in the file."""

    kind: Literal["none"] = "none"


Intensity = (
    WindowIntensity
    | WindowSigmoidIntensity
    | ClipZscoreIntensity
    | ZscoreIntensity
    | ZeroToOneIntensity
    | DivideIntensity
    | RangeIntensity
    | NoIntensity
)
"""Any of the schemes."""


def needs_mask(intensity: Intensity) -> bool:
    """Whether a scheme asks for the mask of voxels that are not 0, with its holes filled."""
    return isinstance(intensity, ZscoreIntensity) and intensity.over == "nonzero_filled"
