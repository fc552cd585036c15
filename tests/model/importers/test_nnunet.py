"""Trained-model folders of nnU-Net v2 become bundles; what cannot is refused in one line, nothing written."""

import json
import os
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import torch

from inference.planning.windows import window_choices
from model.__main__ import main
from model.bundle import load_bundle
from model.changing.tuning import tuned
from model.importers.nnunet import TRAINERS, import_nnunet
from model.importers.nnunet_folder import find_folds
from model.importers.nnunet_manifest import inputs_of, member_of, output_of, preprocessing_of, restoration_of
from model.importers.nnunet_plans import read_plans
from model.importers.nnunet_weights import network_of
from model.importers.packaging import Packaging
from model.importers.safe_checkpoint import read_checkpoint
from model.manifest.intensity import ClipZscoreIntensity, ZscoreIntensity
from model.manifest.output import Sigmoid, Softmax
from model.manifest.resampling import CubicResampling, LinearResampling, SeparateAxisResampling
from model.manifest.window import AnyWindow
from model.model_errors import RefusedModelError
from model.onnx_export import memory
from model.onnx_export.parity import onnxruntime_predict
from tests.model.importers.made_folders import age_network, write_folder
from tests.peers.nnunet_models import KINDS
from tests.places import FAKE_MEMORY_PROGRAM

PACKAGING = Packaging(fp16=False)


