"""Folds that MONAI's Auto3DSeg trained with its SegResNet.

    work_dir/
        segresnet_0/configs/hyper_parameters.yaml  segresnet_0/model/model.pt
        segresnet_1/ …

What `hyper_parameters.yaml` means is what the template's `segmenter.py` makes of it: the same transforms and
windows, named here one by one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.importers.fold_choice import check_folds
from model.importers.foreign_fields import Place, is_number
from model.importers.monai.config_values import ConfigValues, Plain, read_config
from model.importers.monai.found_model import NETWORK, FoundMember, FoundModel
from model.importers.monai.transform_chain import TARGET, Chain, Step, step_of
from model.model_errors import RefusedModelError
from model.networks.from_monai import with_plain_norm

TEMPLATE = "segresnet_"
CONFIGS = ("configs/hyper_parameters.yaml", "hyper_parameters.yaml")
DEFAULT_CHECKPOINT = "model/model.pt"
KEPT_WITHIN = (0.75, 1.25)
"""Shares of the voxel size between which an image is not resampled."""
CROP_MARGIN = 10
OVERLAP = 0.625
USUAL_BOUNDS = (-250, 250)
"""Intensities where none are stated."""
NOT_KNOWN = ("custom_data_transforms", "extra_modalities", "cache_image_int16")
"""Settings that change the image in ways that are not followed."""


def find_auto3dseg(given: Path) -> tuple[tuple[str, Place], ...]:
    """Names and folders of the folds in a folder, or the folder itself; empty where there are none."""
    if _config_of(given) is not None:
        return ((given.resolve().name.removeprefix(TEMPLATE), given),)
    if not given.is_dir():
        return ()
    folders = sorted(place for place in given.iterdir() if place.name.startswith(TEMPLATE))
    return tuple(
        (place.name.removeprefix(TEMPLATE), place) for place in folders if _config_of(place) is not None
    )


def read_auto3dseg(
    found: Sequence[tuple[str, Place]], asked: Sequence[str], checkpoint: str | None, given: Path
) -> FoundModel:
    """What the folds say.

    Args:
        found: `find_auto3dseg`.
        asked: names of the folds that are taken; empty for all that have a checkpoint.
        checkpoint: file in each fold's folder; None for `model/model.pt`.
        given: what the user named, for messages.

    Raises:
        RefusedModelError: a fold is missing or differs from the first, or a setting cannot be expressed.
    """
    file = checkpoint or DEFAULT_CHECKPOINT
    there = {name: place for name, place in found if (place / file).is_file()}
    names = list(asked) or list(there)
    check_folds(names, list(there), file, given)
    configs = [read_config(_config_of(there[name]) or there[name]) for name in names]
    members = [
        FoundMember(name=f"fold-{name}", chain=chain_of(config), checkpoint=there[name] / file)
        for name, config in zip(names, configs, strict=True)
    ]
    for member in members:
        if member.chain.as_json() != members[0].chain.as_json():
            raise RefusedModelError(f"{member.chain.where}: says something else than fold {names[0]}'s")
    return _described(configs[0], members, given.resolve().name, f"folds {' '.join(names)}")


def of_checkpoint(checkpoint: Path, config: Mapping[str, Any]) -> FoundModel:
    """The network of a checkpoint, which Auto3DSeg stores with its settings.

    Raises:
        RefusedModelError: a setting cannot be expressed.
    """
    values = ConfigValues(config, str(checkpoint))
    member = FoundMember(name=NETWORK, chain=chain_of(values), checkpoint=checkpoint)
    folder = checkpoint.resolve().parent
    fold = folder.parent if folder.name == Path(DEFAULT_CHECKPOINT).parent.name else folder
    return _described(values, [member], fold.name, "one checkpoint")


def _described(config: ConfigValues, members: Sequence[FoundMember], name: str, which: str) -> FoundModel:
    first = 0 if config.get("sigmoid", False) else 1
    classes = config.get("class_names")
    return FoundModel(
        members=tuple(members),
        name=name,
        modality=str(config.get("modality", "mri")),
        input_names={},
        output_names=dict(enumerate(map(str, classes if isinstance(classes, list) else []), start=first)),
        recipe=f"MONAI Auto3DSeg SegResNet, {which}",
        data="not stated",
    )


def chain_of(config: ConfigValues) -> Chain:
    """What `segmenter.py` does with an image, by its settings.

    Raises:
        RefusedModelError: a setting cannot be expressed.
    """
    where = config.where
    for name in NOT_KNOWN:
        if config.get(name):
            raise RefusedModelError(f"{where}: {name} cannot be expressed")
    sigmoid = bool(config.get("sigmoid", False))

    def step(name: str, **arguments: Plain) -> Step:
        return Step(name=name, arguments=arguments, where=where)

    before = [step("LoadImage"), step("EnsureChannelFirst"), step("EnsureType")]
    if config.get("orientation_ras", False):
        before.append(step("Orientation", axcodes="RAS"))
    if config.get("crop_foreground", True):
        before.append(step("CropForeground", margin=CROP_MARGIN, allow_smaller=True))
    if config.get("resample", False):
        before.append(step("Spacing", mode="bilinear", **_resolutions(config)))
    return Chain(
        before=(*before, *_normalization(config, step("ScaleIntensityRange"))),
        network=_network(config),
        inferer=_inferer(config),
        after=(
            step("Activations", **{"sigmoid" if sigmoid else "softmax": True}),
            step("Invert", nearest_interp=False),
            step("AsDiscrete", **({"threshold": 0.5} if sigmoid else {"argmax": True})),
        ),
        where=where,
    )


def _config_of(place: Place) -> Place | None:
    return next((place / name for name in CONFIGS if (place / name).is_file()), None)


def _resolutions(config: ConfigValues) -> dict[str, Plain]:
    resolution = config.get("resample_resolution", [1.0, 1.0, 1.0])
    if not isinstance(resolution, list) or not all(map(is_number, resolution)):
        raise RefusedModelError(f"{config.where}: resample_resolution must be a list of numbers")
    low, high = ([share * each for each in resolution] for share in KEPT_WITHIN)
    return {"pixdim": resolution, "min_pixdim": low, "max_pixdim": high}


def _normalization(config: ConfigValues, template: Step) -> list[Step]:
    usual = "range" if str(config.get("modality", "mri")).casefold() == "ct" else "meanstd"
    mode = config.get("normalize_mode", usual)
    if mode == "none":
        return []
    if mode in ("meanstd", "mri"):
        arguments: dict[str, Plain] = {"nonzero": True, "channel_wise": True}
        return [Step(name="NormalizeIntensity", arguments=arguments, where=template.where)]
    if mode not in ("range", "ct"):
        raise RefusedModelError(
            f"{config.where}: normalize_mode {mode} cannot be expressed; known are range, meanstd and none"
        )
    bounds = config.get("intensity_bounds") or list(USUAL_BOUNDS)
    if not isinstance(bounds, list) or len(bounds) != 2:
        raise RefusedModelError(f"{config.where}: intensity_bounds must be two numbers, is {bounds}")
    ends: dict[str, Plain] = {
        "a_min": bounds[0],
        "a_max": bounds[1],
        "b_min": -1.0,
        "b_max": 1.0,
        "clip": False,
    }
    return [
        Step(name="ScaleIntensityRange", arguments=ends, where=template.where),
        Step(name="Activations", arguments={"sigmoid": True}, where=template.where),
    ]


def _network(config: ConfigValues) -> dict[str, Plain]:
    network = config.get("network")
    if not isinstance(network, dict) or TARGET not in network:
        raise RefusedModelError(f"{config.where}: network names no network with {TARGET}")
    if config.get("anisotropic_scales", False) and "SegResNetDS" in str(network[TARGET]):
        network = {**network, "resolution": config.get("resample_resolution", [1.0, 1.0, 1.0])}
    return with_plain_norm(network)


def _inferer(config: ConfigValues) -> Step:
    if config.get("sliding_inferrer") is not None:
        raw = config.followed(config.raw("sliding_inferrer"), "sliding_inferrer")
        return step_of(config, raw, "sliding_inferrer")
    arguments: dict[str, Plain] = {
        "roi_size": config.get("roi_size", [128, 128, 128]),
        "overlap": OVERLAP,
        "mode": "gaussian",
    }
    return Step(name="SlidingWindowInfererAdapt", arguments=arguments, where=config.where)
