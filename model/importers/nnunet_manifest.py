"""The plans of nnU-Net in the words of a manifest: the same pre-processing, tiling and restoration."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeVar

from model.importers.foreign_fields import is_number
from model.importers.nnunet_plans import Channel, Plans, Resampler
from model.labels import BACKGROUND
from model.manifest.document import Input, Preprocessing
from model.manifest.intensity import (
    ClipZscoreIntensity,
    DivideIntensity,
    Intensity,
    NoIntensity,
    ZeroToOneIntensity,
    ZscoreIntensity,
)
from model.manifest.network import AXES, Member
from model.manifest.output import Output, Sigmoid, Softmax
from model.manifest.resampling import (
    CubicResampling,
    LinearResampling,
    Resampling,
    Restoration,
    SeparateAxisResampling,
    SeparateAxisRestoration,
)
from model.manifest.tiling import NnunetImportance, Tiling
from model.manifest.window import AnyWindow, FixedWindow
from model.model_errors import RefusedModelError

OWN = "SPL"
"""Letters of the axes z, y, x of the reader's arrays, however those lie in the body."""
T = TypeVar("T")
ORDERS: Mapping[int, Literal["nearest", "linear", "cubic"]] = {0: "nearest", 1: "linear", 3: "cubic"}
MR_NAMES = ("mr", "t1", "t2", "flair", "dwi", "adc", "pd")
"""How the names of magnetic resonance channels begin."""
SMALLEST_STD = 1e-8
"""nnU-Net's least deviation."""
FIGURES = ("percentile_00_5", "percentile_99_5", "mean", "std")
"""What nnU-Net's normalization of CT takes from the training data."""


def inputs_of(plans: Plans) -> tuple[Input, ...]:
    """The channels of a case.

    Raises:
        RefusedModelError: a normalization is unknown.
    """
    return tuple(
        Input(
            name=channel.name,
            modality=_modality(channel.name),
            intensity=_intensity(channel, f"{plans.where}: channel {channel.name}"),
        )
        for channel in plans.channels
    )


def preprocessing_of(plans: Plans) -> Preprocessing:
    """What happens before windows are cut.

    Raises:
        RefusedModelError: a figure of the plans is out of range.
    """
    try:
        return Preprocessing(
            orientation=plans.orientation,
            crop="nonzero",
            normalize="before_resampling",
            resampling=resampling_of(plans.data),
        )
    except ValueError as error:
        raise RefusedModelError(f"{plans.where}: {error}") from error


def member_of(plans: Plans, file: str, mirrored: Sequence[int], *, any_window: bool = False) -> Member:
    """One fold's entry.

    Args:
        plans: of its configuration.
        file: its ONNX file.
        mirrored: nnU-Net's axes that its predictions are mirrored along.
        any_window: whether the file takes other windows than that of the plans, which alone is used.

    Raises:
        RefusedModelError: a 2d network is mirrored along a third axis, or shall take any window.
        ValueError: spacing or patch are no sizes of windows.
    """
    flat = 1 if plans.flat else 0  # A flat network counts its axes from the second.
    if any(axis + flat > 2 for axis in mirrored):
        raise RefusedModelError(
            f"{plans.where}: is 2d, and mirrored along axes {list(mirrored)}; known are 0, 1"
        )
    axes = sorted(plans.transpose[axis + flat] for axis in mirrored)
    return Member(
        file=file,
        spacing_zyx_mm=_stored(plans, plans.spacing),
        kept_spacing=(AXES[plans.transpose[0]],) if plans.flat else (),
        window_zyx=_stored(plans, plans.patch),
        window=_any_window(plans) if any_window else FixedWindow(),
        axes="".join(OWN[axis] for axis in plans.transpose),
        tiling=Tiling(
            importance=NnunetImportance(),
            mirror_axes=tuple(AXES[axis] for axis in axes),
            skip_air=False,
        ),
    )


def _any_window(plans: Plans) -> AnyWindow:
    """Windows of any size from two voxels a side at the coarsest level on.

    Raises:
        RefusedModelError: of a 2d network, whose windows are one slice thick.
    """
    if plans.flat:
        raise RefusedModelError(f"{plans.where}: is 2d, whose windows are one slice thick; no --any-window")
    steps = _stored(plans, plans.network.stride_zyx)
    own = _stored(plans, plans.patch)
    z, y, x = (min(side, 2 * step) for side, step in zip(own, steps, strict=True))
    return AnyWindow(multiple_of_zyx=steps, smallest_zyx=(z, y, x), use="own")


