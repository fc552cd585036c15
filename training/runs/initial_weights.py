"""The weights that a new run starts from: those of a checkpoint, or of a network file of a bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.bundle import load_bundle
from model.labels import BACKGROUND
from model.model_errors import BundleError
from model.onnx_export.stored_weights import read_weights
from model.onnx_header import OnnxFileError
from training.recipes.recipe import FOREGROUND
from training.runs.checkpoints import differing, load_checkpoint, weights_of
from training.training_errors import CheckpointError, NoCheckpointError

HEADS = {"head", "heads"}
"""What the parts of networks are called that turn a level's features into logits."""
ONNX = ".onnx"
GIVE = "give a checkpoint, such as best.safetensors of a run, or a network file of a bundle (*.onnx)"


class Initial(NamedTuple):
    """Weights to start from."""

    weights: Mapping[str, Tensor]
    """By their names in torch."""
    channels: tuple[str, ...] | None
    """What the channels of the network's output mean; None where that is not known."""


def check_initial(path: Path) -> None:
    """Refuse what cannot be a file of weights, before anything else is done.

    Raises:
        CheckpointError: there is no such file.
    """
    if path.is_dir():
        raise NoCheckpointError(f"{path}: is a folder; {GIVE}")
    if not path.exists():
        raise NoCheckpointError(f"{path}: no such {'file' if _is_exported(path) else 'checkpoint'}; {GIVE}")


def read_initial(path: Path) -> Initial:
    """The weights of a checkpoint or of a bundle's network file.

    Raises:
        CheckpointError: it is missing, damaged, or none of both.
    """
    check_initial(path)
    if _is_exported(path):
        try:
            stored = read_weights(path)
        except OnnxFileError as error:
            raise CheckpointError(f"{path}: {error}; {GIVE}") from error
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from error
        weights = {name: torch.from_numpy(values) for name, values in stored.items()}
        return Initial(weights, _channels_in_bundle(path))
    tensors, info = load_checkpoint(path)
    return Initial(weights_of(tensors), info.recipe.channel_names)


def start_from(network: nn.Module, path: Path, channels: Sequence[str]) -> list[str]:
    """Fill a network with weights to start from; heads that are missing, or for others, are new.

    Heads are what turns a level's features into logits. A bundle's file has none for deep supervision, which
    serves training alone; a checkpoint may have more of them than the network. New ones start with logits of
    0: drawn ones may be sure of what is wrong (for one seed of two the loss of a member of the embedded
    bundle began at 10.8 instead of 1.6), and their gradients undo the features.

    Args:
        network: to be filled.
        path: a checkpoint, or a network file of a bundle.
        channels: what the channels of the network's output mean.

    Returns:
        Names of the new heads.

    Raises:
        CheckpointError: the file is missing or damaged, or its weights belong to another network; the first
            tensor that does not fit is named.
    """
    initial = read_initial(path)
    if _is_exported(path) and any(isinstance(module, nn.BatchNorm3d) for module in network.modules()):
        raise CheckpointError(
            f"{path}: export made batch norms part of the convolutions before them; start from a checkpoint"
        )
    wanted, same = network.state_dict(), initial.channels == tuple(channels)
    new = {name for name in wanted if _is_head(name) and not (same and name in initial.weights)}
    weights = {name: at for name, at in initial.weights.items() if name in wanted or not _is_head(name)}
    weights |= {name: wanted[name] for name in new}
    if found := differing(weights, wanted):
        raise CheckpointError(
            f"{path}: belongs to another network ({found}); choose the recipe that it was trained by, or "
            "start from its checkpoint"
        )
    network.load_state_dict(weights)
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in sorted(new)))
    for layer in map(network.get_submodule, layers):
        if isinstance(layer, nn.Conv3d) and layer.out_channels == len(channels):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
    return layers


def _is_exported(path: Path) -> bool:
    return path.suffix.lower() == ONNX


def _is_head(name: str) -> bool:
    return not HEADS.isdisjoint(name.split("."))


def _channels_in_bundle(path: Path) -> tuple[str, ...] | None:
    """What the bundle around a network file says of its channels; None where there is no bundle."""
    try:
        manifest = load_bundle(path.parent).manifest
    except BundleError:
        return None
    if manifest.localization is not None and path.name in manifest.localization.files.values():
        return (BACKGROUND, FOREGROUND)
    members = (file for member in manifest.members for file in member.files.values())
    return manifest.output.channels if path.name in members else None
