"""A bundle of MONAI's model zoo: a folder, or a zip of one.

spleen_ct_segmentation/
    configs/inference.json (or .yaml)  configs/metadata.json  models/model.pt
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.importers.foreign_fields import Place, below, printable_text, read_json
from model.importers.found_below import found_below, opened
from model.importers.monai.config_values import ConfigValues, Plain, read_config
from model.importers.monai.found_model import NETWORK, FoundMember, FoundModel
from model.importers.monai.transform_chain import SEE, TARGET, Chain, step_of, steps_at
from model.model_errors import RefusedModelError
from model.networks.from_monai import with_plain_norm

CONFIGS = tuple(f"configs/inference.{suffix}" for suffix in ("json", "yaml", "yml"))
METADATA = "configs/metadata.json"
DEFAULT_CHECKPOINT = "models/model.pt"
TORCHSCRIPT = "models/model.ts"
"""What newer bundles hold beside the checkpoint, or alone: the network as a program."""
DEPTH = 1
"""How many folders deep a bundle is looked for."""
WRITING = ("SaveImage",)
"""Transforms that keep the result and do not change it."""


def find_zoo_bundle(given: Path) -> Place | None:
    """The bundle's folder; None where there is none.

    Raises:
        RefusedModelError: there are several.
    """
    root = opened(given)
    found = sorted(found_below(root, DEPTH, _is_bundle), key=str)
    if len(found) > 1:
        names = ", ".join(below(place, root) for place in found)
        raise RefusedModelError(
            f"{given}: holds {len(found)} bundles of MONAI; name one of their folders: {names}"
        )
    return found[0] if found else None


def read_zoo_bundle(place: Place, checkpoint: str | None) -> FoundModel:
    """What a bundle says.

    Args:
        place: its folder.
        checkpoint: file in it; None for `models/model.pt`.

    Raises:
        RefusedModelError: its configuration cannot be read, or holds what cannot be read without running it;
            or it has TorchScript and no checkpoint.
    """
    config = read_config(next(place / name for name in CONFIGS if (place / name).is_file()))
    chain = Chain(
        before=steps_at(config, "preprocessing"),
        network=_network(config),
        inferer=step_of(config, config.followed(config.raw("inferer"), "inferer"), "inferer"),
        after=steps_at(config, "postprocessing", WRITING),
        where=config.where,
    ).on_one_image()
    if checkpoint is None and not (place / DEFAULT_CHECKPOINT).is_file() and (place / TORCHSCRIPT).is_file():
        raise RefusedModelError(
            f"{place}: holds {TORCHSCRIPT} alone, which is TorchScript, a program that is not read; export "
            f"the state_dict of its network as {DEFAULT_CHECKPOINT} ({SEE})"
        )
    metadata = read_json(place / METADATA) if (place / METADATA).is_file() else {}
    described = ConfigValues(metadata, str(place / METADATA))
    inputs, outputs = (_first(described, f"network_data_format#{side}") for side in ("inputs", "outputs"))
    name = _name_of(place)
    return FoundModel(
        members=(
            FoundMember(name=NETWORK, chain=chain, checkpoint=place / (checkpoint or DEFAULT_CHECKPOINT)),
        ),
        name=name,
        modality=str(inputs.get("modality", "other")),
        input_names=_names(inputs, described.where),
        output_names=_names(outputs, described.where),
        recipe=f"MONAI bundle {name} {_line(metadata, 'version', '', described.where)}".strip(),
        data=_line(metadata, "data_source", "not stated", described.where),
    )


def _line(metadata: Mapping[str, Any], name: str, usual: str, where: str) -> str:
    """A field in one line, whatever lines it has; what is usual where it is missing."""
    return printable_text(" ".join(str(metadata.get(name, usual)).split()), name, where)


def _network(config: ConfigValues) -> Mapping[str, Plain]:
    network = config.get("network_def")
    if not isinstance(network, Mapping) or not isinstance(network.get(TARGET), str):
        raise RefusedModelError(f"{config.where}: network_def names no network with {TARGET}")
    return with_plain_norm(network)


def _name_of(place: Place) -> str:
    """Of the bundle's folder, or of the zip that is one."""
    if isinstance(place, zipfile.Path):
        return place.name if place.at else Path(place.root.filename or "").stem
    return place.resolve().name


def _first(described: ConfigValues, path: str) -> Mapping[str, Plain]:
    """What is said of the only input or output."""
    found = described.raw(path) if path in described else {}
    values = list(found.values()) if isinstance(found, Mapping) else []
    return values[0] if values and isinstance(values[0], Mapping) else {}


def _names(described: Mapping[str, Plain], where: str) -> dict[int, str]:
    """Names of channels by their numbers."""
    names = described.get("channel_def")
    if not isinstance(names, Mapping):
        return {}
    return {
        int(key): printable_text(name, f"channel_def.{key}", where)
        for key, name in names.items()
        if str(key).isdecimal()
    }


def _is_bundle(place: Place) -> bool:
    return any((place / name).is_file() for name in CONFIGS)
