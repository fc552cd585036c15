"""A run may start from a bundle's network file: all of its weights but heads for other structures."""

import json
import shutil

import onnx
import pytest
import torch

from model.bundle import file_sha256
from model.networks.build import build
from model.onnx_export.graph import export_onnx
from model.onnx_export.parity import synthetic_windows
from tests.places import ROOT
from tests.training.runs.test_every_network import NETWORKS
from tests.training.tiny import NETWORK as TINY
from tests.training.tiny import tiny_recipe
from training.recipes.loading import load_recipe
from training.runs.checkpoints import RunInfo, save_checkpoint
from training.runs.initial_weights import read_initial
from training.runs.run import start_run
from training.training_errors import CheckpointError

BUNDLE = ROOT / "bundles" / "default"
CPU = torch.device("cpu")


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
def test_a_file_without_a_bundle_gives_all_but_the_heads(tmp_path, spec):
    """Nothing says what its channels mean."""
    recipe = tiny_recipe(network=spec)
    path = tmp_path / "member-1.onnx"
    export(recipe, path)
    run = started(recipe, tmp_path / "run", path)
    names = run.network.state_dict()
    assert new_heads(run, path) == sorted({name.rpartition(".")[0] for name in names if is_head(name)})


def test_batch_norms_that_export_took_up_are_told_of(tmp_path):
    recipe = tiny_recipe(network={"kind": WITH_BATCH_NORM, "init_filters": 4, "levels": 2})
    with pytest.raises(CheckpointError, match=r"member-1\.onnx: export made batch norms .* a checkpoint$"):
        started(recipe, tmp_path / "run", BUNDLE / "member-1.onnx")


def test_both_files_of_an_embedded_network_hold_the_same_weights():
    whole, half = (read_initial(BUNDLE / f"member-1{end}") for end in (".onnx", ".fp16.onnx"))
    assert whole.channels == half.channels == load_recipe("default").channel_names
    assert whole.weights.keys() == half.weights.keys()
    assert all(
        torch.equal(tensor.half(), half.weights[name].half()) for name, tensor in whole.weights.items()
    )


def is_head(name):
    return "head" in name.split(".") or "heads" in name.split(".")


def new_heads(run, path):
    """Heads of a run that do not hold what the file does; all else must."""
    stored, new = read_initial(path).weights, set()
    for name, tensor in run.network.state_dict().items():
        if name not in stored or stored[name].shape != tensor.shape or not torch.equal(stored[name], tensor):
            assert is_head(name)
            new.add(name.rpartition(".")[0])
    return sorted(new)


def test_heads_of_deep_supervision_are_new_and_all_else_is_the_embedded_network(tmp_path):
    run = started(load_recipe("default"), tmp_path, BUNDLE / "member-1.onnx")
    assert new_heads(run, BUNDLE / "member-1.onnx") == ["up_layers.0.head", "up_layers.1.head"]
    assert run.info.init_sha256 == file_sha256(BUNDLE / "member-1.onnx")


def test_new_heads_begin_with_logits_of_0(tmp_path):
    """The head of full resolution is the file's own."""
    network = started(load_recipe("default"), tmp_path, BUNDLE / "member-1.onnx").network.train()
    with torch.no_grad():
        full, *coarser = network(torch.rand(1, 1, 16, 16, 16))
    assert full.abs().max() > 1
    assert [tuple(logits.shape[2:]) for logits in coarser] == [(8, 8, 8), (4, 4, 4)]
    assert not any(logits.any() for logits in coarser)


def test_of_a_head_of_several_layers_the_last_begins_at_0(tmp_path):
    recipe = tiny_recipe(
        network={
            "kind": WITH_BATCH_NORM,
            "init_filters": 4,
            "levels": 2,
            "norm": "instance",
            "stem_stride": [2, 2, 2],
        }
    )
    path = tmp_path / "member-1.onnx"
    export(recipe, path)
    network = started(recipe, tmp_path / "run", path).network
    first, _, last = network.heads[0]
    assert first.weight.any()
    assert not last.weight.any()
    assert not last.bias.any()