def _stored(plans: Plans, values: tuple[T, T, T]) -> tuple[T, T, T]:
    """Values along nnU-Net's axes, in the order of the stored ones."""
    z, y, x = (values[plans.transpose.index(axis)] for axis in range(3))
    return z, y, x


def resampling_of(resampler: Resampler) -> Resampling:
    """How images are brought to the network's grid."""
    in_plane, along = ORDERS[resampler.order], ORDERS[resampler.order_z]
    if resampler.above_ratio is None and in_plane != "nearest":
        return CubicResampling() if in_plane == "cubic" else LinearResampling()
    if resampler.above_ratio is None:
        along = in_plane
    return SeparateAxisResampling(in_plane=in_plane, along=along, above_ratio=resampler.above_ratio or 0.0)


def restoration_of(resampler: Resampler, where: str) -> Restoration:
    """How scores are brought back.

    Raises:
        RefusedModelError: by a cubic spline, for which whole volumes of scores would have to be held.
    """
    in_plane, along = ORDERS[resampler.order], ORDERS[resampler.order_z]
    if in_plane == "cubic" or along == "cubic":
        raise RefusedModelError(
            f"{where}: resampling_fn_probabilities of order 3 cannot be expressed; known are 0 and 1"
        )
    if resampler.above_ratio is None and in_plane == "linear":
        return LinearResampling()
    if resampler.above_ratio is None:
        along = in_plane
    return SeparateAxisRestoration(in_plane=in_plane, along=along, above_ratio=resampler.above_ratio or 0.0)


def output_of(plans: Plans, where: str) -> Output:
    """What the networks' channels mean.

    Raises:
        RefusedModelError: ids that nnU-Net itself would not write, or two regions with one id.
    """
    order = plans.regions_class_order
    if order is None:
        stated = {name: each for name, each in plans.labels.items() if isinstance(each, int)}
        names = sorted(stated, key=stated.__getitem__)
        ids = {name: stated[name] for name in names}
        if list(ids.values()) != list(range(1, len(ids) + 1)):
            raise RefusedModelError(
                f"{where}: labels must be 1, 2, 3 … without a gap, are {list(ids.values())}"
            )
    else:
        names = list(plans.labels)
        if len(order) != len(names):
            raise RefusedModelError(
                f"{where}: regions_class_order must be one id for each of {len(names)} regions"
            )
        ids = dict(zip(names, order, strict=True))
    try:
        return Output(
            label_set=plans.dataset,
            labels=ids,
            channels=tuple(names) if order is not None else (BACKGROUND, *names),
            activation=Softmax() if order is None else Sigmoid(),
        )
    except ValueError as error:
        raise RefusedModelError(f"{where}: {error}") from error


def _modality(name: str) -> Literal["CT", "MR", "PET", "other"]:
    lowered = name.casefold()
    if lowered == "ct":
        return "CT"
    if lowered.startswith("pet"):
        return "PET"
    return "MR" if lowered.startswith(MR_NAMES) else "other"


def _intensity(channel: Channel, where: str) -> Intensity:
    make = SCHEMES.get(channel.scheme)
    if make is None:
        raise RefusedModelError(
            f"{where}: normalization {channel.scheme} is unknown; known are {', '.join(SCHEMES)}"
        )
    try:
        return make(channel)
    except ValueError as error:
        raise RefusedModelError(f"{where}: foreground_intensity_properties_per_channel: {error}") from error


def _ct(channel: Channel) -> Intensity:
    for name in FIGURES:
        if not is_number(channel.figures.get(name)):
            raise ValueError(f"{name} must be a number, is {str(channel.figures.get(name))[:60]}")
    lower, upper, mean, std = (float(channel.figures[name]) for name in FIGURES)
    return ClipZscoreIntensity(lower=lower, upper=upper, mean=mean, std=max(std, SMALLEST_STD))


SCHEMES: Mapping[str, Callable[[Channel], Intensity]] = {
    "CTNormalization": _ct,
    "ZScoreNormalization": lambda channel: ZscoreIntensity(
        over="nonzero_filled" if channel.use_mask else "image"
    ),
    "RescaleTo01Normalization": lambda channel: ZeroToOneIntensity(),
    "RGBTo01Normalization": lambda channel: DivideIntensity(),
    "NoNormalization": lambda channel: NoIntensity(),
}
"""nnU-Net's classes of normalization."""
