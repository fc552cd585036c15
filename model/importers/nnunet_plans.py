"""What `plans.json` and `dataset.json` of nnU-Net v2 say of one configuration.

Lists along axes are in nnU-Net's own order: the axes of its reader (z, y, x), transposed by
`transpose_forward`. A flat configuration has two axes; its spacing and patch get the slice in front.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from model.arrays import Zyx, ZyxMm
from model.importers.foreign_fields import (
    Place,
    field,
    is_number,
    numbers,
    printable_text,
    read_json,
    whole_numbers,
)
from model.importers.nnunet_folder import DATASET, PLANS, trained_beside
from model.importers.nnunet_labels import Labels, heads_of, labels_of
from model.importers.nnunet_networks import UNetSpec, spec_of
from model.model_errors import RefusedModelError

PREPROCESSORS = ("DefaultPreprocessor",)
LABEL_MANAGERS = ("LabelManager",)
READERS: Mapping[str, Literal["stored", "ras"]] = {
    "SimpleITKIO": "stored",
    "NibabelIO": "stored",
    "NibabelIOWithReorient": "ras",
}
"""Readers of images to how their arrays lie: as the file has them, or turned."""
ANY_SIDE = 1.0
"""Stands for the spacing between the slices of a flat configuration, which every image keeps."""


@dataclass(frozen=True, kw_only=True)
class Resampler:
    """`resample_data_or_seg_to_shape` and its settings."""

    order: int
    """Of the spline in plane, or along all axes: 0, 1 or 3."""
    order_z: int
    """Of that along an axis that is resampled apart."""
    above_ratio: float | None
    """Of the largest spacing to the smallest, above which one axis is apart; 0: it always is; None: never."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """How one image of a case is normalized."""

    name: str
    scheme: str
    """nnU-Net's class, e.g. `CTNormalization`."""
    use_mask: bool
    """Whether only voxels that are not 0 count and change."""
    figures: Mapping[str, Any]
    """`mean`, `std`, `percentile_00_5`, `percentile_99_5` of the training data's foreground."""


@dataclass(frozen=True, kw_only=True)
class Plans:
    """One configuration."""

    name: str
    """E.g. `3d_fullres`."""
    where: str
    """The file and the configuration, for messages."""
    dataset: str
    """E.g. `Dataset701_Abdomen`."""
    planned_by: str
    """E.g. `nnUNetResEncUNetMPlans`."""
    flat: bool
    """Whether networks see one slice at a time."""
    spacing: ZyxMm
    patch: Zyx
    orientation: Literal["stored", "ras"]
    """How its reader turns images."""
    transpose: tuple[int, int, int]
    """Axis of the reader's that is the n-th of nnU-Net's."""
    channels: tuple[Channel, ...]
    data: Resampler
    scores: Resampler
    network: UNetSpec
    labels: Labels
    regions_class_order: tuple[int, ...] | None
    licence: str | None
    """As `dataset.json` has it."""


@dataclass(frozen=True, kw_only=True)
class Documents:
    """`plans.json` and `dataset.json`, or what a checkpoint repeats of them."""

    plans: Mapping[str, Any]
    plans_place: str
    """Where it stands, for messages."""
    dataset: Mapping[str, Any]
    dataset_place: str


def read_plans(model: Place, configuration: str) -> Plans:
    """Read what a trained model says of the configuration that its checkpoints are of.

    Raises:
        RefusedModelError: a file is missing or faulty, or says what cannot be done here.
    """
    documents = Documents(
        plans=read_json(model / PLANS),
        plans_place=str(model / PLANS),
        dataset=read_json(model / DATASET),
        dataset_place=str(model / DATASET),
    )
    stated = _configuration(documents.plans, configuration, documents.plans_place)
    if stated.get("previous_stage") is not None:
        others = trained_beside(model)
        instead = f"{' or '.join(others)} from beside it" if others else "a model of 3d_fullres"
        raise RefusedModelError(
            f"{documents.plans_place}: {configuration}: is the second stage of a cascade, which cannot be "
            f"expressed; import {instead}"
        )
    return plans_of(documents, configuration)


def plans_of(documents: Documents, configuration: str) -> Plans:
    """What documents say of a configuration.

    Raises:
        RefusedModelError: they are faulty, or say what cannot be done here.
    """
    plans, dataset = documents.plans, documents.dataset
    where = f"{documents.plans_place}: {configuration}"
    stated = _configuration(plans, configuration, documents.plans_place)
    _check_known(stated, "preprocessor_name", PREPROCESSORS, where)
    _check_known(plans, "label_manager", LABEL_MANAGERS, documents.plans_place)
    _check_known(plans, "image_reader_writer", tuple(READERS), documents.plans_place)
    channels = _channels(plans, stated, dataset, where, documents.dataset_place)
    patch, spacing = whole_numbers(stated, "patch_size", where), numbers(stated, "spacing", where)
    flat = len(patch) == 2
    labels, order = labels_of(dataset, documents.dataset_place)
    return Plans(
        name=configuration,
        where=where,
        dataset=_text(plans, "dataset_name", "unknown data set", documents.plans_place),
        planned_by=_text(plans, "plans_name", "unknown plans", documents.plans_place),
        flat=flat,
        spacing=_three(spacing, ANY_SIDE, f"{where}: spacing"),
        patch=_whole(_three(patch, 1.0, f"{where}: patch_size")),
        orientation=READERS[plans.get("image_reader_writer", "SimpleITKIO")],
        transpose=_transpose(plans, documents.plans_place),
        channels=channels,
        data=_resampler(stated, "resampling_fn_data", where),
        scores=_resampler(stated, "resampling_fn_probabilities", where),
        network=spec_of(stated, len(channels), heads_of(labels, order), flat=flat, where=where),
        labels=labels,
        regions_class_order=order,
        licence=_licence(dataset, documents.dataset_place),
    )