@pytest.mark.parametrize(
    "ids", [{"liver": 1, "spleen": 2}, {f"bone {number}": number for number in range(1, 13)}]
)
def test_a_network_for_other_structures_has_heads_of_its_own(tmp_path, caplog, ids):
    """Be there fewer of them, or as many as the embedded network's twelve."""
    recipe = load_recipe("default", [f"label_set={json.dumps({'name': 'own', 'ids': ids})}"])
    path = BUNDLE / "member-1.onnx"
    with caplog.at_level("INFO", "training"):
        run = started(recipe, tmp_path, path)
    heads = ["up_layers.0.head", "up_layers.1.head", "up_layers.2.head"]
    assert new_heads(run, path) == heads
    assert (
        f"{path}: all weights but those of new heads, whose logits start at 0: {', '.join(heads)}\n"
        in caplog.text
    )


def test_the_embedded_localization_is_started_from_whole(tmp_path):
    run = started(load_recipe("default-roi"), tmp_path, BUNDLE / "localization.onnx")
    assert new_heads(run, BUNDLE / "localization.onnx") == ["up_layers.0.head", "up_layers.1.head"]


def test_a_checkpoint_has_its_head_and_leaves_out_those_that_the_network_lacks(tmp_path):
    deep = tiny_recipe(network={**TINY, "blocks_down": [1, 1, 1], "dsdepth": 2})
    path = tmp_path / "deep.safetensors"
    first = started(deep, tmp_path / "deep", None)
    save_checkpoint(
        path, {f"network.{name}": at for name, at in first.network.state_dict().items()}, first.info
    )
    run = started(tiny_recipe(network={**TINY, "blocks_down": [1, 1, 1]}), tmp_path / "run", path)
    assert new_heads(run, path) == []


def test_weights_of_another_network_are_refused_with_the_remedy(tmp_path):
    message = (
        r"member-1\.onnx: belongs to another network \(.* is \(.*\), .*\); choose the recipe that it was"
    )
    with pytest.raises(CheckpointError, match=message):
        started(load_recipe("default-roi"), tmp_path, BUNDLE / "member-1.onnx")


def test_a_deeper_network_is_not_filled_in_part(tmp_path):
    deeper = tiny_recipe(patch_zyx=[32, 32, 32], network={**TINY, "blocks_down": [1, 1, 1, 1]})
    path = tmp_path / "shallow.onnx"
    export(tiny_recipe(), path)
    with pytest.raises(CheckpointError, match="belongs to another network"):
        started(deeper, tmp_path / "run", path)


def damaged(folder):
    path = folder / "member-1.onnx"
    shutil.copy(BUNDLE / "manifest.json", path)
    return path


def with_a_false_shape(folder):
    """Its header is whole; a weight holds fewer values than its shape says."""
    model = onnx.load(BUNDLE / "member-1.onnx")
    model.graph.initializer[0].dims[0] += 1
    path = folder / "member-1.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (damaged, r"member-1\.onnx: not an ONNX model, or damaged; give a checkpoint"),
        (with_a_false_shape, r"member-1\.onnx: not an ONNX model, or damaged; give"),
        (lambda folder: folder / "none.onnx", r"none\.onnx: no such file; give"),
        (lambda folder: folder / "none.safetensors", r"none\.safetensors: no such checkpoint; give"),
        (lambda folder: BUNDLE, r"default: is a folder; give a checkpoint, .* or a network file of a bundle"),
    ],
)
def test_what_no_run_can_start_from_is_named_with_the_remedy(tmp_path, make, message):
    with pytest.raises(CheckpointError, match=message) as error:
        read_initial(make(tmp_path))
    assert "\n" not in str(error.value)
