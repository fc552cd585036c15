"""A job as grand-challenge.org lays it out: `inputs.json`, an image in its socket's folder, no output yet."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from inference import grand_challenge
from inference.grand_challenge import main
from tests.end_to_end.calls import write_case
from tests.inference.bundles import abdomen

CT = {"slug": "ct-image", "super_kind": "Image", "relative_path": "images/ct"}
AGE = {"slug": "age", "super_kind": "Value", "relative_path": "age.json"}


@pytest.fixture
def job(tmp_path):
    """The folders that are mounted, with an image named as the platform names it."""
    (tmp_path / "input/images/ct").mkdir(parents=True)
    write_case(tmp_path / "case_0000.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "case_0000.nii.gz"))
    sitk.WriteImage(image, str(tmp_path / "input/images/ct/9f1c-77.mha"), useCompression=True)
    (tmp_path / "output").mkdir()
    (tmp_path / "model").mkdir()
    state(tmp_path, CT, AGE)
    return tmp_path


def state(job, *sockets, key="socket"):
    document = [{key: socket, "value": None} for socket in sockets]
    (job / "input/inputs.json").write_text(json.dumps(document))


def call(job, *options):
    return main([f"--{name}={job / name}" for name in ("input", "output", "model")] + [*options])


def upload(job, bundle, into="."):
    shutil.copytree(bundle, job / "model" / into, dirs_exist_ok=True)


def test_a_job_ends_in_a_label_map_on_the_images_grid(job, bundle):
    upload(job, bundle)
    assert call(job) == 0
    (made,) = (path for path in (job / "output").rglob("*") if path.is_file())
    assert made == job / "output/images/abdominal-organ-segmentation/output.mha"
    image, labels = (sitk.ReadImage(str(path)) for path in (job / "input/images/ct/9f1c-77.mha", made))
    for what in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(labels, what)() == pytest.approx(getattr(image, what)())
    assert labels.GetPixelID() == sitk.sitkUInt8
    assert np.mean(sitk.GetArrayFromImage(labels) == abdomen()) > 0.95


def test_the_output_sockets_folder_is_told(job, bundle):
    upload(job, bundle, "packed")  # As an archive of a folder is unpacked.
    state(job, CT, key="interface")  # As older releases of the platform call it.
    assert call(job, "--result=images/organs") == 0
    assert (job / "output/images/organs/output.mha").is_file()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda job: (job / "input/inputs.json").unlink(),
            "inputs.json: is not the platform's list of inputs",
        ),
        (lambda job: (job / "input/inputs.json").write_text("[1]"), "is not the platform's list of inputs"),
        (lambda job: state(job, AGE), "has 0 image sockets (none); name those to take with --socket"),
        (
            lambda job: state(job, CT, {**CT, "slug": "pet", "relative_path": "images/pet"}),
            "has 2 image sockets (ct-image, pet); name those to take with --socket",
        ),
        (
            lambda job: shutil.copy(job / "input/images/ct/9f1c-77.mha", job / "input/images/ct/b.mha"),
            "images/ct: must hold one .mha image, holds 2",
        ),
        (
            lambda job: (job / "model/notes.txt").write_text(""),
            "model: holds notes.txt, but no manifest.json",
        ),
    ],
)
def test_a_job_that_cannot_be_run_is_one_line(job, capsys, change, message):
    change(job)
    assert call(job) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
    assert list((job / "output").rglob("*.mha")) == []


def test_an_image_knows_the_sockets_that_it_was_built_for(job, bundle, monkeypatch, capsys):
    upload(job, bundle)
    state(job, CT, {**CT, "slug": "pet", "relative_path": "images/pet"})
    monkeypatch.setattr(grand_challenge, "SOCKETS", ["ct-image"])
    assert call(job) == 0
    assert call(job, "--socket=mr") == 2
    assert "has no image socket mr" in capsys.readouterr().err


def test_a_socket_that_is_not_there_is_named(job, capsys):
    assert call(job, "--socket=pet") == 2
    assert "has no image socket pet; it has ct-image" in capsys.readouterr().err


def test_a_broken_image_is_a_failed_job(job, bundle, capsys):
    upload(job, bundle)
    path = job / "input/images/ct/9f1c-77.mha"
    path.write_bytes(path.read_bytes()[:-40])
    assert call(job) == 1
    assert "error: " in capsys.readouterr().err
    assert list((job / "output").rglob("*.mha")) == []
