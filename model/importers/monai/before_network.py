"""MONAI's transforms of the image in the words of a manifest.

MONAI's arrays are (x, y, z) and turned to `axcodes`, e.g. RAS, which is what `axes` of a network says here.
Without `Orientation` they stay as stored, where the letters of x, y and z are L, P and S.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from model.importers.monai.transform_chain import SEE, Chain, Step
from model.manifest.document import Preprocessing
from model.manifest.intensity import (
    Intensity,
    NoIntensity,
    RangeIntensity,
    WindowIntensity,
    WindowSigmoidIntensity,
    ZeroToOneIntensity,
    ZscoreIntensity,
)
from model.manifest.network import AXES, AXIS_LETTERS, Member, in_zyx_order
from model.manifest.window import LARGEST_SIDE

Modality = Literal["CT", "MR", "PET", "other"]
FILE = "network.onnx"
STORED_AXES = "LPS"
"""Letters of the stored axes x, y, z where arrays stay as the file has them."""


@dataclass(frozen=True, kw_only=True)
class Before:
    """What the transforms of the image say."""

    preprocessing: Preprocessing
    intensity: Intensity
    member: Member
    """Spacing and axes; its file and window are another's business."""


@dataclass(kw_only=True)
class _Reading:
    """What the transforms so far have said."""

    channels: int
    axes: str | None = None
    spacing: Step | None = None
    crop: Step | None = None
    intensity: Intensity | None = None
    intensity_first: bool = False
    """Whether voxels are normalized before they are resampled."""


def before_of(chain: Chain, channels: int) -> Before:
    """Pre-processing of an image.

    Args:
        chain: what MONAI does.
        channels: of the image.

    Raises:
        RefusedModelError: a transform, an argument of one, or their order cannot be expressed.
    """
    reading = _Reading(channels=channels)
    for step in chain.before:
        reader = READERS.get(step.name)
        if reader is None:
            raise step.refuse(f"cannot be expressed; known are {', '.join(READERS)}; {SEE}")
        reader(step, reading)
    axes, spacing = reading.axes or STORED_AXES, reading.spacing
    resampled_later = reading.intensity_first and spacing is not None
    margin = int(reading.crop.arguments.get("margin", 0)) if reading.crop else 0
    return Before(
        preprocessing=Preprocessing(
            orientation="canonical" if reading.axes else "stored",
            crop="positive" if reading.crop else "none",
            crop_margin=margin,
            normalize="before_resampling" if resampled_later else "after_resampling",
            figures_on="network" if _takes_figures(reading) and not resampled_later else "image",
            grid="first_voxel" if spacing is not None else "edges",
        ),
        intensity=reading.intensity or NoIntensity(),
        member=_with_spacing(axes, spacing),
    )


def _takes_figures(reading: _Reading) -> bool:
    of_each_image = isinstance(reading.intensity, ZscoreIntensity | ZeroToOneIntensity)
    return of_each_image and reading.spacing is not None


def _loads(step: Step, reading: _Reading) -> None:
    del step, reading


def _turns(step: Step, reading: _Reading) -> None:
    step.check_known(axcodes=(), as_closest_canonical=(False, True), labels=(None,))
    if reading.spacing is not None:
        raise step.refuse("after Spacing cannot be expressed")
    axcodes = "RAS" if step.arguments.get("as_closest_canonical") else step.arguments.get("axcodes")
    letters = "".join(axcodes) if isinstance(axcodes, list) else axcodes
    known = isinstance(letters, str) and sorted(AXIS_LETTERS.get(each, -1) for each in letters) == [0, 1, 2]
    if not known:
        raise step.refuse(f"has axcodes {axcodes}, which are not understood; known are such as RAS")
    reading.axes = letters


def _crops(step: Step, reading: _Reading) -> None:
    step.check_known(
        select_fn=(None,), channel_indices=(None,), margin=(), allow_smaller=(False, True),
        k_divisible=(1, [1, 1, 1]), mode=("constant",), lazy=(False,),
    )  # fmt: skip
    if reading.spacing is not None or reading.intensity is not None:
        raise step.refuse("after Spacing or a change of intensities cannot be expressed")
    margin = step.arguments.get("margin", 0)
    if not isinstance(margin, int) or not 0 <= margin <= LARGEST_SIDE:
        raise step.refuse(f"has margin {margin}; must be one number of voxels, 0 to {LARGEST_SIDE}")
    if margin and not step.arguments.get("allow_smaller", False):
        raise step.refuse("has a margin without allow_smaller, which pads; that cannot be expressed")
    reading.crop = step


def _spaces(step: Step, reading: _Reading) -> None:
    step.check_known(
        pixdim=(), mode=("bilinear", ["bilinear"]), padding_mode=("border", ["border"]), diagonal=(False,),
        align_corners=(False, None, [False]), scale_extent=(False,), recompute_affine=(False,), min_pixdim=(),
        max_pixdim=(), lazy=(False,),
    )  # fmt: skip
    if reading.spacing is not None:
        raise step.refuse("twice cannot be expressed")
    reading.spacing = step


