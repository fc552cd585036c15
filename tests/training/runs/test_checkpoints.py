"""Checkpoints come back as they were written; anything else is refused in one line."""

import pytest
import safetensors.torch
import torch

from model.networks.build import build
from tests.training.tiny import NETWORK, tiny_recipe
from training.runs import checkpoints
from training.runs.checkpoints import RunInfo, load_checkpoint, load_weights, save_checkpoint
from training.training_errors import CheckpointError, NoCheckpointError, WriteError

INFO = RunInfo(
    recipe=tiny_recipe(),
    step=3,
    seed=1,
    precision="fp32",
    cases=("a", "b"),
    best_dice=0.5,
    dice={"liver": 0.5},
)


def network_tensors(recipe):
    return {f"network.{name}": tensor for name, tensor in build(recipe.network).state_dict().items()}


def test_round_trip(tmp_path):
    tensors = {"network.a": torch.arange(6.0).reshape(2, 3), "exp_avg.a": torch.ones(2)}
    save_checkpoint(tmp_path / "c.safetensors", tensors, INFO)
    loaded, info = load_checkpoint(tmp_path / "c.safetensors")
    assert info == INFO
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_same_contents_same_bytes(tmp_path):
    tensors = network_tensors(INFO.recipe)
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, tensors, INFO)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, {"network.a": torch.ones(1)}, INFO)

    def disk_full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise safetensors.SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    monkeypatch.setattr(checkpoints.safetensors.torch, "save_file", disk_full)
    with pytest.raises(
        WriteError, match=r"cannot be written \(No space left on device\); make room on the disk"
    ):
        save_checkpoint(path, {"network.a": torch.zeros(1)}, INFO)
    assert sorted(tmp_path.iterdir()) == [path]
    assert load_checkpoint(path)[0]["network.a"].item() == 1


def damaged(path):
    path.write_bytes(b"not a checkpoint at all")


def truncated(path):
    save_checkpoint(path, network_tensors(INFO.recipe), INFO)
    path.write_bytes(path.read_bytes()[:-100])


def foreign(path):
    safetensors.torch.save_file({"a": torch.ones(1)}, path, metadata={"format": "pt"})


def faulty(path):
    safetensors.torch.save_file(
        {"a": torch.ones(1)}, path, metadata={checkpoints.FORMAT: '{"step": "three"}'}
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (None, "no such checkpoint"),
        (damaged, "damaged"),
        (truncated, "damaged"),
        (foreign, "not a checkpoint of"),
        (faulty, "recipe: missing|step"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, make, message):
    path = tmp_path / "c.safetensors"
    if make:
        make(path)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(NoCheckpointError) as error:
        load_checkpoint(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: is a folder; give a checkpoint, such as {tmp_path / 'best.safetensors'}"
    )


def test_weights_of_another_network_are_refused_naming_the_first_tensor(tmp_path):
    wider = tiny_recipe(network={**NETWORK, "init_filters": 8})
    with pytest.raises(
        CheckpointError, match=r"belongs to another network \(encoder\.conv_init\.weight is \(8, 1, 3, 3, 3\)"
    ):
        load_weights(build(INFO.recipe.network), network_tensors(wider), tmp_path)


def test_weights_are_loaded(tmp_path):
    source, target = network_tensors(INFO.recipe), build(INFO.recipe.network)
    load_weights(target, source, tmp_path)
    assert all(torch.equal(tensor, source[f"network.{name}"]) for name, tensor in target.state_dict().items())


def test_others_may_read_a_checkpoint_as_any_new_file(tmp_path):
    (tmp_path / "new").touch()
    save_checkpoint(tmp_path / "a.safetensors", {}, INFO)
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "new").stat().st_mode