@pytest.fixture(autouse=True)
def fake_memory_program(monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", FAKE_MEMORY_PROGRAM)


def plans_in(folder, kind, change=None):
    return read_plans(
        write_folder(folder, kind, change=change), KINDS[kind].get("configuration", "3d_fullres")
    )


def test_a_bundle_computes_what_the_checkpoint_computes(tmp_path):
    model = write_folder(tmp_path, "isotropic")
    bundle = import_nnunet(tmp_path, tmp_path / "bundle", PACKAGING)
    assert load_bundle(bundle.folder).manifest == bundle.manifest
    plans = read_plans(model, "3d_fullres")
    weights = read_checkpoint(model / "fold_0" / "checkpoint_final.pth")["network_weights"]
    window = np.random.default_rng(0).normal(size=(1, 1, 24, 40, 40)).astype(np.float32)
    with torch.inference_mode():
        expected = network_of(plans.network, weights, model)(torch.from_numpy(window)).numpy()
    found = onnxruntime_predict(bundle.folder / "fold-0.onnx")(window)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_what_the_manifest_says_of_isotropic_ct_plans(tmp_path):
    plans = plans_in(tmp_path, "isotropic")
    (channel,) = inputs_of(plans)
    assert channel.intensity == ClipZscoreIntensity(lower=-500.0, upper=320.0, mean=70.0, std=110.0)
    assert channel.modality == "CT"
    steps = preprocessing_of(plans)
    assert (steps.orientation, steps.crop, steps.normalize) == ("stored", "nonzero", "before_resampling")
    assert steps.resampling == SeparateAxisResampling(in_plane="cubic", along="nearest", above_ratio=3.0)
    member = member_of(plans, "fold-0.onnx", (0, 1, 2))
    assert (member.spacing_zyx_mm, member.window_zyx, member.axes) == ((4.0, 3.0, 3.0), (24, 40, 40), "SPL")
    assert (member.tiling.overlap, member.tiling.mirror_axes) == (0.5, ("z", "y", "x"))
    assert member.tiling.skip_air is False
    output = output_of(plans, "here")
    assert output.activation == Softmax()
    assert output.channels == ("background", "structure 1", "structure 2", "structure 3", "structure 4")


def test_the_reader_says_how_arrays_lie(tmp_path):
    steps = preprocessing_of(plans_in(tmp_path, "reoriented"))
    assert steps.orientation == "ras"
    with pytest.raises(RefusedModelError, match="image_reader_writer is Tiff3DIO, known are SimpleITKIO"):
        plans_in(tmp_path / "b", "isotropic", lambda plans, _: plans.update(image_reader_writer="Tiff3DIO"))


def test_transposed_axes_are_told_in_the_order_of_the_file(tmp_path):
    """transpose_forward [1, 2, 0]: nnU-Net's axes run along the file's y, x, z."""
    member = member_of(plans_in(tmp_path, "transposed"), "fold-0.onnx", (0,))
    assert member.axes == "PLS"
    assert member.spacing_zyx_mm == (4.0, 3.0, 2.5)
    assert member.window_zyx == (24, 32, 40)
    assert member.input_shape == (32, 40, 24)
    assert member.tiling.mirror_axes == ("y",)


@pytest.mark.slow
def test_a_file_for_any_window_is_used_with_its_own_until_told_otherwise(tmp_path):
    """The transposed network halves its windows twice, along each axis."""
    write_folder(tmp_path, "transposed")
    fixed = import_nnunet(tmp_path, tmp_path / "fixed", PACKAGING)
    free = import_nnunet(tmp_path, tmp_path / "free", replace(PACKAGING, any_window=True))
    (member,) = free.manifest.members
    assert replace(member.window, memory=None) == AnyWindow(
        multiple_of_zyx=(4, 4, 4), smallest_zyx=(8, 8, 8), use="own"
    )
    assert window_choices((90, 10, 90), member) == [member.window_zyx]
    window = np.random.default_rng(0).normal(size=(1, 1, *member.input_shape)).astype(np.float32)
    one, other = (onnxruntime_predict(bundle.folder / "fold-0.onnx")(window) for bundle in (fixed, free))
    np.testing.assert_allclose(one, other, atol=1e-4)
    told = tuned(free.manifest, ['window.use="fitted"']).members[0]
    assert window_choices((90, 10, 90), told) == [(24, 12, 40)]


def test_flat_networks_take_no_other_windows(tmp_path):
    with pytest.raises(RefusedModelError, match="one slice thick"):
        member_of(plans_in(tmp_path, "flat"), "fold-0.onnx", (), any_window=True)


def test_flat_networks_have_no_third_axis_to_mirror(tmp_path):
    with pytest.raises(RefusedModelError, match=r"plans.json: 2d: is 2d, and mirrored along axes \[0, 2\]"):
        member_of(plans_in(tmp_path, "flat"), "fold-0.onnx", (0, 2))


def test_flat_networks_see_windows_one_slice_thick_that_keep_their_spacing(tmp_path):
    member = member_of(plans_in(tmp_path, "flat"), "fold-0.onnx", (0, 1))
    assert member.window_zyx == (1, 64, 64)
    assert member.kept_spacing == ("z",)
    assert member.spacing_on((7.0, 1.0, 1.0)) == (7.0, 2.5, 2.5)
    assert member.tiling.mirror_axes == ("y", "x")


def test_flat_weights_give_what_a_flat_convolution_gives(tmp_path):
    model = write_folder(tmp_path, "flat")
    weights = read_checkpoint(model / "fold_0" / "checkpoint_final.pth")["network_weights"]
    network = network_of(read_plans(model, "2d").network, weights, model)
    first = "encoder.stages.0.0.convs.0.conv"
    image = torch.rand(1, 1, 1, 16, 16)
    expected = torch.nn.functional.conv2d(
        image[:, :, 0], weights[f"{first}.weight"], weights[f"{first}.bias"], padding=1
    )
    torch.testing.assert_close(network.encoder[0][0].convolution(image)[:, :, 0], expected)


def test_regions_are_on_or_off_and_later_ones_win(tmp_path):
    output = output_of(plans_in(tmp_path, "regions"), "here")
    assert output.activation == Sigmoid()
    assert output.channels == ("all", "not fat", "bright")
    assert dict(output.labels) == {"all": 1, "not fat": 2, "bright": 3}


def test_the_ignore_label_is_no_structure(tmp_path):
    assert "ignore" not in output_of(plans_in(tmp_path, "ignore"), "here").channels


def test_the_second_channel_is_normalized_over_its_mask(tmp_path):
    inputs = inputs_of(plans_in(tmp_path, "two_channels"))
    assert [channel.modality for channel in inputs] == ["CT", "MR"]
    assert inputs[1].intensity == ZscoreIntensity(over="nonzero_filled")


def test_forced_and_forbidden_separate_axes(tmp_path):
    def force(value):
        def change(plans, described):
            stated = plans["configurations"]["3d_fullres"]
            for name in ("resampling_fn_data_kwargs", "resampling_fn_probabilities_kwargs"):
                stated[name]["force_separate_z"] = value

        return change

    always = plans_in(tmp_path / "a", "isotropic", force(True))
    assert preprocessing_of(always).resampling.above_ratio == 0
    never = plans_in(tmp_path / "b", "isotropic", force(False))
    assert preprocessing_of(never).resampling == CubicResampling()
    assert restoration_of(never.scores, "here") == LinearResampling()


def test_plans_of_older_releases_are_read(tmp_path):
    """Before 2.5 the network stood in the configuration itself."""

    def age(plans, described):
        age_network(plans["configurations"]["3d_fullres"])

    assert plans_in(tmp_path, "isotropic", age).network.features == (8, 16, 24)


def test_what_a_configuration_inherits(tmp_path):
    def inherit(plans, described):
        known = plans["configurations"]
        known["base"] = known.pop("3d_fullres")
        known["3d_fullres"] = {"inherits_from": "base", "spacing": [1.0, 1.0, 1.0]}

    assert plans_in(tmp_path, "isotropic", inherit).spacing == (1.0, 1.0, 1.0)


def test_folds_are_members_with_names(tmp_path):
    write_folder(tmp_path, "isotropic", folds=(0, 2))
    bundle = import_nnunet(tmp_path, tmp_path / "bundle", PACKAGING)
    assert [member.file for member in bundle.manifest.members] == ["fold-0.onnx", "fold-2.onnx"]
    assert bundle.manifest.provenance.recipe.endswith("3d_fullres, folds 0 2")
    assert bundle.manifest.provenance.licence == "CC0"


def test_which_folds_are_taken(tmp_path):
    def taken(*asked):
        return [name for name, _ in find_folds(model, asked, "checkpoint_final.pth")]

    model = write_folder(tmp_path, "isotropic", folds=(0, 1))
    assert taken() == taken("all") == ["0", "1"]
    assert taken("1") == ["1"]
    write_folder(tmp_path, "isotropic", folds=("all",))
    assert taken() == ["0", "1"]
    assert taken("all") == ["all"]


def test_a_zip_is_as_good_as_a_folder(tmp_path):
    write_folder(tmp_path / "results", "isotropic")
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as packed:
        for path in sorted((tmp_path / "results").rglob("*")):
            packed.write(path, path.relative_to(tmp_path / "results"))
    call = [
        "import",
        "nnunet",
        str(tmp_path / "model.zip"),
        "--no-fp16",
        "--output",
        str(tmp_path / "bundle"),
    ]
    assert main(call) == 0
    assert (tmp_path / "bundle" / "fold-0.onnx").is_file()


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("nnUNetTrainer", True), ("nnUNetTrainer_250epochs", True), ("nnUNetTrainerNoMirroring", True),
        ("nnUNetTrainer_4000epochs_NoMirroring", True), ("nnUNetTrainerDA5", True),
        ("nnUNetTrainer_onlyMirror01_1500ep", True), ("nnUNetTrainerDA5_10epochs", True),
        ("nnUNetTrainer_DASegOrd0_NoMirroring", True), ("nnUNetTrainerVanillaAdam1en3", True),
        ("nnUNetTrainerBN", False), ("nnUNet_Primus_M_Trainer", False), ("MyTrainer", False),
    ],
)  # fmt: skip
def test_trainers_that_build_what_the_plans_say(name, known):
    assert bool(TRAINERS.fullmatch(name)) == known


