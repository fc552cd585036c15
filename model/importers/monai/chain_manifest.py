"""MONAI's transforms and windows in the words of a manifest.

MONAI's arrays are (x, y, z) and turned to `axcodes`, e.g. RAS, which is what `axes` of a network says here.
Without `Orientation` they stay as stored, where the letters of x, y and z are L, P and S.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, isfinite
from typing import Literal, TypeVar

from model.arrays import Zyx
from model.importers.monai.config_values import Plain
from model.importers.monai.transform_chain import Chain, Step
from model.importers.refusals import RefusedModelError
from model.labels import BACKGROUND
from model.manifest.clean_up import CleanUpStep, LargestComponent
from model.manifest.document import Preprocessing
from model.manifest.fusion import MeanFusion
from model.manifest.intensity import (
    Intensity,
    NoIntensity,
    RangeIntensity,
    WindowIntensity,
    WindowSigmoidIntensity,
    ZscoreIntensity,
)
from model.manifest.network import AXES, AXIS_LETTERS, Member
from model.manifest.output import Activation, Output, Sigmoid, Softmax
from model.manifest.tiling import ConstantImportance, GaussianImportance, Importance, Tiling
from model.manifest.window import LARGEST_SIDE

N = TypeVar("N", int, float)
Modality = Literal["CT", "MR", "PET", "other"]
FILE = "network.onnx"
STORED_AXES = "LPS"
"""Letters of the stored axes x, y, z where arrays stay as the file has them."""
LEAST_IMPORTANCE = 1e-3
"""MONAI's floor, absolute."""


@dataclass(frozen=True, kw_only=True)
class Before:
    """What the transforms of the image say."""

    preprocessing: Preprocessing
    intensity: Intensity
    member: Member
    """Spacing and axes; its file and window are another's business."""


@dataclass(frozen=True, kw_only=True)
class After:
    """What the transforms of the network's output say."""

    fusion: MeanFusion
    activation: Activation
    largest: tuple[int, ...] | None
    """Channels whose largest component is kept; empty: each structure's; None: no such step."""


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
            raise step.refuse(f"cannot be expressed; known are {', '.join(READERS)}")
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
    return isinstance(reading.intensity, ZscoreIntensity) and reading.spacing is not None


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
        source_key=(), select_fn=(None,), channel_indices=(None,), margin=(), allow_smaller=(False, True),
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
    lower, upper = _number(step, "a_min"), _number(step, "a_max")
    low, high = step.arguments.get("b_min"), step.arguments.get("b_max")
    clip = bool(step.arguments.get("clip", False))
    if low is None or high is None:
        low, high, clip = 0.0, 1.0, False
    try:
        intensity: Intensity = RangeIntensity(
            lower=lower,
            upper=upper,
            to_lower=_as_number(step, low),
            to_upper=_as_number(step, high),
            clip=clip,
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
        if reading.channels > 1 and not step.arguments.get("channel_wise", False):
            raise step.refuse("of several channels together cannot be expressed; known is channel_wise")
        return _change(step, reading, ZscoreIntensity(over="nonzero" if nonzero else "image"))
    if mean is None or std is None or nonzero:
        raise step.refuse("needs both subtrahend and divisor, without nonzero")
    subtracted, divided = _as_number(step, mean), _as_number(step, std)
    if divided <= 0:
        raise step.refuse(f"has divisor {divided}; must be above 0")
    linear = RangeIntensity(lower=subtracted, upper=subtracted + divided, clip=False)
    return _change(step, reading, linear)


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
    "Orientation": _turns,
    "CropForeground": _crops,
    "Spacing": _spaces,
    "ScaleIntensityRange": _ranges,
    "NormalizeIntensity": _standardizes,
    "Activations": _squashes,
}
"""MONAI's transform to what takes it in."""


def _with_spacing(axes: str, spacing: Step | None) -> Member:
    """A member with the voxel size that `Spacing` makes; the image's own where there is none."""
    member = Member(file=FILE, spacing_zyx_mm=(1, 1, 1), window_zyx=(1, 1, 1), axes=axes)
    if spacing is None:
        return replace(member, kept_spacing=AXES)
    pixdim = _three(spacing, spacing.arguments.get("pixdim"), "pixdim")
    axis_of = [AXES[AXIS_LETTERS[letter]] for letter in member.axes]
    kept = tuple(axis for axis, mm in zip(axis_of, pixdim, strict=True) if mm <= 0)
    wanted = [mm if mm > 0 else 1.0 for mm in pixdim]
    try:
        return replace(
            member,
            spacing_zyx_mm=_in_order(member.axes, wanted),
            kept_spacing=kept,
            kept_within=_shares(spacing, pixdim),
        )
    except ValueError as error:
        raise spacing.refuse(f"cannot be expressed: {error}") from error


