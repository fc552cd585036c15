"""What of MONAI cannot become a bundle is refused in one line that names it, and nothing is written."""

import copy
import json
import os
import zipfile

import numpy as np
import pytest
import torch
from monai.transforms import ScaleIntensity, ScaleIntensityRange

from inference.preprocessing.intensity import channel_statistics, normalize
from model.__main__ import main
from model.importers.monai.after_network import after_of, clean_up_of, output_of
from model.importers.monai.before_network import before_of
from model.importers.monai.config_values import ConfigValues
from model.importers.monai.importing import find_monai, write_monai_config
from model.importers.monai.transform_chain import Chain, Step
from model.manifest.clean_up import LargestComponent
from model.manifest.intensity import RangeIntensity
from model.model_errors import RefusedModelError
from tests.model.importers.monai.monai_models import METADATA, SMALL, write_auto3dseg, write_zoo_bundle


def refused(capsys, tmp_path, *words):
    """The complaint of an import that writes nothing."""
    before = sorted(tmp_path.rglob("*"))
    capsys.readouterr()
    assert main(["import", "monai", *map(str, words), "--output", str(tmp_path / "bundle")]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


class Harmful:
    """A pickle of this runs a command when it is read as pickles are."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


def test_nothing_there(capsys, tmp_path):
    assert "no such file or folder" in refused(capsys, tmp_path, tmp_path / "nowhere")
    assert "holds no model of MONAI" in refused(capsys, tmp_path, tmp_path)


def test_missing_folds(capsys, tmp_path):
    write_auto3dseg(tmp_path / "work")
    line = refused(capsys, tmp_path, tmp_path / "work", "--folds", "0", "4")
    assert line.endswith("fold 4 has no model/model.pt; folds that have one: 0, 1")
    assert "names a fold twice" in refused(capsys, tmp_path, tmp_path / "work", "--folds", "0", "0")
    line = refused(capsys, tmp_path, tmp_path / "work", "--checkpoint", "model/best.pt")
    assert line.endswith("no fold has a model/best.pt; choose another file with --checkpoint")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"normalize_mode": "pet"}, "normalize_mode pet cannot be expressed"),
        ({"extra_modalities": {"image2": "meanstd"}}, "extra_modalities cannot be expressed"),
        ({"custom_data_transforms": [{"key": "x"}]}, "custom_data_transforms cannot be expressed"),
        ({"roi_size": [32, 32, 25]}, "takes no windows of (32, 32, 25)"),
        ({"roi_size": [32, 32, -1]}, "has roi_size [32.0, 32.0, -1.0]; must be whole voxels above 0"),
        ({"resample_resolution": "$[1] * 3"}, "resample_resolution is '$[1] * 3', an expression"),
        ({"sliding_inferrer": {"_target_": "SimpleInferer"}}, "SimpleInferer cannot be expressed"),
        ({"intensity_bounds": [300, 300]}, "upper: must be above lower"),
    ],
)
def test_settings_of_auto3dseg(changes, complaint, capsys, tmp_path):
    write_auto3dseg(tmp_path / "work", folds=(0,), **changes)
    assert complaint in refused(capsys, tmp_path, tmp_path / "work")


def test_folds_that_differ(capsys, tmp_path):
    write_auto3dseg(tmp_path / "work", folds=(0,))
    write_auto3dseg(tmp_path / "work", folds=(1,), resample_resolution=[1.0, 1.0, 1.0])
    assert "says something else than fold 0's" in refused(capsys, tmp_path, tmp_path / "work")


def test_weights_that_are_no_numbers(capsys, tmp_path):
    write_auto3dseg(tmp_path / "work", folds=(0,))
    (path,) = (tmp_path / "work").rglob("model.pt")
    held = torch.load(path, weights_only=False)
    name, tensor = next(iter(held["state_dict"].items()))
    tensor.flatten()[0] = float("inf")
    torch.save(held, path)
    line = refused(capsys, tmp_path, tmp_path / "work")
    assert f"model.pt: {name} holds infinity: its training diverged" in line


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_weights_of_wrapped_networks(wrapper, tmp_path):
    """DDP and `torch.compile` put a word before each name."""
    folder = write_zoo_bundle(tmp_path / "zoo", SMALL)
    path = folder / "models" / "model.pt"
    held = torch.load(path, weights_only=True)
    torch.save({"model": {f"{wrapper}{name}": tensor for name, tensor in held.items()}}, path)
    write_monai_config(folder, (), None, tmp_path)
    written = torch.load(tmp_path / "network.pt", weights_only=True)
    assert written.keys() == held.keys()
    assert all(torch.equal(written[name], held[name]) for name in held)


def changed(path, value):
    """A bundle's configuration with another value."""
    config = copy.deepcopy(SMALL)
    *parents, last = path
    place = config
    for key in parents:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return config


BEFORE, AFTER = ("preprocessing", "transforms"), ("postprocessing", "transforms")
LARGEST = {"_target_": "KeepLargestConnectedComponentd"}
CROP = {"_target_": "CropForegroundd", "keys": "image"}
CAST = {"_target_": "CastToTyped", "keys": "image"}
SCALE = {"_target_": "ScaleIntensityd", "keys": "image"}


@pytest.mark.parametrize(
    ("path", "value", "complaint"),
    [
        ((*BEFORE, 4), {"_target_": "Lambdad", "func": "$lambda x: x"}, "is '$lambda x: x', an expression"),
        ((*BEFORE, 4), {"_target_": "HistogramNormalized"}, "HistogramNormalized cannot be expressed; known"),
        ((*BEFORE, 4), {"_target_": "mine.Mined"}, "mine.Mined, which is the bundle's own code"),
        ((*BEFORE, 3, "mode"), "nearest", "Spacing has mode nearest"),
        ((*BEFORE, 3, "scale_extent"), True, "Spacing has scale_extent True"),
        ((*BEFORE, 3, "pixdim"), "$[1, 1, 1] if @fine else [3, 3, 3]", "an expression, which is not run"),
        ((*BEFORE, 3, "pixdim"), "@nothing", "refers to @nothing, which is missing"),
        ((*BEFORE, 4, "b_max"), -1, "to_upper: must be above to_lower"),
        ((*BEFORE, 4, "b_max"), ..., "ScaleIntensityRange with clip and without both b_min and b_max"),
        ((*BEFORE, 4, "b_min"), None, "cannot be expressed; write both"),
        ((*BEFORE, 1), {"_target_": "Spacingd", "pixdim": 1}, "Orientation after Spacing"),
        ((*BEFORE, 5), {"_target_": "CropForegroundd"}, "CropForeground after Spacing"),
        ((*BEFORE, 4, "keys"), "prior", "ScaleIntensityRange works on prior, not on image"),
        ((*BEFORE, 4, "keys"), ["image", "prior"], "works on several keys"),
        ((*BEFORE, 4, "keys"), 1, "has keys 1, which is no key"),
        ((*BEFORE, 1), CROP | {"source_key": "body_mask"}, "CropForeground looks at body_mask, not at image"),
        ((*AFTER, 0, "keys"), "image", "Activations works on image, not on pred"),
        ((*AFTER, 1, "orig_keys"), "prior", "Invert looks at prior, not at image"),
        ((*BEFORE, 5, "dtype"), "$torch.uint8", "EnsureType has dtype uint8, which rounds"),
        ((*BEFORE, 0, "dtype"), "$np.int16", "LoadImage has dtype int16, which rounds"),
        ((*BEFORE, 5), CAST | {"dtype": "torch.float16"}, "CastToType has dtype float16, which rounds"),
        ((*AFTER, 0, "dtype"), "$torch.uint8", "Activations has dtype uint8, which rounds"),
        ((*BEFORE, 5, "dtype"), "$torch.uint8 if @a else None", "an expression, which is not run"),
        (("inferer", "padding_mode"), "replicate", "has padding_mode replicate"),
        (("inferer", "overlap"), [0.5, 0.5, 0.25], "differ between axes"),
        (("inferer", "sigma_scale"), 0, "has sigma_scale 0; must be above 0"),
        (("inferer", "roi_size"), [32, 24, float("inf")], "has roi_size inf, which is no number"),
        ((*BEFORE, 1), {"_target_": "CropForegroundd", "margin": -1}, "has margin -1; must be one number"),
        ((*AFTER, 3), LARGEST | {"applied_labels": [[1]]}, "must be numbers of labels"),
        ((*AFTER, 1), ..., "postprocessing has no Invert"),
        ((*AFTER, 2), ..., "postprocessing has no AsDiscrete"),
        ((*AFTER, 1, "nearest_interp"), True, "set nearest_interp to false to import the model"),
        ((*AFTER, 1, "nearest_interp"), ..., "set nearest_interp to false to import the model"),
        ((*AFTER, 0), {"_target_": "Lambdad"}, "Lambdad cannot be expressed; known are Activations"),
        ((*AFTER, 0), {"_target_": "Lambdad"}, "; see docs/bring-your-own-model.md"),
        ((*BEFORE, 4), {"_target_": "ShiftIntensityd"}, "; see docs/bring-your-own-model.md"),
        ((*BEFORE, 4), SCALE | {"minv": -1}, "ScaleIntensity has minv -1, which cannot be expressed"),
        ((*BEFORE, 4), SCALE | {"maxv": None}, "ScaleIntensity has maxv None, which cannot be expressed"),
        (("network_def", "_target_"), "SwinUNETR", "network SwinUNETR is not known; known are UNet"),
        (("network_def", "_target_"), "os.system", "network os.system is not known"),
        (("network_def", "spatial_dims"), 2, "has spatial_dims 2; known is 3"),
        (("network_def", "channels"), [8, 16, 40], "the network wants ["),
        (("network_def", "strides"), "x", "cannot be built"),
    ],
)  # fmt: skip
def test_configurations_of_the_zoo(path, value, complaint, capsys, tmp_path):
    folder = write_zoo_bundle(tmp_path / "zoo", SMALL)
    (folder / "configs" / "inference.json").write_text(json.dumps(changed(path, value)), encoding="utf-8")
    assert complaint in refused(capsys, tmp_path, folder)


@pytest.mark.parametrize("field", ["version", "data_source"])
def test_a_text_that_no_manifest_holds_is_told_of_by_its_file(field, capsys, tmp_path):
    folder = write_zoo_bundle(tmp_path / "zoo", SMALL, METADATA | {field: "A\x07B"})
    said = f"metadata.json: {field}: must hold printable characters only, is 'A\\x07B'"
    assert refused(capsys, tmp_path, folder).endswith(said)


def test_a_channel_whose_name_no_manifest_holds(capsys, tmp_path):
    metadata = copy.deepcopy(METADATA)
    metadata["network_data_format"]["inputs"]["image"]["channel_def"]["0"] = "A\tB"
    line = refused(capsys, tmp_path, write_zoo_bundle(tmp_path / "zoo", SMALL, metadata))
    assert "metadata.json: channel_def.0: must hold printable characters only" in line


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*BEFORE, 5, "dtype"), "$torch.float32"),
        ((*BEFORE, 5, "dtype"), "$None"),
        ((*BEFORE, 5, "dtype"), None),
        ((*BEFORE, 3, "dtype"), ["$np.float64"]),
        ((*BEFORE, 5), CAST | {"dtype": "$torch.float32"}),
        ((*BEFORE, 1), CROP | {"source_key": "image"}),
        ((*AFTER, 2, "dtype"), "$torch.uint8"),
        ((*AFTER, 3), {"_target_": "CastToTyped", "keys": ["pred"], "dtype": "$torch.uint8"}),
    ],
)
def test_types_and_keys_that_change_nothing(path, value, tmp_path):
    chain = find_monai(write_zoo_bundle(tmp_path / "zoo", changed(path, value)), (), None).members[0].chain
    assert before_of(chain, 1).member.kept_spacing
    assert after_of(chain, resampled=True).fusion.of == "probabilities"


