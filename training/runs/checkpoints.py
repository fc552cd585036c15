"""Checkpoints: one safetensors file each, its metadata one JSON text; reading one executes nothing.

Tensors are named `network.…` for the weights that are validated and exported. `last.safetensors` also has
what the optimizer remembers of each weight, e.g. `exp_avg.…`, and `raw.…` for the weights that are trained
where `network.…` is their average. Together with the steps and the seed they are all that a run needs to go
on exactly as if it had not stopped.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor, nn

from leanseg.atomic_files import flush
from model.schema import dump, parse
from training.recipes.recipe import Recipe
from training.training_errors import CheckpointError, NoCheckpointError
from training.whole_files import json_of, whole_file, writing

FORMAT = "leanseg-checkpoint-2"
"""Name of the metadata entry: the only one, since safetensors writes several in any order."""


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What a checkpoint says about the run that wrote it."""

    recipe: Recipe
    """The recipe, overrides included."""
    step: int
    """Optimizer steps done."""
    seed: int
    """Where all randomness of the run comes from."""
    precision: str
    """fp32, bf16 or fp16: how the steps were computed."""
    cases: tuple[str, ...]
    """Names of the training cases, in order."""
    anatomy: str | None = None
    """SHA-256 of the folder of label maps that synthetic cases are painted over."""
    data: str = ""
    """The data sets, as their dataset.json names them."""
    data_hash: str | None = None
    """`data_hash` of the training cases; none in older checkpoints."""
    init_sha256: str | None = None
    """SHA-256 of the checkpoint, or the bundle's file, that the weights started from; none if they were
    drawn at random."""
    best_dice: float | None = None
    """Best mean validation Dice so far, 0 to 1."""
    dice: Mapping[str, float] = field(default_factory=dict)
    """Mean validation Dice of each channel at this checkpoint, 0 to 1; empty where it was not measured."""
    scaler: Mapping[str, float] = field(default_factory=dict)
    """State of the gradient scaler; empty without fp16."""
    updates: int | None = None
    """Steps that changed the weights: the gradient scaler leaves some out. None in older files: all of
    them."""
    batch_size: int | None = None
    """What was found for `sampling.batch_size: auto`."""
    norm_parts: int | None = None
    """Of a network with batch norm, into how many parts at most each batch is split that have statistics of
    their own; None of other networks, and in older files."""
    anneal_steps: tuple[int, ...] = ()
    """Where the run stops when it has converged: the first step of each stage's decay, as far as known."""
    watched: tuple[tuple[float, float, float], ...] = ()
    """Where the run stops when it has converged: epoch, mean Dice and mean loss at each validation of the
    present stage."""
    epoch_loss: tuple[float, int] = (0.0, 0)
    """Where the run stops when it has converged: sum of losses and number of steps since the last
    validation."""


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], info: RunInfo) -> None:
    """Write a checkpoint; a file that is already there is replaced only when the new one is on disk.

    Raises:
        WriteError: it cannot be written; the file that was there is still there.
    """
    contents = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as partial:
        mode = partial.stat().st_mode
        try:
            safetensors.torch.save_file(contents, partial, metadata={FORMAT: json.dumps(dump(info))})
        except safetensors.SafetensorError as error:
            raise _of_the_system(error) from error
        # The library writes a file of its own, which only its owner may read, and renames it to this one.
        partial.chmod(mode)
    with writing(path):
        flush(path.parent)


def _of_the_system(error: safetensors.SafetensorError) -> OSError:
    """What the system said, which the library tells as a text.

    >>> import errno
    >>> said = "Error while serializing: I/O error: No space left on device (os error 28)"
    >>> _of_the_system(safetensors.SafetensorError(said)).errno == errno.ENOSPC
    True
    """
    number = re.search(r"\(os error (\d+)\)", str(error))
    return OSError(str(error)) if number is None else OSError(int(number[1]), os.strerror(int(number[1])))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], RunInfo]:
    """Tensors and metadata of a checkpoint.

    Raises:
        CheckpointError: the file is missing, a folder, damaged, or not one of ours.
    """
    with _opened(path) as stream:
        tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - not a mapping
        metadata = stream.metadata() or {}
    return tensors, _info_in(metadata, path)


def load_info(path: Path) -> RunInfo:
    """What a checkpoint says about its run, without its tensors; raises as `load_checkpoint` does."""
    with _opened(path) as stream:
        metadata = stream.metadata() or {}
    return _info_in(metadata, path)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if path.is_dir():
        raise NoCheckpointError(
            f"{path}: is a folder; give a checkpoint, such as {path / 'best.safetensors'}"
        )
    try:
        with safetensors.safe_open(path, framework="pt") as stream:
            yield stream
    except FileNotFoundError as error:
        raise NoCheckpointError(f"{path}: no such checkpoint") from error
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: damaged, or not a safetensors file ({error})") from error


def _info_in(metadata: Mapping[str, str], path: Path) -> RunInfo:
    if FORMAT not in metadata:
        raise CheckpointError(f"{path}: not a checkpoint of this program (metadata lack {FORMAT})")
    try:
        return parse(RunInfo, json_of(metadata[FORMAT]))
    except ValueError as error:
        raise CheckpointError(
            f"{path}: faulty metadata, or those of another version of LeanSeg ({error})"
        ) from error


def load_weights(
    network: nn.Module, tensors: Mapping[str, Tensor], path: Path, prefix: str = "network"
) -> None:
    """Copy a checkpoint's weights into a network.

    Args:
        network: to be filled.
        tensors: of the checkpoint.
        path: the checkpoint, for messages.
        prefix: which of its weights.

    Raises:
        CheckpointError: the weights belong to another network; the first tensor that does not fit is named.
    """
    weights, wanted = weights_of(tensors, prefix), network.state_dict()
    if found := differing(weights, wanted):
        raise CheckpointError(f"{path}: belongs to another network ({found})")
    network.load_state_dict(weights)


def weights_of(tensors: Mapping[str, Tensor], prefix: str = "network") -> dict[str, Tensor]:
    """Those tensors of a checkpoint that are weights, by their names in torch."""
    start = f"{prefix}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def differing(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """The first weight, by name, that is not as a network wants it; empty where there is none."""
    for name in sorted(wanted.keys() | weights.keys()):
        have, want = (tuple(table[name].shape) if name in table else "nothing" for table in (weights, wanted))
        if have != want:
            return f"{name} is {have}, this network wants {want}"
    return ""