def _shares(spacing: Step, pixdim: Sequence[float]) -> tuple[float, float] | None:
    """`min_pixdim` and `max_pixdim` as shares of `pixdim`."""
    shares = []
    for name, better in (("min_pixdim", min), ("max_pixdim", max)):
        given = spacing.arguments.get(name)
        limits = pixdim if given is None else _three(spacing, given, name)
        found = {round(better(1.0, a / b), 9) for a, b in zip(limits, pixdim, strict=True) if b > 0}
        if len(found) > 1:
            raise spacing.refuse(f"has {name} that is not one share of pixdim, which cannot be expressed")
        shares.append(found.pop() if found else 1.0)
    return None if shares == [1.0, 1.0] else (shares[0], shares[1])


def tiled(member: Member, inferer: Step) -> Member:
    """The member with MONAI's windows.

    Raises:
        RefusedModelError: they cannot be expressed.
    """
    if inferer.name not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt"):
        raise inferer.refuse("cannot be expressed; known is SlidingWindowInferer")
    inferer.check_known(
        roi_size=(), overlap=(), mode=("constant", "gaussian"), sigma_scale=(), padding_mode=("constant",),
        cval=(0, 0.0), with_coord=(False,),
    )  # fmt: skip
    roi = _three(inferer, inferer.arguments.get("roi_size"), "roi_size")
    if not all(side > 0 and side == int(side) for side in roi):
        raise inferer.refuse(f"has roi_size {list(roi)}; must be whole voxels above 0")
    z, y, x = _in_order(member.axes, [int(side) for side in roi])
    overlaps = set(_three(inferer, inferer.arguments.get("overlap", 0.25), "overlap"))
    sigmas = set(_three(inferer, inferer.arguments.get("sigma_scale", 0.125), "sigma_scale"))
    if len(overlaps) > 1 or len(sigmas) > 1:
        raise inferer.refuse("has overlap or sigma_scale that differ between axes, which cannot be expressed")
    if min(sigmas) <= 0:
        raise inferer.refuse(f"has sigma_scale {min(sigmas):g}; must be above 0")
    gaussian = inferer.arguments.get("mode", "constant") == "gaussian"
    importance: Importance = (
        gaussian_importance((z, y, x), sigmas.pop()) if gaussian else ConstantImportance()
    )
    try:
        tiling = Tiling(overlap=overlaps.pop(), placement="steps", importance=importance, skip_air=False)
        return replace(member, window_zyx=(z, y, x), tiling=tiling)
    except ValueError as error:
        raise inferer.refuse(f"cannot be expressed: {error}") from error


def gaussian_importance(window_zyx: Zyx, sigma: float) -> GaussianImportance:
    """MONAI's map, whose floor is absolute where ours is relative to the centre.

    The centre of an even axis lies between two voxels, so that the largest value is a little below 1.
    """
    largest = 1.0
    for side in window_zyx:
        offset = 0.0 if side % 2 else 0.5
        largest *= exp(-0.5 * (offset / (side * sigma)) ** 2)
    return GaussianImportance(sigma=sigma, least=min(1.0, LEAST_IMPORTANCE / largest))


def after_of(chain: Chain, *, resampled: bool) -> After:
    """What becomes of the network's output.

    Args:
        chain: what MONAI does.
        resampled: whether it must be brought back to the image's grid.

    Raises:
        RefusedModelError: a transform, an argument of one, or their order cannot be expressed.
    """
    known = ("Activations", "Invert", "AsDiscrete", "KeepLargestConnectedComponent", "EnsureType")
    steps = [step for step in chain.after if step.name != "EnsureType"]
    for step in steps:
        if step.name not in known:
            raise step.refuse(f"cannot be expressed; known are {', '.join(known)}")
    names = [step.name for step in steps]
    of_name = dict(zip(names, steps, strict=True))
    if len(of_name) != len(names):
        raise RefusedModelError(f"{chain.where}: postprocessing has a transform twice: {', '.join(names)}")
    discrete = of_name.get("AsDiscrete")
    if discrete is None:
        raise RefusedModelError(f"{chain.where}: postprocessing has no AsDiscrete, so it gives no labels")
    _check_inverted(chain, names, of_name, resampled=resampled)
    activation = _activation(of_name.get("Activations"), discrete)
    first = "Activations" in names and (
        "Invert" not in names or names.index("Activations") < names.index("Invert")
    )
    if "Activations" in names and names.index("Activations") > names.index("AsDiscrete"):
        raise of_name["Activations"].refuse("after AsDiscrete cannot be expressed")
    largest = of_name.get("KeepLargestConnectedComponent")
    if largest is not None and largest is not steps[-1]:
        raise largest.refuse("before Invert or AsDiscrete cannot be expressed")
    return After(
        fusion=MeanFusion(
            of="probabilities" if first else "logits", over_windows="logits" if first else None
        ),
        activation=activation,
        largest=None if largest is None else _applied(largest),
    )