def test_the_image_may_have_any_name(tmp_path):
    """What MONAI's own classes are given has one name, since only one thing is worked on."""
    config = copy.deepcopy(SMALL)
    for step in config["preprocessing"]["transforms"]:
        step["keys"] = ["scan"]
    config["postprocessing"]["transforms"][1]["orig_keys"] = "scan"
    chain = find_monai(write_zoo_bundle(tmp_path / "zoo", config), (), None).members[0].chain
    assert chain.on_one_image() is chain
    assert {step["keys"] for step in chain.as_json()["preprocessing"]} == {"image"}


@pytest.mark.parametrize("given", [{}, {"b_min": 0}, {"b_max": 5}])
def test_a_range_of_one_end_is_0_to_1_where_nothing_is_clipped(given):
    """50 lies halfway from 0 to 100, -100 as far below 0 as 100 is above."""
    ends = {"a_min": 0, "a_max": 100, **given}
    values = torch.tensor([-100.0, 50.0])
    assert ScaleIntensityRange(**ends)(values).tolist() == [-1.0, 0.5]
    found = before_with(("ScaleIntensityRange", ends)).intensity
    assert found == RangeIntensity(lower=0.0, upper=100.0, clip=False)


def before_with(*steps, channels=1):
    """What a manifest says of transforms of the image, given as a name and its arguments."""
    chained = tuple(Step(name=name, arguments=arguments, where="here") for name, arguments in steps)
    chain = Chain(before=chained, network={}, inferer=chained[0], after=(), where="here")
    return before_of(chain, channels)


