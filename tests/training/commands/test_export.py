"""`export` makes a bundle that loads, or nothing."""

import json
from dataclasses import replace

import pytest
import torch

from model.bundle import load_bundle
from model.networks.build import build
from model.onnx_export import graph as onnx_export
from tests.training.tiny import DOCUMENT, tiny_recipe
from training.__main__ import main
from training.commands.export import load_trained, postprocessing_of, provenance_of
from training.runs.checkpoints import RunInfo, load_checkpoint, save_checkpoint

FOREGROUND = {"channels": "foreground", "network": {**DOCUMENT["network"], "out_channels": 2}}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Untrained networks: two members, a localization network, and a member with other channels."""
    folder = tmp_path_factory.mktemp("checkpoints")
    other = {"label_set": "flare22", "network": {**DOCUMENT["network"], "out_channels": 14}}
    for seed, (name, fields) in enumerate(
        {"one": {}, "two": {"name": "fine"}, "roi": FOREGROUND, "other": other}.items()
    ):
        recipe = tiny_recipe(**fields)
        torch.manual_seed(seed)
        tensors = {f"network.{key}": tensor for key, tensor in build(recipe.network).state_dict().items()}
        info = RunInfo(recipe=recipe, step=8, seed=seed, precision="fp32", cases=("a",), data="cubes")
        save_checkpoint(folder / name, tensors, info)
    return folder


def words(checkpoints, output, *names, **options):
    more = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    return ["export", *(str(checkpoints / name) for name in names), "--output", str(output), *more]


def test_an_ensemble_with_localization(checkpoints, cubes, tmp_path):
    output = tmp_path / "bundle"
    call = words(
        checkpoints,
        output,
        "one",
        "two",
        localization=checkpoints / "roi",
        data=cubes,
        licence="CC0-1.0",
        name="tiny",
    )
    assert main(call) == 0
    manifest = load_bundle(output).manifest
    assert [member.file for member in manifest.members] == ["member-1.onnx", "member-2.onnx"]
    assert manifest.localization is not None
    assert manifest.name == "tiny"
    assert [member.fp16_file for member in manifest.members] == ["member-1.fp16.onnx", "member-2.fp16.onnx"]
    assert manifest.localization.fp16_file is None
    assert manifest.members[0].spacing_zyx_mm == (2, 2, 2)
    assert manifest.members[0].window_zyx == (16, 16, 16)
    assert manifest.members[0].interpolation == "area"
    assert all(
        network.memory_mb and network.memory_mb["onnxruntime-fp32"] > 0
        for network in manifest.networks().values()
    )
    assert manifest.members[0].intensity == tiny_recipe().intensity
    assert manifest.output.channels == ("background", "liver", "kidney", "spleen", "pancreas")
    assert manifest.postprocessing is not None
    assert {name: step.keep for name, step in manifest.postprocessing.items()} == dict.fromkeys(
        ("liver", "spleen", "pancreas"), "longest_1d"
    )
    assert (
        manifest.provenance.recipe == "tiny (seed 0, 8 steps), fine (seed 1, 8 steps), tiny (seed 2, 8 steps)"
    )
    assert (manifest.provenance.data, manifest.provenance.licence) == ("cubes", "CC0-1.0")
    assert str(tmp_path) not in json.dumps((output / "manifest.json").read_text(encoding="utf-8"))


def test_files_for_gpus_can_be_left_out(checkpoints, tmp_path):
    assert main([*words(checkpoints, tmp_path / "bundle", "one"), "--no-fp16"]) == 0
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["manifest.json", "member-1.onnx"]
    assert load_bundle(tmp_path / "bundle").manifest.members[0].fp16_file is None


def test_weights_that_were_not_drawn_leave_a_trace(checkpoints, tmp_path):
    tensors, info = load_checkpoint(checkpoints / "one")
    save_checkpoint(tmp_path / "tuned", tensors, replace(info, init_sha256="c" * 64))
    found = provenance_of([load_trained(tmp_path / "tuned"), load_trained(checkpoints / "one")], "", "")
    assert (
        found.recipe == f"tiny (seed 0, 8 steps, from checkpoint sha256:{'c' * 64}), tiny (seed 0, 8 steps)"
    )


def test_one_connected_part_of_every_organ_can_be_kept():
    steps = postprocessing_of(tiny_recipe(), "largest_3d")
    assert {name: step.keep for name, step in steps.items()} == dict.fromkeys(
        tiny_recipe().labels.organs, "largest_3d"
    )


def test_a_disagreement_leaves_nothing_behind(checkpoints, tmp_path, capsys, monkeypatch):
    # A translation error: every stored weight comes out half as large.
    store = onnx_export.store_weights_as_half

    def wrong(path):
        import onnx
        from onnx import numpy_helper

        store(path)
        model = onnx.load(path)
        for weight in model.graph.initializer:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) / 2, weight.name))
        onnx.save(model, path)

    monkeypatch.setattr(onnx_export, "store_weights_as_half", wrong)
    assert main(words(checkpoints, tmp_path / "bundle", "one")) == 1
    assert "onnxruntime and torch disagree" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["one", "other"], {}, "has other channels than"),
        (["roi"], {}, "finds the foreground only"),
        (["one"], {"localization": "two"}, "does not serve for localization"),
        (["three"], {}, "no such checkpoint"),
    ],
)
def test_what_makes_no_ensemble_is_refused(checkpoints, tmp_path, capsys, names, options, message):
    options = {name: checkpoints / value for name, value in options.items()}
    assert main(words(checkpoints, tmp_path / "bundle", *names, **options)) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_not_replaced(checkpoints, tmp_path, capsys):
    (tmp_path / "thesis.txt").touch()
    assert main([*words(checkpoints, tmp_path, "one"), "--overwrite"]) == 1
    assert "already exists" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()