def _configuration(plans: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """A configuration with what it inherits."""
    known: Mapping[str, Any] = field(plans, "configurations", Mapping, where)
    merged: dict[str, Any] = {}
    following: Any = name
    for _ in range(len(known) + 1):
        if not isinstance(following, str) or following not in known:
            raise RefusedModelError(
                f"{where}: has no configuration {following}; known are {', '.join(known)}"
            )
        merged = {**field(known, following, Mapping, where), **merged}
        following = known[following].get("inherits_from")
        if following is None:
            return merged
    raise RefusedModelError(f"{where}: configuration {name} inherits from itself")


def _text(document: Mapping[str, Any], name: str, usual: str, where: str) -> str:
    return printable_text(document.get(name, usual), name, where)


def _licence(dataset: Mapping[str, Any], where: str) -> str | None:
    """In one line, whatever lines it has; None where it is not stated."""
    if "licence" not in dataset:
        return None
    return printable_text(" ".join(str(dataset["licence"]).split()), "licence", where)


def _check_known(document: Mapping[str, Any], name: str, known: tuple[str, ...], where: str) -> None:
    value = document.get(name, known[0])
    if value not in known:
        raise RefusedModelError(f"{where}: {name} is {value}, known are {', '.join(known)}")


def _channels(
    plans: Mapping[str, Any], stated: Mapping[str, Any], dataset: Mapping[str, Any], where: str, beside: str
) -> tuple[Channel, ...]:
    names = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(names, Mapping) or not names or not all(key.isdecimal() for key in names):
        raise RefusedModelError(
            f'{beside}: channel_names must map channel numbers to names, as in {{"0": "CT"}}, '
            f"is {str(names)[:60]}"
        )
    schemes: list[Any] = field(stated, "normalization_schemes", list, where)
    masks: list[Any] = field(stated, "use_mask_for_norm", list, where)
    older = plans.get("foreground_intensity_properties_by_modality", {})
    figures = _mapping(plans.get("foreground_intensity_properties_per_channel", older))
    if not len(names) == len(schemes) == len(masks):
        raise RefusedModelError(
            f"{where}: normalization_schemes and use_mask_for_norm must be of {len(names)} channels"
        )
    return tuple(
        Channel(
            name=printable_text(names[key], f"channel_names.{key}", beside),
            scheme=str(schemes[index]),
            use_mask=bool(masks[index]),
            figures=_mapping(figures.get(str(index))),
        )
        for index, key in enumerate(sorted(names, key=int))
    )


def _mapping(value: object) -> Mapping[str, Any]:
    """A mapping, or an empty one for anything else: what it should hold is then missing."""
    return value if isinstance(value, Mapping) else {}


def _resampler(stated: Mapping[str, Any], name: str, where: str) -> Resampler:
    _check_known(stated, name, ("resample_data_or_seg_to_shape",), where)
    kwargs = f"{name}_kwargs"
    settings: Mapping[str, Any] = field({kwargs: {}, **stated}, kwargs, Mapping, where)
    forced = settings.get("force_separate_z", False)
    if forced not in (None, False, True):
        raise RefusedModelError(
            f"{where}: {kwargs}: force_separate_z is {forced}; known are true, false, null"
        )
    order, order_z = settings.get("order", 3), settings.get("order_z", 0)
    for what, value in (("order", order), ("order_z", order_z)):
        if value not in (0, 1, 3):
            raise RefusedModelError(f"{where}: {name} has {what} {value}; known are 0, 1 and 3")
    ratio = settings.get("separate_z_anisotropy_threshold", 3.0)
    if not is_number(ratio) or ratio < 0:
        raise RefusedModelError(
            f"{where}: {kwargs}: separate_z_anisotropy_threshold must be a number of 0 or more, is {ratio}"
        )
    return Resampler(
        order=order,
        order_z=order_z,
        above_ratio=float(ratio) if forced is None else (0.0 if forced else None),
    )


def _transpose(plans: Mapping[str, Any], where: str) -> tuple[int, int, int]:
    axes = whole_numbers(plans, "transpose_forward", where)
    if sorted(axes) != [0, 1, 2]:
        raise RefusedModelError(f"{where}: transpose_forward must name axes 0, 1 and 2, is {list(axes)}")
    return axes[0], axes[1], axes[2]


def _three(values: tuple[float, ...], slice_side: float, where: str) -> ZyxMm:
    if len(values) not in (2, 3):
        raise RefusedModelError(f"{where} must be of two or three axes, is {list(values)}")
    first, second, third = values if len(values) == 3 else (slice_side, *values)
    return first, second, third


def _whole(values: ZyxMm) -> Zyx:
    first, second, third = (round(value) for value in values)
    return first, second, third