SPACING = ("Spacing", {"pixdim": [2.0, 2.0, 2.0]})


@pytest.mark.parametrize("given", [{}, {"minv": 0, "maxv": 1.0}, {"factor": 3.0}, {"channel_wise": True}])
def test_from_the_lowest_voxel_to_the_highest(given):
    """-10 and 30 become 0 and 1, and 0 a quarter; MONAI looks at `factor` only where no end is stated."""
    values = np.array([-10.0, 0.0, 30.0], np.float32)
    before = before_with(("ScaleIntensity", given))
    figures = channel_statistics(values)
    assert normalize(values, before.intensity, figures).tolist() == [0.0, 0.25, 1.0]
    assert ScaleIntensity(**given)(torch.from_numpy(values)[None])[0].tolist() == [0.0, 0.25, 1.0]


def test_an_image_of_one_value_becomes_0():
    values = np.full(4, 7.0, np.float32)
    before = before_with(("ScaleIntensity", {}))
    assert normalize(values, before.intensity, channel_statistics(values)).tolist() == [0.0] * 4
    assert ScaleIntensity()(torch.from_numpy(values)[None])[0].tolist() == [0.0] * 4


def test_the_lowest_and_the_highest_are_those_of_the_image_that_is_scaled():
    after = before_with(SPACING, ("ScaleIntensity", {})).preprocessing
    assert (after.normalize, after.figures_on) == ("after_resampling", "network")
    first = before_with(("ScaleIntensity", {}), SPACING).preprocessing
    assert (first.normalize, first.figures_on) == ("before_resampling", "image")


