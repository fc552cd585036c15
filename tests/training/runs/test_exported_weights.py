"""A run may start from a bundle's network file: the network computes what the file computes."""

import shutil

import pytest
import torch

from model.networks.build import build
from model.onnx_export.graph import export_onnx
from model.onnx_export.parity import synthetic_windows
from tests.places import ROOT
from tests.training.runs.test_every_network import NETWORKS
from tests.training.tiny import tiny_recipe
from training.recipes.loading import load_recipe
from training.runs.checkpoints import RunInfo, load_exported
from training.runs.run import start_run
from training.training_errors import CheckpointError

BUNDLE = ROOT / "bundles" / "default"
CPU = torch.device("cpu")
NETWORK = build(tiny_recipe().network)


def started(recipe, folder, init):
    folder.mkdir(exist_ok=True)
    info = RunInfo(recipe=recipe, step=0, seed=1, precision="fp32", cases=())
    return start_run(info, CPU, folder, init)


def export(recipe, path):
    """Export a network all of whose weights were drawn: of equal ones, as new norms', export keeps one."""
    torch.manual_seed(5)
    network = build(recipe.network).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.rand_like(parameter) / 8)
    export_onnx(network, recipe.patch_zyx, path, synthetic_windows(recipe.patch_zyx), exact=True)
    return network


WITH_BATCH_NORM = "seunet"


@pytest.mark.parametrize(
    "spec",
    [network for network in NETWORKS if network["kind"] != WITH_BATCH_NORM],
    ids=lambda network: network["kind"],
)
def test_the_network_computes_what_was_exported(tmp_path, spec):
    recipe = tiny_recipe(network=spec)
    path = tmp_path / "member-1.onnx"
    exported = export(recipe, path)
    network = started(recipe, tmp_path / "run", path).network.eval()
    window = torch.from_numpy(synthetic_windows(recipe.patch_zyx)[0])
    with torch.no_grad():
        torch.testing.assert_close(network(window), exported(window), rtol=0, atol=1e-5)


def test_batch_norms_that_export_took_up_are_told_of(tmp_path):
    recipe = tiny_recipe(network={"kind": WITH_BATCH_NORM, "init_filters": 4, "levels": 2})
    path = tmp_path / "member-1.onnx"
    export(recipe, path)
    with pytest.raises(CheckpointError, match=r"member-1\.onnx: export made batch norms .* a checkpoint$"):
        started(recipe, tmp_path / "run", path)


def test_both_files_of_an_embedded_network_hold_the_same_weights():
    whole, half = (load_exported(BUNDLE / f"member-1{end}", NETWORK) for end in (".onnx", ".fp16.onnx"))
    assert whole.keys() == half.keys()
    assert all(torch.equal(tensor.half(), half[name].half()) for name, tensor in whole.items())


def test_heads_of_deep_supervision_are_drawn_and_all_else_is_the_embedded_network(tmp_path):
    run = started(load_recipe("default"), tmp_path, BUNDLE / "member-1.onnx")
    stored = load_exported(BUNDLE / "member-1.onnx", run.network)
    lacking = {name for name in run.network.state_dict() if f"network.{name}" not in stored}
    assert lacking == {f"up_layers.{level}.head.{part}" for level in (0, 1) for part in ("weight", "bias")}
    weight = run.network.state_dict()["encoder.conv_init.weight"]
    assert torch.equal(weight, stored["network.encoder.conv_init.weight"])
    assert run.info.init_sha256 is not None


def test_a_network_for_other_structures_has_heads_of_its_own(tmp_path, caplog):
    path = tmp_path / "member-1.onnx"
    export(tiny_recipe(label_set="flare22"), path)
    with caplog.at_level("INFO", "training"):
        run = started(tiny_recipe(), tmp_path / "run", path)
    stored = load_exported(path, NETWORK)
    state = run.network.state_dict()
    drawn = {name for name, tensor in state.items() if not torch.equal(tensor, same(tensor, stored, name))}
    assert drawn == {"up_layers.0.head.weight", "up_layers.0.head.bias"}
    assert f"{path}: all weights but the heads', which are drawn: up_layers.0.head\n" in caplog.text


def same(tensor, stored, name):
    """What is stored under a name, or something else where its shape is another."""
    there = stored[f"network.{name}"]
    return there if there.shape == tensor.shape else tensor + 1


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"member-1\.onnx: belongs to another network \(.* is \(.*\), this"
    ):
        started(load_recipe("default-roi"), tmp_path, BUNDLE / "member-1.onnx")


def test_a_deeper_network_is_not_filled_in_part(tmp_path):
    deeper = tiny_recipe(
        patch_zyx=[32, 32, 32],
        network={"kind": "segresnet", "init_filters": 4, "blocks_down": [1, 1, 1, 1], "dsdepth": 1},
    )
    path = tmp_path / "shallow.onnx"
    export(tiny_recipe(), path)
    with pytest.raises(CheckpointError, match="belongs to another network"):
        started(deeper, tmp_path / "run", path)


def test_a_damaged_or_missing_file_is_named(tmp_path):
    damaged = tmp_path / "member-1.onnx"
    shutil.copy(BUNDLE / "manifest.json", damaged)
    missing = tmp_path / "none.onnx"
    for path, message in ((damaged, "not an ONNX model, or damaged"), (missing, "no such file")):
        with pytest.raises(CheckpointError, match=f"{path.name}: .*{message}"):
            load_exported(path, NETWORK)
