"""Plans and data sets with one wrong value are imported, or refused in one line that names the file."""

import json
from math import inf

import pytest

from model.__main__ import main
from model.importers import nnunet
from tests.model.importers.made_folders import age_network, write_folder
from tests.model.importers.mutations import end_before_export, mutations_of


@pytest.fixture
def no_export(monkeypatch):
    end_before_export(nnunet, monkeypatch)


def age(plans):
    """As before nnU-Net 2.5, where the network stood in the configuration itself, and inherit something."""
    known = plans["configurations"]
    age_network(known["3d_fullres"])
    known["3d_fullres"]["inherits_from"] = "base"
    known["base"] = {"previous_stage": None}
    known["3d_fullres"]["resampling_fn_data_kwargs"]["separate_z_anisotropy_threshold"] = 3.0


@pytest.mark.parametrize(
    ("kind", "file", "change"),
    [
        ("isotropic", "plans.json", None),
        ("isotropic", "plans.json", age),
        ("isotropic", "dataset.json", None),
        ("regions", "dataset.json", None),
    ],
    ids=["plans", "older plans", "structures", "regions"],
)
def test_each_value_in_turn(kind, file, change, tmp_path, capsys, no_export):
    model = write_folder(tmp_path, kind)
    document = json.loads((model / file).read_text(encoding="utf-8"))
    if change is not None:
        change(document)
    call = ["import", "nnunet", str(model), "--output", str(tmp_path / "bundle")]
    codes = set()
    for words, changed in mutations_of(document):
        (model / file).write_text(json.dumps(changed), encoding="utf-8")
        code = main(call)
        complaints = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        codes.add(code)
        assert code in (0, 2), f"{words}: {complaints}"
        assert len(complaints) == (1 if code else 0), words
        assert all(line.startswith(f"error: {model}/") for line in complaints), f"{words}: {complaints}"
    assert codes == {0, 2}


def said_of(file, change, tmp_path, capsys):
    """The complaint about a model whose `plans.json` or `dataset.json` was changed, from the file on."""
    model = write_folder(tmp_path, "isotropic")
    document = json.loads((model / file).read_text(encoding="utf-8"))
    change(document)
    (model / file).write_text(json.dumps(document), encoding="utf-8")
    assert main(["import", "nnunet", str(model), "--output", str(tmp_path / "bundle")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line.removeprefix(f"error: {model}/")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda described: described["labels"].update({"structure 1": None}),
            "labels: structure 1 must be a whole number, or a list of them, is None",
        ),
        (
            lambda described: described["labels"].update({"structure 1": []}),
            "labels: structure 1 must be a whole number, or a list of them, is []",
        ),
        (
            lambda described: described.update(channel_names={"CT": 0}),
            """channel_names must map channel numbers to names, as in {"0": "CT"}, is {'CT': 0}""",
        ),
    ],
)
def test_a_faulty_data_set_is_told_of_by_field(change, said, tmp_path, capsys):
    assert said_of("dataset.json", change, tmp_path, capsys) == f"dataset.json: {said}"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        (
            "kernel_sizes",
            [None],
            "kernel_sizes must be whole numbers along each axis, is [None]",
        ),
        ("n_conv_per_stage", [], "n_conv_per_stage must be whole numbers, is []"),
        (
            "features_per_stage",
            [8, 16, 10**400],
            "features[2]: must be 1 to 4096, is a number of too many digits",
        ),
    ],
)
def test_a_faulty_network_is_told_of_by_field(field, value, said, tmp_path, capsys):
    def change(plans):
        plans["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"][field] = value

    assert said_of("plans.json", change, tmp_path, capsys) == f"plans.json: 3d_fullres: {said}"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("patch_size", [24, 40, inf], "patch_size must be a list of numbers, is [24, 40, inf]"),
        ("patch_size", [24, 40, 40.5], "patch_size must be a list of whole numbers, is [24.0, 40.0, 40.5]"),
        (
            "resampling_fn_data_kwargs",
            {"separate_z_anisotropy_threshold": "x"},
            "resampling_fn_data_kwargs: separate_z_anisotropy_threshold must be a number of 0 or more, is x",
        ),
        (
            "resampling_fn_data_kwargs",
            {"force_separate_z": None, "separate_z_anisotropy_threshold": 1e9},
            "above_ratio: must be 0 to 1e6, is 1000000000.0",
        ),
    ],
)
def test_a_faulty_configuration_is_told_of_by_field(field, value, said, tmp_path, capsys):
    def change(plans):
        plans["configurations"]["3d_fullres"][field] = value

    assert said_of("plans.json", change, tmp_path, capsys) == f"plans.json: 3d_fullres: {said}"


def test_figures_of_the_foreground_are_told_of_by_channel(tmp_path, capsys):
    def change(plans):
        plans["foreground_intensity_properties_per_channel"]["0"]["std"] = None

    assert said_of("plans.json", change, tmp_path, capsys) == (
        "plans.json: 3d_fullres: channel CT: foreground_intensity_properties_per_channel: std must be a "
        "number, is None"
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plans, _: plans.update(dataset_name="A\tB"), "plans.json: dataset_name"),
        (lambda plans, _: plans.update(plans_name="A\tB"), "plans.json: plans_name"),
        (lambda _, described: described.update(licence="A\x07B"), "dataset.json: licence"),
        (lambda _, described: described.update(channel_names={"0": "A\tB"}), "dataset.json: channel_names.0"),
    ],
    ids=["data set", "plans", "licence", "channel"],
)
def test_a_text_that_no_manifest_holds_is_told_of_by_its_file(change, said, tmp_path, capsys):
    """Not by the bundle, which is not there yet."""
    model = write_folder(tmp_path, "isotropic", change=change)
    assert main(["import", "nnunet", str(model), "--output", str(tmp_path / "bundle")]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: {model}/{said}: must hold printable characters only, is 'A\\")


def test_a_trainer_that_no_manifest_holds_is_told_of_by_its_checkpoint(tmp_path, capsys):
    model = write_folder(tmp_path, "isotropic", trainer="nnUNetTrainer\t")
    call = ["import", "nnunet", str(model), "--output", str(tmp_path / "bundle"), "--any-trainer"]
    assert main(call) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "checkpoint_final.pth: trainer_name: must hold printable characters only" in line