class Harmful:
    """A pickle of this runs a command when it is read as pickles are."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


def refused(capsys, tmp_path, *words):
    """The complaint of an import that writes nothing."""
    output = tmp_path / "bundle"
    before = sorted(tmp_path.rglob("*"))
    assert main(["import", "nnunet", *map(str, words), "--output", str(output)]) == 2
    assert sorted(tmp_path.rglob("*")) == before
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_no_model_folder(capsys, tmp_path):
    assert "holds no trained model of nnU-Net v2" in refused(capsys, tmp_path, tmp_path)
    assert "no such folder or zip" in refused(capsys, tmp_path, tmp_path / "nowhere")


def test_a_missing_fold_and_checkpoint(capsys, tmp_path):
    write_folder(tmp_path, "isotropic", folds=(0, 1))
    line = refused(capsys, tmp_path, tmp_path, "--folds", "0", "4")
    assert line.endswith("fold 4 has no checkpoint_final.pth; folds that have one: 0, 1")
    assert "no fold has a best.pth" in refused(capsys, tmp_path, tmp_path, "--checkpoint", "best.pth")


def test_another_configuration_and_a_cascade(capsys, tmp_path):
    write_folder(tmp_path, "isotropic")
    line = refused(capsys, tmp_path, tmp_path, "--configuration", "2d")
    assert line.endswith(
        "holds no model of 2d; choose with --configuration among 3d_fullres "
        "(Dataset701_Made/nnUNetTrainer__nnUNetPlans__3d_fullres)"
    )
    model = tmp_path / "Dataset701_Made" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    line = refused(capsys, tmp_path, model, "--configuration", "2d")
    assert line.endswith("choose with --configuration among 3d_fullres")

    def second_stage(plans, described):
        plans["configurations"]["3d_fullres"]["previous_stage"] = "3d_lowres"

    (tmp_path / "cascade").mkdir()
    model = write_folder(tmp_path / "cascade", "isotropic", change=second_stage)
    line = refused(capsys, tmp_path, model)
    assert line.endswith("second stage of a cascade, which cannot be expressed; import a model of 3d_fullres")
    lowres = model.with_name("nnUNetTrainer__nnUNetPlans__3d_lowres")
    lowres.mkdir()
    for name in ("plans.json", "dataset.json"):
        (lowres / name).touch()
    assert refused(capsys, tmp_path, model).endswith("import 3d_lowres from beside it")


def test_an_unknown_trainer_unless_the_user_knows_it(capsys, tmp_path):
    write_folder(tmp_path, "isotropic", trainer="MyTrainer")
    assert "was trained by MyTrainer" in refused(capsys, tmp_path, tmp_path)
    bundle = import_nnunet(tmp_path, tmp_path / "bundle", PACKAGING, any_trainer=True)
    assert "MyTrainer" in bundle.manifest.provenance.recipe


def test_clean_up_that_was_determined_is_named(tmp_path, caplog):
    model = write_folder(tmp_path, "isotropic")
    determined = model / "crossval_results_folds_0_1_2_3_4" / "postprocessing.pkl"
    determined.parent.mkdir()
    determined.touch()
    with caplog.at_level("INFO"):
        import_nnunet(tmp_path, tmp_path / "bundle", PACKAGING)
    (line,) = [line for line in caplog.messages if "postprocessing.pkl" in line]
    assert line.startswith(f"{determined}: is not applied")
    assert line.endswith(f"model tune {tmp_path / 'bundle'} --set 'postprocessing=…' does")


@pytest.mark.parametrize("trainer", ["nnUNetTrainerBN", "nnUNet_PrimusV3M_Trainer", "_Primus_S_96_BS1"])
@pytest.mark.parametrize("words", [(), ("--any-trainer",)])
def test_a_trainer_that_builds_another_network_whatever_the_user_says(trainer, words, capsys, tmp_path):
    write_folder(tmp_path, "isotropic", trainer=trainer)
    line = refused(capsys, tmp_path, tmp_path, *words)
    assert f"was trained by {trainer}, which builds another network than the plans say" in line
    assert "--any-trainer" not in line


def set_in_architecture(name, value):
    def change(plans, described):
        architecture = plans["configurations"]["3d_fullres"]["architecture"]
        (architecture if name == "network_class_name" else architecture["arch_kwargs"])[name] = value

    return change


def set_in_configuration(name, value):
    def change(plans, described):
        plans["configurations"]["3d_fullres"][name] = value

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (set_in_architecture("network_class_name", "my.Net"), "architecture Net is unknown"),
        (set_in_architecture("norm_op", "torch.nn.BatchNorm3d"), "has norm_op torch.nn.BatchNorm3d"),
        (set_in_architecture("dropout_op", "torch.nn.Dropout3d"), "has dropout_op torch.nn.Dropout3d"),
        (set_in_architecture("squeeze_excitation", True), "has squeeze_excitation True, which is unknown"),
        (set_in_architecture("features_per_stage", [8, 16, 32]), "by the plans"),
        (set_in_configuration("normalization_schemes", ["Mine"]), "normalization Mine is unknown"),
        (set_in_configuration("preprocessor_name", "Mine"), "preprocessor_name is Mine"),
        (set_in_configuration("resampling_fn_data", "mine"), "resampling_fn_data is mine"),
        (
            set_in_configuration("resampling_fn_probabilities_kwargs", {"order": 3}),
            "resampling_fn_probabilities of order 3",
        ),
        (set_in_configuration("patch_size", "big"), "patch_size"),
        (set_in_configuration("spacing", [0.01, 1, 1]), "spacing_zyx_mm"),
        (set_in_configuration("patch_size", [24, 40, 41]), "multiples of"),
        (lambda plans, _: plans.update(image_reader_writer="Tiff3DIO"), "image_reader_writer is Tiff3DIO"),
        (lambda _, described: described["labels"].update({"structure 4": 7}), "labels must be 1, 2, 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_refused_by_name(change, complaint, capsys, tmp_path):
    model = write_folder(tmp_path, "isotropic", change=change)
    assert complaint in refused(capsys, tmp_path, model)


def test_names_that_would_do_something_are_refused(capsys, tmp_path):
    """They come from a stranger's `dataset.json`, and go to terminals, tables and DICOM files."""

    def rename(plans, described):
        described["labels"] = {
            name if number != 2 else "\x1b[2J\nall is well": number
            for name, number in described["labels"].items()
        }

    model = write_folder(tmp_path, "isotropic", change=rename)
    assert r"must hold printable characters only, is '\x1b[2J\nall is well'" in refused(
        capsys, tmp_path, model
    )


