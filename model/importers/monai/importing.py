"""A trained model of MONAI becomes a bundle that gives the labels of MONAI's own pipeline."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.bundle import ModelBundle
from model.importers.filled_network import filled, plain_names
from model.importers.foreign_fields import Place
from model.importers.monai.after_network import After, after_of, clean_up_of, output_of
from model.importers.monai.auto3dseg_folds import find_auto3dseg, of_checkpoint, read_auto3dseg
from model.importers.monai.before_network import before_of, modality_of
from model.importers.monai.found_model import FoundMember, FoundModel
from model.importers.monai.inferer_windows import tiled
from model.importers.monai.transform_chain import TARGET
from model.importers.monai.zoo_bundle import find_zoo_bundle, read_zoo_bundle
from model.importers.packaging import Packaging
from model.importers.priority import with_priority
from model.importers.safe_checkpoint import read_checkpoint
from model.manifest.document import Input, Manifest, Preprocessing, Provenance
from model.manifest.intensity import Intensity
from model.manifest.network import Localization, Member
from model.manifest.output import Activation, Output
from model.model_errors import RefusedModelError
from model.networks.from_monai import build_of_monai
from model.onnx_export.packing import MakeManifest, NetworkToPack, pack_bundle
from model.onnx_export.parity import synthetic_inputs

WEIGHTS = ("state_dict", "model", "network")
"""What checkpoints call the weights, where they hold more than these."""
CONFIG_FILE = "monai.json"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Trained:
    """One network with its weights."""

    found: FoundMember
    network: nn.Module


@dataclass(frozen=True, kw_only=True)
class _Stated:
    """What a model's configuration says, in the words of a manifest."""

    inputs: tuple[Input, ...]
    preprocessing: Preprocessing
    member: Member
    """What all networks have in common: grid, windows, axes; the file is another's business."""
    after: After
    where: str
    """The configuration, for messages."""


def find_monai(given: Path, folds: Sequence[str], checkpoint: str | None) -> FoundModel:
    """What lies at a place: a model-zoo bundle, or folds of Auto3DSeg.

    Args:
        given: what the user named.
        folds: of Auto3DSeg; empty for all that are there.
        checkpoint: file in the bundle's or each fold's folder; None for the usual one.

    Raises:
        RefusedModelError: neither of them, or one that cannot be expressed.
    """
    if not given.exists():
        raise RefusedModelError(f"{given}: no such file or folder")
    place = find_zoo_bundle(given)
    if place is not None:
        if folds:
            raise RefusedModelError(f"{given}: is a bundle of the model zoo, which has no folds")
        return read_zoo_bundle(place, checkpoint)
    found = find_auto3dseg(given)
    if found:
        return read_auto3dseg(found, folds, checkpoint, given)
    if given.is_file():
        if folds or checkpoint:
            raise RefusedModelError(f"{given}: is one checkpoint; leave out --folds and --checkpoint")
        held = read_checkpoint(given)
        if isinstance(held.get("config"), Mapping) and "network" in held["config"]:
            return of_checkpoint(given, held["config"])
        raise RefusedModelError(f"{given}: says nothing of images; give the folder of its bundle or fold")
    raise RefusedModelError(
        f"{given}: holds no model of MONAI (configs/inference.json and models/model.pt, or segresnet_0/ with "
        "configs/hyper_parameters.yaml and model/model.pt)"
    )


def import_monai(
    given: Path,
    folder: Path,
    packaging: Packaging,
    *,
    folds: Sequence[str] = (),
    checkpoint: str | None = None,
    priority: Sequence[str] = (),
) -> ModelBundle:
    """Write the bundle.

    Args:
        given: bundle of the model zoo (folder or zip), or folder of Auto3DSeg's folds, or of one.
        folder: where the bundle shall lie.
        packaging: what a bundle is told beside.
        folds: of Auto3DSeg; all that are there where none is named.
        checkpoint: file in the bundle's or each fold's folder; None for the usual one.
        priority: names of channels that are on or off by themselves, the one that wins last.

    Raises:
        RefusedModelError: it is no such model, or one that cannot be expressed; nothing is written.
        ParityError: onnxruntime and torch disagree; nothing is left behind.
        MeasurementError: the memory of a network could not be measured.
        BundleError: there is something else at `folder`.
    """
    model = find_monai(given, folds, checkpoint)
    trained = [_train_of(found) for found in model.members]
    stated = _stated_by(model, _input_channels(trained[0]))
    windows = synthetic_inputs(stated.member.input_shape, [channel.intensity for channel in stated.inputs])
    channels = _output_channels(trained[0], windows[0], stated.member)
    output = _output_of(model, channels, stated.after.activation, priority)
    provenance = packaging.provenance(model.recipe, data=model.data)
    make_manifest = _manifest_maker(stated, output, packaging.name or folder.name, provenance)
    to_pack = [
        NetworkToPack(
            network=each.network,
            stated=replace(stated.member, file=f"{each.found.name}.onnx"),
            windows=windows,
            fp16=packaging.fp16,
            exact=not packaging.half_weights,
        )
        for each in trained
    ]
    return pack_bundle(folder, to_pack, None, make_manifest, overwrite=packaging.overwrite)