@pytest.mark.parametrize("name", ["ScaleIntensity", "NormalizeIntensity"])
def test_figures_of_several_channels_together(name):
    with pytest.raises(RefusedModelError, match=f"{name} of several channels together cannot be expressed"):
        before_with((name, {}), channels=2)
    before_with((name, {"channel_wise": True}), channels=2)


def test_monai_clips_at_the_one_end_that_it_is_told():
    """Which is why it is refused: a manifest's range is clipped at both ends or at none."""
    values = torch.tensor([-100.0, 50.0, 300.0])
    ends = {"a_min": 0, "a_max": 100, "clip": True}
    assert ScaleIntensityRange(**ends, b_min=0)(values).tolist() == [0.0, 0.5, 3.0]
    assert ScaleIntensityRange(**ends, b_max=1)(values).tolist() == [-1.0, 0.5, 1.0]


def write_on_or_off(folder, *names, cleaned):
    """A bundle whose channels are on or off by themselves; its clean-up names label 1."""
    config = copy.deepcopy(SMALL)
    config["network_def"]["out_channels"] = len(names)
    activation, back, discrete, _ = config["postprocessing"]["transforms"]
    config["postprocessing"]["transforms"] = [
        {"_target_": activation["_target_"], "keys": "pred", "sigmoid": True},
        back,
        {"_target_": discrete["_target_"], "keys": "pred", "threshold": 0.5},
        *([LARGEST | {"keys": "pred", "applied_labels": [1]}] if cleaned else []),
    ]
    metadata = copy.deepcopy(METADATA)
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = dict(enumerate(names))
    return write_zoo_bundle(folder, config, metadata)


def test_clean_up_of_channels_that_are_on_or_off(capsys, tmp_path):
    """MONAI's `applied_labels: [1]` is the second channel there, cleaned before channels become labels."""
    folder = write_on_or_off(tmp_path / "zoo", "tumor core", "whole tumor", cleaned=True)
    line = refused(capsys, tmp_path, folder, "--priority", "whole tumor", "tumor core")
    assert "KeepLargestConnectedComponent after sigmoid cleans each channel by itself" in line
    assert "take it out of postprocessing" in line


def test_clean_up_of_one_channel_is_that_of_its_label(tmp_path):
    model = find_monai(write_on_or_off(tmp_path / "zoo", "tumor", cleaned=True), (), None)
    after = after_of(model.members[0].chain, resampled=True)
    output = output_of(["tumor"], "set", after.activation, "here")
    assert clean_up_of(after, output, "here") == (LargestComponent(structures=("tumor",)),)