def test_a_licence_of_several_lines_is_told_in_one(tmp_path):
    plans = plans_in(
        tmp_path, "isotropic", lambda _, described: described.update(licence="CC BY 4.0,\n see\n")
    )
    assert plans.licence == "CC BY 4.0, see"


def change_checkpoint(model, fold, change):
    path = model / f"fold_{fold}" / "checkpoint_final.pth"
    checkpoint = torch.load(path, weights_only=False)
    change(checkpoint)
    torch.save(checkpoint, path)


def test_weights_that_are_no_numbers(capsys, tmp_path):
    model = write_folder(tmp_path, "isotropic")
    name = "encoder.stages.0.0.convs.0.conv.bias"

    def diverge(checkpoint):
        checkpoint["network_weights"][name][0] = float("nan")

    change_checkpoint(model, 0, diverge)
    said = f"{name} holds NaN: its training diverged; take another checkpoint, or train anew"
    where = model / "fold_0" / "checkpoint_final.pth"
    assert refused(capsys, tmp_path, model) == f"error: {where}: {said}"


def reverse_labels(arguments):
    labels = arguments["dataset_json"]["labels"]
    names = [name for name in labels if name != "background"]
    arguments["dataset_json"]["labels"] = {"background": 0, **dict(zip(names, (4, 3, 2, 1), strict=True))}