def _stated_by(model: FoundModel, channels: int) -> _Stated:
    """What a model's configuration says, for images of so many channels.

    Raises:
        RefusedModelError: it cannot be expressed.
    """
    chain = model.members[0].chain
    before = before_of(chain, channels)
    after = after_of(chain, resampled=any(step.name == "Spacing" for step in chain.before))
    if len(model.members) > 1 and after.fusion.of == "logits":
        raise RefusedModelError(
            f"{chain.where}: several folds are averaged as probabilities; Activations is missing"
        )
    return _Stated(
        inputs=_inputs(model, before.intensity, channels),
        preprocessing=before.preprocessing,
        member=tiled(before.member, chain.inferer),
        after=after,
        where=chain.where,
    )


def _output_of(model: FoundModel, channels: int, activation: Activation, priority: Sequence[str]) -> Output:
    """What the networks' channels mean, by the names that the model has for them.

    Raises:
        RefusedModelError: several may be on, and the priority does not name each once.
    """
    where, names = model.members[0].chain.where, channel_names(model, channels)
    return output_of(names, model.name, with_priority(activation, names, priority, where), where)


def _manifest_maker(stated: _Stated, output: Output, name: str, provenance: Provenance) -> MakeManifest:
    """What makes the manifest, once the networks are packed.

    Raises:
        RefusedModelError: a clean-up cannot be expressed.
    """
    postprocessing = clean_up_of(stated.after, output, stated.where)

    def make_manifest(
        members: tuple[Member, ...], localization: Localization | None, files: Mapping[str, str]
    ) -> Manifest:
        return Manifest(
            name=name,
            inputs=stated.inputs,
            preprocessing=stated.preprocessing,
            members=members,
            fusion=stated.after.fusion,
            output=output,
            postprocessing=postprocessing,
            localization=localization,
            provenance=provenance,
            files=files,
        )

    return make_manifest


def write_monai_config(
    given: Path,
    folds: Sequence[str],
    checkpoint: str | None,
    folder: Path,
    priority: Sequence[int] | None = None,
) -> Path:
    """Write what MONAI's own classes are to do, and the weights, so that neither holds anything to be run.

    Args:
        given: see `import_monai`.
        folds: see `import_monai`.
        checkpoint: see `import_monai`.
        folder: where to; `monai.json` names weights that lie beside it.
        priority: the channels in rising priority, where several may be on; None: in their own order.

    Returns:
        The file.

    Raises:
        RefusedModelError: it is no such model.
    """
    model = find_monai(given, folds, checkpoint)
    trained = [_train_of(found) for found in model.members]
    for each in trained:
        torch.save(dict(each.network.state_dict()), folder / f"{each.found.name}.pt")
    config: dict[str, Any] = model.members[0].chain.as_json()
    config["priority"] = None if priority is None else list(priority)
    config["weights"] = [f"{each.found.name}.pt" for each in trained]
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2), encoding="utf-8")
    return folder / CONFIG_FILE


def channel_names(model: FoundModel, channels: int) -> list[str]:
    """Names of so many channels of the output, the background's too; numbers where none are stated."""
    return [model.output_names.get(index, f"class {index}") for index in range(channels)]


def _train_of(found: FoundMember) -> _Trained:
    """The network that the configuration names, with the checkpoint's weights."""
    where = found.chain.where
    arguments = {name: value for name, value in found.chain.network.items() if name != TARGET}
    try:
        network = build_of_monai(str(found.chain.network[TARGET]), arguments)
    except ValueError as error:
        raise RefusedModelError(f"{where}: {error}") from error
    logger.info("reading %s", found.checkpoint)
    filled(network, _weights_of(found.checkpoint), str, found.checkpoint, where)
    return _Trained(found=found, network=network)


def _weights_of(checkpoint: Place) -> dict[str, Tensor]:
    held = read_checkpoint(checkpoint)
    inside = next((held[name] for name in WEIGHTS if isinstance(held.get(name), Mapping)), held)
    weights = plain_names(inside)
    if not weights or not all(isinstance(tensor, Tensor) for tensor in weights.values()):
        raise RefusedModelError(f"{checkpoint}: holds no weights of a network")
    return weights


def _input_channels(trained: _Trained) -> int:
    stated = trained.found.chain.network.get("in_channels", 1)
    if isinstance(stated, bool) or not isinstance(stated, int) or stated < 1:
        raise RefusedModelError(
            f"{trained.found.chain.where}: in_channels is {stated}, which is not understood"
        )
    return stated


def _output_channels(trained: _Trained, window: Any, member: Member) -> int:  # noqa: ANN401
    """Channels that come out of a window, which shows that it fits the network."""
    try:
        with torch.inference_mode():
            logits = trained.network(torch.from_numpy(window))
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RefusedModelError(
            f"{trained.found.chain.where}: the network takes no windows of {member.input_shape} ({reason})"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape[2:] != window.shape[2:]:
        raise RefusedModelError(
            f"{trained.found.chain.where}: the network does not give one class score a voxel"
        )
    return int(logits.shape[1])


def _inputs(model: FoundModel, intensity: Intensity, channels: int) -> tuple[Input, ...]:
    modality = modality_of(model.modality)
    usual = [modality if channels == 1 else f"{modality} {index}" for index in range(channels)]
    return tuple(
        Input(name=model.input_names.get(index, usual[index]), modality=modality, intensity=intensity)
        for index in range(channels)
    )
