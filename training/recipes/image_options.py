"""What a network sees of an image: its channels, and what is taken from the fingerprint of the data.

`python -m training fingerprint` makes the fingerprint; `training.data.resolving` puts its figures in.
"""

from dataclasses import dataclass
from typing import Literal

from model.manifest.intensity import Intensity

FINGERPRINT = "fingerprint"
"""What `spacing_zyx_mm` reads where the data's own spacing is meant."""


@dataclass(frozen=True, kw_only=True)
class FingerprintIntensity:
    """A scheme whose figures are those of the training data's foreground.

    Its range is that from the 0.5 to the 99.5 percentile.
    """

    kind: Literal["from_fingerprint"] = "from_fingerprint"
    scheme: Literal["clip_zscore", "window", "window_sigmoid"] = "clip_zscore"
    """The scheme that takes the figures; `clip_zscore` is nnU-Net's for CT."""


AnyIntensity = Intensity | FingerprintIntensity
"""A scheme with its figures, or one that takes them from the data."""
Modality = Literal["CT", "MR", "PET", "other"]


@dataclass(frozen=True, kw_only=True)
class InputChannel:
    """One channel of a case; channels are in the order of the files `CASE_0000`, `CASE_0001` and so on."""

    name: str
    """What it is called, e.g. `CT`, `T2`."""
    modality: Modality = "CT"
    """What its values are."""
    intensity: AnyIntensity
    """How its values become network input."""