def widen_spacing(arguments):
    arguments["plans"]["configurations"]["3d_fullres"]["spacing"] = [5.0, 3.0, 3.0]


def shift_mean(arguments):
    arguments["plans"]["foreground_intensity_properties_per_channel"]["0"]["mean"] += 1.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (reverse_labels, "dataset_json: says something else of labels than dataset.json in "),
        (widen_spacing, "plans: says something else of spacing than plans.json in "),
        (shift_mean, "says something else of channels or normalization than dataset.json and plans.json in "),
    ],
)
def test_a_fold_of_another_model_is_not_averaged_in(change, said, capsys, tmp_path):
    model = write_folder(tmp_path, "isotropic", folds=(0, 1))
    change_checkpoint(model, 1, lambda checkpoint: change(checkpoint["init_args"]))
    complaint = refused(capsys, tmp_path, model)
    assert complaint.startswith(f"error: {model / 'fold_1' / 'checkpoint_final.pth'}: init_args.")
    assert said in complaint


def test_a_checkpoint_that_needs_code_is_refused_and_not_run(capsys, tmp_path, monkeypatch):
    model = write_folder(tmp_path, "isotropic")
    path = model / "fold_0" / "checkpoint_final.pth"
    torch.save({"network_weights": {}, "logging": Harmful()}, path)
    monkeypatch.chdir(tmp_path)
    assert f"names {os.system.__module__}.system" in refused(capsys, tmp_path, model)
    assert not (tmp_path / "harmed").exists()


def test_a_damaged_checkpoint(capsys, tmp_path):
    model = write_folder(tmp_path, "isotropic")
    path = model / "fold_0" / "checkpoint_final.pth"
    path.write_bytes(path.read_bytes()[:1000])
    assert "damaged, or no checkpoint of torch" in refused(capsys, tmp_path, model)


def test_plans_that_are_no_json(capsys, tmp_path):
    model = write_folder(tmp_path, "isotropic")
    (model / "plans.json").write_text("{", encoding="utf-8")
    assert "cannot be read as JSON" in refused(capsys, tmp_path, model)
    assert json.loads((model / "dataset.json").read_text(encoding="utf-8"))