BRATS = ("tumor core", "whole tumor", "enhancing tumor")
"""Regions in the order of the model zoo, of which the second holds the first."""


def test_regions_need_an_order_which_monai_does_not_state(capsys, tmp_path):
    """In the order of the channels the whole tumor would be written over its core."""
    folder = write_on_or_off(tmp_path / "zoo", *BRATS, cleaned=False)
    line = refused(capsys, tmp_path, folder)
    assert "nothing says which is written where several are on; give --priority with their names" in line
    assert "'tumor core' 'whole tumor' 'enhancing tumor'" in line
    line = refused(capsys, tmp_path, folder, "--priority", "whole tumor", "core", "enhancing tumor")
    assert "--priority must name each channel once: 'tumor core' 'whole tumor' 'enhancing tumor'" in line
    softmax = write_zoo_bundle(tmp_path / "softmax", SMALL)
    line = refused(capsys, tmp_path, softmax, "--priority", "spleen")
    assert "--priority is for channels that are on or off by themselves (sigmoid)" in line


def test_checkpoints(capsys, tmp_path, monkeypatch):
    folder = write_zoo_bundle(tmp_path / "zoo", SMALL)
    path = folder / "models" / "model.pt"
    assert "says nothing of images" in refused(capsys, tmp_path, path)
    assert "is one checkpoint; leave out --folds" in refused(capsys, tmp_path, path, "--folds", "0")
    torch.save({"model": Harmful()}, path)
    monkeypatch.chdir(tmp_path)
    assert f"names {os.system.__module__}.system" in refused(capsys, tmp_path, folder)
    assert not (tmp_path / "harmed").exists()
    torch.save({"model": {"weight": torch.zeros(1)}}, path)
    assert "so it is not the network of" in refused(capsys, tmp_path, folder)
    torch.save({"epoch": 3}, path)
    assert "holds no weights of a network" in refused(capsys, tmp_path, folder)
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)
    line = refused(capsys, tmp_path, folder)
    assert "is TorchScript, a program that would have to be run" in line
    assert "use `import onnx`" in line


def test_torchscript_alone(capsys, tmp_path):
    folder = write_zoo_bundle(tmp_path / "zoo", SMALL)
    (folder / "models" / "model.pt").rename(folder / "models" / "model.ts")
    line = refused(capsys, tmp_path, folder)
    assert "holds models/model.ts alone, which is TorchScript" in line
    assert "export the state_dict of its network as models/model.pt" in line


def test_labels_resampled_by_monai(tmp_path):
    """`Invert` after `AsDiscrete`: the refusal says what to do."""
    config = copy.deepcopy(SMALL)
    steps = config["postprocessing"]["transforms"]
    steps[1], steps[2] = steps[2], steps[1]
    chain = find_monai(write_zoo_bundle(tmp_path / "zoo", config), (), None).members[0].chain
    with pytest.raises(RefusedModelError, match="put it before AsDiscrete and set nearest_interp to false"):
        after_of(chain, resampled=True)


def test_a_zip_of_several_bundles(capsys, tmp_path):
    write_zoo_bundle(tmp_path / "all" / "a")
    write_zoo_bundle(tmp_path / "all" / "b")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as packed:
        for path in sorted((tmp_path / "all").rglob("*.json")):
            packed.write(path, path.relative_to(tmp_path / "all"))
    for given in ("all.zip", "all"):
        line = refused(capsys, tmp_path, tmp_path / given)
        assert line.endswith(f"{given}: holds 2 bundles of MONAI; name one of their folders: a, b")


def test_values_are_resolved_without_being_run():
    values = ConfigValues(
        {
            "a": {"b": [1, 2, 3]},
            "c": "@a#b",
            "d": "$@a::b",
            "e": "$[1.5, None, True]",
            "f": ["@g"],
            "g": "text",
        },
        "here",
    )
    assert values.get("c") == values.get("d") == [1, 2, 3]
    assert values.get("e") == [1.5, None, True]
    assert values.get("f") == ["text"]
    assert values.get("a#b#1") == 2
    assert values.get("nothing", "default") == "default"


@pytest.mark.parametrize(
    "value", ["$__import__('os')", "%other.json", "@a", "$'$import os'", "@#a", "$@c + 1"]
)
def test_what_is_no_plain_value(value):
    with pytest.raises(RefusedModelError, match="here: a "):
        ConfigValues({"a": value, "c": 1}, "here").get("a")