def _check_inverted(chain: Chain, names: Sequence[str], of_name: dict[str, Step], *, resampled: bool) -> None:
    inverted = of_name.get("Invert")
    if inverted is None:
        if chain_turns(chain) or resampled:
            raise RefusedModelError(
                f"{chain.where}: postprocessing has no Invert, so labels would not lie on the image's grid"
            )
        return
    inverted.check_known(nearest_interp=(False, True, [False], [True]), post_func=(None,))
    nearest = inverted.arguments.get("nearest_interp", True) in (True, [True])
    if resampled and names.index("Invert") > names.index("AsDiscrete"):
        raise inverted.refuse("after AsDiscrete resamples labels, which cannot be expressed")
    if resampled and nearest:
        raise inverted.refuse("with nearest_interp cannot be expressed; known is nearest_interp: false")


def chain_turns(chain: Chain) -> bool:
    """Whether transforms of the image move its voxels."""
    return any(step.name in ("Orientation", "CropForeground", "Spacing") for step in chain.before)


def _activation(step: Step | None, discrete: Step) -> Activation:
    arguments = {} if step is None else step.arguments
    if step is not None:
        step.check_known(softmax=(False, True), sigmoid=(False, True), other=(None,))
    discrete.check_known(argmax=(False, True), threshold=(), to_onehot=(None,), rounding=(None,))
    threshold = discrete.arguments.get("threshold")
    if discrete.arguments.get("argmax") and threshold is None and not arguments.get("sigmoid"):
        return Softmax()
    if arguments.get("sigmoid") and threshold == 0.5 and not discrete.arguments.get("argmax"):
        return Sigmoid()
    raise discrete.refuse("is known with argmax, or with threshold 0.5 after sigmoid")


def _applied(step: Step) -> tuple[int, ...]:
    step.check_known(
        applied_labels=(),
        is_onehot=(None, False),
        independent=(True,),
        connectivity=(None, 3),
        num_components=(1,),
    )
    labels = step.arguments.get("applied_labels")
    if labels is None:
        return ()
    named = labels if isinstance(labels, list) else [labels]
    if not all(isinstance(label, int) for label in named):
        raise step.refuse(f"has applied_labels {labels}; must be numbers of labels")
    return tuple(named)


def output_of(names: Sequence[str], label_set: str, activation: Activation, where: str) -> Output:
    """What the channels mean; ids are the channels' numbers, as MONAI writes them.

    Args:
        names: of the channels; under softmax the first is the background, whatever it is called.
        label_set: its name.
        activation: how they become classes.
        where: the model, for messages.

    Raises:
        RefusedModelError: two channels have one name, or there are too many.
    """
    structures = list(names[1:] if isinstance(activation, Softmax) else names)
    try:
        return Output(
            label_set=label_set,
            labels={name: number for number, name in enumerate(structures, start=1)},
            channels=tuple([BACKGROUND, *structures] if isinstance(activation, Softmax) else structures),
            activation=activation,
        )
    except ValueError as error:
        raise RefusedModelError(f"{where}: {error}") from error


def clean_up_of(after: After, output: Output, where: str) -> tuple[CleanUpStep, ...]:
    """The steps that keep the largest component of each structure that MONAI names.

    Raises:
        RefusedModelError: a label has no structure, or MONAI cleans several channels before they are merged.
    """
    if after.largest is None:
        return ()
    # One channel that is on or off is a label map of 0 and 1 to MONAI, and its number is the label.
    if isinstance(output.activation, Sigmoid) and len(output.channels) > 1:
        raise RefusedModelError(
            f"{where}: KeepLargestConnectedComponent after sigmoid cleans each channel by itself, before "
            "they become one label map, which cannot be expressed; take it out of postprocessing to import "
            "the model without it"
        )
    names = {number: name for name, number in output.labels.items()}
    unknown = [label for label in after.largest if label not in names]
    if unknown:
        raise RefusedModelError(
            f"{where}: KeepLargestConnectedComponent names label {unknown[0]}, which is not there"
        )
    return (LargestComponent(structures=tuple(names[label] for label in after.largest or names)),)


def _in_order(axes: str, values: Sequence[N]) -> tuple[N, N, N]:
    """Values along a network's axes in the order z, y, x."""
    by_axis = {AXIS_LETTERS[letter]: value for letter, value in zip(axes, values, strict=True)}
    return by_axis[0], by_axis[1], by_axis[2]


def _three(step: Step, value: Plain, name: str) -> tuple[float, float, float]:
    """A number, or a list that MONAI fills up with its last one."""
    given = value if isinstance(value, list) and value else [value]
    numbers = [_as_number(step, each, name) for each in given]
    first, second, third = (*numbers, *[numbers[-1]] * 3)[:3]
    return first, second, third


def _number(step: Step, name: str) -> float:
    return _as_number(step, step.arguments.get(name), name)


def _as_number(step: Step, value: Plain, name: str = "a value") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise step.refuse(f"has {name} {value}, which is no number")
    return float(value)


def modality_of(text: str) -> Modality:
    """What MONAI's names of modalities mean here."""
    known: dict[str, Modality] = {"ct": "CT", "mr": "MR", "mri": "MR", "pet": "PET", "pt": "PET"}
    return known.get(text.casefold(), "other")
