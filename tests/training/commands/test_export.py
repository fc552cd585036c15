"""`export` makes a bundle that loads, or nothing."""

import json
import logging
import shutil

import pytest
import yaml

from model.bundle import load_bundle
from model.manifest.clean_up import LongestRun
from model.onnx_export import graph as onnx_export
from tests.training.checkpoints import write_checkpoint
from tests.training.tiny import DOCUMENT, tiny_recipe, write_dataset
from training.__main__ import main


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Untrained networks: two members, a localization network, and a member with other channels."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_checkpoint(folder / "one", seed=0)
    write_checkpoint(folder / "two", seed=1, name="fine")
    write_checkpoint(folder / "roi", seed=2, channels="foreground")
    write_checkpoint(folder / "other", seed=3, label_set="flare22")
    return folder


def words(checkpoints, output, *names, **options):
    more = [word for option, value in options.items() for word in (f"--{option}", str(value))]
    return ["export", *(str(checkpoints / name) for name in names), "--output", str(output), *more]


def test_an_ensemble_with_localization(checkpoints, cubes, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="model")
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
    assert manifest.localization.fp16_file is None
    assert manifest.name == "tiny"
    assert manifest.members[0].spacing_zyx_mm == (2, 2, 2)
    assert manifest.members[0].window_zyx == (16, 16, 16)
    assert manifest.preprocessing.resampling.kind == "area"
    (image,) = manifest.inputs
    assert (image.name, image.modality, image.intensity) == ("CT", "CT", tiny_recipe().intensity)
    assert all(network.memory_mb["onnxruntime-fp32"] == 360 for network in manifest.networks().values())
    assert manifest.output.channels == ("background", "liver", "kidney", "spleen", "pancreas")
    assert manifest.postprocessing == (LongestRun(structures=("liver", "spleen", "pancreas")),)
    origins = "tiny (seed 0, 8 steps), fine (seed 1, 8 steps), tiny (seed 2, 8 steps)"
    assert manifest.provenance.recipe == origins
    assert (manifest.provenance.data, manifest.provenance.licence) == ("cubes", "CC0-1.0")
    assert str(tmp_path) not in json.dumps((output / "manifest.json").read_text(encoding="utf-8"))
    for file in ("member-1.onnx", "member-2.onnx", "localization.onnx"):
        assert any(message.startswith(f"{file}: measuring memory") for message in caplog.messages)


def test_files_for_gpus_can_be_left_out(checkpoints, tmp_path):
    assert main([*words(checkpoints, tmp_path / "bundle", "one"), "--no-fp16"]) == 0
    assert sorted(path.name for path in (tmp_path / "bundle").iterdir()) == ["manifest.json", "member-1.onnx"]
    assert load_bundle(tmp_path / "bundle").manifest.members[0].fp16_file is None


def test_how_networks_are_run_can_be_changed_after_training(checkpoints, tmp_path):
    steps = "[{kind: largest_component, structures: [organs]}]"
    call = words(checkpoints, tmp_path / "bundle", "one", localization=checkpoints / "roi")
    changes = (f"inference.clean_up={steps}", "inference.localization.margin_mm=5")
    assert main([*call, "--no-fp16", *(word for change in changes for word in ("--set", change))]) == 0
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert [step.kind for step in manifest.postprocessing] == ["largest_component"]
    assert manifest.postprocessing[0].structures == ("liver", "kidney", "spleen", "pancreas")
    assert manifest.localization.margin_mm == 5


def test_a_disagreement_leaves_nothing_behind(checkpoints, tmp_path, capsys, monkeypatch):
    # A translation error: every stored weight comes out half as large.
    store = onnx_export.store_weights_as_half

    def wrong(path):
        import onnx
        from onnx import numpy_helper

        store(path)
        model = onnx.load(path)
        for weight in model.graph.initializer:
            array = numpy_helper.to_array(weight)
            if array.dtype.kind == "f":
                weight.CopyFrom(numpy_helper.from_array(array / 2, weight.name))
        onnx.save(model, path)

    monkeypatch.setattr(onnx_export, "store_weights_as_half", wrong)
    assert main(words(checkpoints, tmp_path / "bundle", "one")) == 1
    assert "onnxruntime and torch disagree" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "options", "code", "message"),
    [
        (["one", "other"], {}, 1, "has other channels than"),
        (["roi"], {}, 1, "finds the foreground only"),
        (["one"], {"localization": "two"}, 1, "does not serve for localization"),
        (["three"], {}, 2, "no such checkpoint"),
        (["."], {}, 2, "is a folder; give a checkpoint"),
        (["one"], {"data": "nowhere"}, 2, "no data set here"),
        (["one"], {"set": "patch_zyx=[8,8,8]"}, 2, "only fields of inference can change after training"),
        (["one"], {"set": "inference.tiling.overlap=7"}, 2, "inference.tiling.overlap: must be 0 to 0.9"),
        (["one"], {"set": "inference.localization.margin_mm=7"}, 2, "there is no localization network"),
    ],
)
def test_what_makes_no_ensemble_is_refused(checkpoints, tmp_path, capsys, names, options, code, message):
    options = {name: value if name == "set" else checkpoints / value for name, value in options.items()}
    assert main(words(checkpoints, tmp_path / "bundle", *names, **options)) == code
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_bundle_is_not_replaced(checkpoints, tmp_path, capsys):
    (tmp_path / "thesis.txt").touch()
    assert main([*words(checkpoints, tmp_path, "one"), "--overwrite"]) == 1
    assert "is no bundle, so it is not replaced; choose another folder" in capsys.readouterr().err
    assert (tmp_path / "thesis.txt").exists()


def test_a_network_of_two_channels_is_trained_and_exported(tmp_path):
    """CT and PET of a cube that only the second channel shows."""
    data = write_dataset(tmp_path / "data", cases=2, side=18)
    for path in sorted((data / "imagesTr").iterdir()):
        shutil.copyfile(path, path.with_name(path.name.replace("_0000", "_0001")))
    window = {"kind": "window", "lower": -250, "upper": 250}
    inputs = [{"name": "CT", "intensity": window}, {"name": "PET", "modality": "PET", "intensity": window}]
    recipe = tmp_path / "two.yaml"
    recipe.write_text(yaml.safe_dump({**DOCUMENT, "inputs": inputs}))
    run = tmp_path / "run"
    training = ["train", str(recipe), "--data", str(data), "--output", str(run), "--steps", "2"]
    assert main([*training, "--validation", str(data), "--device", "cpu", "--precision", "fp32"]) == 0
    call = ["export", str(run / "last.safetensors"), "--output", str(tmp_path / "bundle"), "--no-fp16"]
    assert main([*call, "--data", str(data)]) == 0
    manifest = load_bundle(tmp_path / "bundle").manifest
    assert [(one.name, one.modality) for one in manifest.inputs] == [("CT", "CT"), ("PET", "PET")]


def test_a_case_of_fewer_channels_than_the_recipe_is_refused_before_training(cubes, tmp_path, capsys):
    window = {"kind": "window", "lower": -250, "upper": 250}
    inputs = [{"name": name, "intensity": window} for name in ("native", "late")]
    recipe = tmp_path / "two.yaml"
    recipe.write_text(yaml.safe_dump({**DOCUMENT, "inputs": inputs}))
    call = ["train", str(recipe), "--data", str(cubes), "--output", str(tmp_path / "run")]
    assert main(call) == 1
    error = capsys.readouterr().err
    assert (
        "all 2 case(s) have 1 channel(s), the recipe takes 2; bring the others, or choose another one"
        in error
    )
    assert error.count("\n") == 1
