"""`verify` holds a bundle against the model that it was imported from, in the ids that the bundle writes."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from eval.verification.contenders import Contender
from model.__main__ import main
from model.labels import FLARE22
from model.manifest.output import Output, Sigmoid
from tests.inference.bundles import PROVENANCE, THRESHOLDS, make_bundle, member
from tests.peers.nnunet_models import KINDS, dataset_of, plans_of
from tests.places import ROOT

CHANNELS = ("background", *(f"structure {i}" for i in range(1, 5)))
OWN = Output(
    label_set="Dataset701_Made", labels={name: i for i, name in enumerate(CHANNELS) if i}, channels=CHANNELS
)
RELABELLED = Output(
    label_set="flare22",
    labels=dict(FLARE22.ids),
    channels=CHANNELS,
    pairs=FLARE22.pairs,
    written_as={"structure 1": "spleen", "structure 2": "liver", "structure 3": None, "structure 4": None},
)
"""Spleen is 3 and liver is 1."""


def provenance(configuration="3d_fullres", trainer="nnUNetTrainer", data="Dataset701_Made"):
    recipe = f"nnU-Net v2, {trainer}, nnUNetPlans, {configuration}, folds 0"
    return replace(PROVENANCE, recipe=recipe, data=data)


def write_model(folder, kind="isotropic", configuration="3d_fullres", order=None):
    """A trained-model folder of nnU-Net, with an empty checkpoint."""
    stated = KINDS[kind] | {"configuration": configuration}
    described = dataset_of(stated) | ({} if order is None else {"regions_class_order": order})
    model = folder / "Dataset701_Made" / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    (model / "fold_0").mkdir(parents=True)
    (model / "fold_0" / "checkpoint_final.pth").touch()
    plans = plans_of(stated, "Dataset701_Made")
    (model / "plans.json").write_text(json.dumps(plans), encoding="utf-8")
    (model / "dataset.json").write_text(json.dumps(described), encoding="utf-8")
    return model


def write_map(path, counts):
    """A label map of 8 · 16 · 16 voxels: so many of each id, one after the other."""
    path.parent.mkdir(exist_ok=True)
    labels = np.repeat(np.array([*counts, 0], np.uint8), [*counts.values(), 2048 - sum(counts.values())])
    sitk.WriteImage(sitk.GetImageFromArray(labels.reshape(8, 16, 16)), str(path))


@pytest.fixture
def call(tmp_path, monkeypatch):
    """`verify` of a bundle, where LeanSeg gives `ours` and nnU-Net `theirs`, id to voxels each."""
    (tmp_path / "images").mkdir()
    write_map(tmp_path / "images" / "a_0000.nii.gz", {})

    def call(output, *words, ours=None, theirs=None, of=None):
        write_map(tmp_path / "ours" / "a.nii.gz", ours or {})
        write_map(tmp_path / "theirs" / "a.nii.gz", theirs or {})

        def copied(source, name):
            source = tmp_path / source / "a.nii.gz"
            return Contender(name=name, command=lambda case, folder: ["cp", str(source), str(folder)])

        monkeypatch.setattr(
            "model.commands.work.verify_work.leanseg", lambda name, *_, **__: copied("ours", name)
        )
        monkeypatch.setattr(
            "model.commands.work.verify_work.nnunet", lambda *_, **__: copied("theirs", "nnU-Net")
        )
        changes = {"output": output, "provenance": of or provenance()}
        shutil.rmtree(tmp_path / "bundle", ignore_errors=True)
        thresholds = THRESHOLDS[: len(output.channels) - 1]
        bundle = make_bundle(tmp_path / "bundle", [member(file="fold-0.onnx")], thresholds, **changes).folder
        rc = main(
            ["verify", str(bundle), "--images", str(tmp_path / "images"), "--against", *map(str, words)]
        )
        record = bundle / "verification.json"
        return rc, json.loads(record.read_text(encoding="utf-8")) if record.is_file() else None

    return call


def test_another_label_set_is_compared_by_its_table(call, tmp_path):
    """Structures 1 and 2 are written as spleen and liver, 3 is dropped; all voxels agree."""
    model = write_model(tmp_path / "results")
    theirs, ours = {1: 100, 2: 50, 3: 20}, {3: 100, 1: 50, 0: 20}
    rc, record = call(RELABELLED, "nnunet", model, ours=ours, theirs=theirs)
    assert rc == 0
    agreement = record["contenders"][1]["agreement"]["a"]
    scores = {"liver": 1.0, "spleen": 1.0}
    assert agreement == {"dice": scores, "differing": 0, "voxels": 2048, "left_out": []}


def test_ids_of_regions_are_those_that_nnunet_writes(call, tmp_path):
    """`regions_class_order` says 1, 2, 7; the bundle writes the third as aorta, which is 5."""
    model = write_model(tmp_path / "results", kind="regions", order=[1, 2, 7])
    output = Output(
        label_set="flare22",
        labels=dict(FLARE22.ids),
        channels=("all", "not fat", "bright"),
        activation=Sigmoid(),
        pairs=FLARE22.pairs,
        written_as={"all": "liver", "not fat": None, "bright": "aorta"},
    )
    rc, record = call(output, "nnunet", model, ours={1: 30, 0: 5, 5: 10}, theirs={1: 30, 2: 5, 7: 10})
    assert rc == 0
    assert record["contenders"][1]["agreement"]["a"]["dice"] == {"liver": 1.0, "aorta": 1.0}


def test_a_structure_that_became_right_and_left_is_refused(call, tmp_path, capsys):
    sides = replace(RELABELLED, written_as={**RELABELLED.written_as, "structure 3": "kidney"})
    assert call(sides, "nnunet", write_model(tmp_path / "results")) == (2, None)
    (line,) = capsys.readouterr().err.splitlines()
    assert "writes structure 3 as one label, the bundle as right and left since it was relabelled" in line
    assert line.endswith("verify before relabelling")


def test_an_id_that_the_model_has_not_is_refused(call, tmp_path, capsys):
    assert call(RELABELLED, "nnunet", write_model(tmp_path / "results"), theirs={9: 1}) == (2, None)
    assert "a.nii.gz: holds 9, which is no label of its model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("of", "changes", "complaint"),
    [
        (
            provenance(data="Dataset803_Old"),
            {},
            "is a model of Dataset701_Made, the bundle is of Dataset803_Old; give the model that it was",
        ),
        (
            provenance("3d_lowres"),
            {"configuration": "3d_fullres"},
            "holds no model of 3d_lowres",
        ),
        (
            provenance(trainer="nnUNetTrainer_5epochs"),
            {},
            "is of nnUNetTrainer, nnUNetPlans, 3d_fullres, the bundle of nnUNetTrainer_5epochs, nnUNetPlans,",
        ),
        (provenance(), {"kind": "regions"}, "has channels all, not fat, bright, the bundle has background,"),
    ],
)
def test_another_model_is_refused_before_it_runs(of, changes, complaint, call, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("model.commands.work.verify_work.run_all", lambda *_: pytest.fail("it was run"))
    assert call(OWN, "nnunet", write_model(tmp_path / "results", **changes), of=of) == (2, None)
    assert complaint in capsys.readouterr().err


def test_folds_and_channels_are_looked_at_before_anything_runs(call, tmp_path, capsys, monkeypatch):
    """The bundle has fold 0 and one channel; nnU-Net has fold 1 alone, and the case has two channels."""
    monkeypatch.setattr("model.commands.work.verify_work.run_all", lambda *_: pytest.fail("it was run"))
    model = write_model(tmp_path / "results")
    (model / "fold_0").rename(model / "fold_1")
    assert call(OWN, "nnunet", model) == (2, None)
    said = "fold 0 has no checkpoint_final.pth; folds that have one: 1"
    assert said in capsys.readouterr().err
    write_map(tmp_path / "images" / "a_0001.nii.gz", {})
    assert call(OWN, "labels", tmp_path / "theirs") == (2, None)
    assert "images: case a has 2 files, a_0000.nii.gz, a_0001.nii.gz; the bundle takes 1 channel" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("kind", "package", "remedy"),
    [
        ("nnunet", "torch", "run `make peers` and add --python .venv-peers/bin/python"),
        ("monai", "nibabel", "run `make training`, or add --python with one that has monai and nibabel"),
    ],
)
def test_a_python_without_the_program_is_named(kind, package, remedy):
    """`-S` hides site-packages, as if nothing had been installed."""
    program = ROOT / f"eval/verification/{kind}_program.py"
    ran = subprocess.run([sys.executable, "-S", program], capture_output=True, text=True, check=False)
    said = f"error: {package} is not installed for {sys.executable}; {remedy}\n"
    assert (ran.returncode, ran.stderr) == (1, said)


def test_what_a_program_says_is_missing_is_passed_on(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    write_map(tmp_path / "images" / "a_0000.nii.gz", {})
    changes = {"output": OWN, "provenance": provenance()}
    bundle = make_bundle(tmp_path / "bundle", [member(file="fold-0.onnx")], **changes).folder
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    model = write_model(tmp_path / "results")
    words = ["--against", "nnunet", str(model), "--images", str(tmp_path / "images")]
    assert main(["verify", str(bundle), *words, "--python", str(python)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: nnU-Net failed on a: torch is not installed for ")
    assert line.endswith("; run `make peers` and add --python .venv-peers/bin/python")