def _ranges(step: Step, reading: _Reading) -> None:
    step.check_known(a_min=(), a_max=(), b_min=(), b_max=(), clip=(False, True))
    lower, upper = step.number("a_min"), step.number("a_max")
    clip = bool(step.arguments.get("clip", False))
    to_lower, to_upper = 0.0, 1.0
    if step.arguments.get("b_min") is None or step.arguments.get("b_max") is None:
        # MONAI then leaves [a_min, a_max] at [0, 1], and clips at the one end that is stated.
        if clip:
            raise step.refuse("with clip and without both b_min and b_max cannot be expressed; write both")
    else:
        to_lower, to_upper = step.number("b_min"), step.number("b_max")
    try:
        intensity: Intensity = RangeIntensity(
            lower=lower, upper=upper, to_lower=to_lower, to_upper=to_upper, clip=clip
        )
    except ValueError as error:
        raise step.refuse(f"cannot be expressed: {error}") from error
    if intensity == RangeIntensity(lower=lower, upper=upper):
        intensity = WindowIntensity(lower=lower, upper=upper)
    _change(step, reading, intensity)


def _standardizes(step: Step, reading: _Reading) -> None:
    step.check_known(subtrahend=(), divisor=(), nonzero=(False, True), channel_wise=(False, True))
    mean, std = step.arguments.get("subtrahend"), step.arguments.get("divisor")
    nonzero = bool(step.arguments.get("nonzero", False))
    if mean is None and std is None:
        _check_one_by_one(step, reading)
        return _change(step, reading, ZscoreIntensity(over="nonzero" if nonzero else "image"))
    if mean is None or std is None or nonzero:
        raise step.refuse("needs both subtrahend and divisor, without nonzero")
    subtracted, divided = step.number("subtrahend"), step.number("divisor")
    if divided <= 0:
        raise step.refuse(f"has divisor {divided}; must be above 0")
    linear = RangeIntensity(lower=subtracted, upper=subtracted + divided, clip=False)
    return _change(step, reading, linear)


def _fits_between(step: Step, reading: _Reading) -> None:
    """The lowest voxel to `minv`, the highest to `maxv`."""
    # MONAI looks at `factor` only where neither end is stated.
    step.check_known(minv=(0, 0.0), maxv=(1, 1.0), factor=(), channel_wise=(False, True))
    _check_one_by_one(step, reading)
    _change(step, reading, ZeroToOneIntensity())


def _check_one_by_one(step: Step, reading: _Reading) -> None:
    """Refuse figures that are taken from several channels together."""
    if reading.channels > 1 and not step.arguments.get("channel_wise", False):
        raise step.refuse("of several channels together cannot be expressed; known is channel_wise")


def _squashes(step: Step, reading: _Reading) -> None:
    """The logistic function after a linear one (Auto3DSeg)."""
    step.check_known(sigmoid=(True,))
    found = reading.intensity
    ends = (-1.0, 1.0, False)
    if not isinstance(found, RangeIntensity) or (found.to_lower, found.to_upper, found.clip) != ends:
        raise step.refuse("of an image is known only after ScaleIntensityRange to -1 … 1 without clipping")
    reading.intensity = WindowSigmoidIntensity(lower=found.lower, upper=found.upper)


def _change(step: Step, reading: _Reading, intensity: Intensity) -> None:
    if reading.intensity is not None:
        raise step.refuse("after another change of intensities cannot be expressed")
    reading.intensity, reading.intensity_first = intensity, reading.spacing is None


READERS = {
    "LoadImage": _loads,
    "EnsureChannelFirst": _loads,
    "EnsureType": _loads,
    "CastToType": _loads,
    "Orientation": _turns,
    "CropForeground": _crops,
    "Spacing": _spaces,
    "ScaleIntensityRange": _ranges,
    "ScaleIntensity": _fits_between,
    "NormalizeIntensity": _standardizes,
    "Activations": _squashes,
}
"""MONAI's transform to what takes it in."""


def _with_spacing(axes: str, spacing: Step | None) -> Member:
    """A member with the voxel size that `Spacing` makes; the image's own where there is none."""
    member = Member(file=FILE, spacing_zyx_mm=(1, 1, 1), window_zyx=(1, 1, 1), axes=axes)
    if spacing is None:
        return replace(member, kept_spacing=AXES)
    pixdim = spacing.three("pixdim")
    axis_of = [AXES[AXIS_LETTERS[letter]] for letter in member.axes]
    kept = tuple(axis for axis, mm in zip(axis_of, pixdim, strict=True) if mm <= 0)
    wanted = [mm if mm > 0 else 1.0 for mm in pixdim]
    try:
        return replace(
            member,
            spacing_zyx_mm=in_zyx_order(member.axes, wanted),
            kept_spacing=kept,
            kept_within=_shares(spacing, pixdim),
        )
    except ValueError as error:
        raise spacing.refuse(f"cannot be expressed: {error}") from error


def _shares(spacing: Step, pixdim: Sequence[float]) -> tuple[float, float] | None:
    """`min_pixdim` and `max_pixdim` as shares of `pixdim`."""
    shares = []
    for name, better in (("min_pixdim", min), ("max_pixdim", max)):
        limits = pixdim if spacing.arguments.get(name) is None else spacing.three(name)
        found = {round(better(1.0, a / b), 9) for a, b in zip(limits, pixdim, strict=True) if b > 0}
        if len(found) > 1:
            raise spacing.refuse(f"has {name} that is not one share of pixdim, which cannot be expressed")
        shares.append(found.pop() if found else 1.0)
    return None if shares == [1.0, 1.0] else (shares[0], shares[1])


def modality_of(text: str) -> Modality:
    """What MONAI's names of modalities mean here."""
    known: dict[str, Modality] = {"ct": "CT", "mr": "MR", "mri": "MR", "pet": "PET", "pt": "PET"}
    return known.get(text.casefold(), "other")
