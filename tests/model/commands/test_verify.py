"""`verify` runs the bundle in processes of its own and holds its labels against others."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from eval.verification.contenders import Contender
from model.__main__ import main
from model.bundle import load_bundle
from model.labels import FLARE23
from model.manifest.window import AnyWindow
from tests.inference.bundles import hu, localization, make_bundle, member


@pytest.fixture
def subject(tmp_path):
    """A bundle on its own grid, an image, and the label map that it gives, but for one voxel."""
    labels = np.zeros((8, 16, 16), np.uint8)
    labels[2:6, 4:12, 4:12] = FLARE23.ids["liver"]
    labels[2:6, 4:8, 4:8] = FLARE23.ids["aorta"]
    for folder, array in (("images", hu(labels)), ("labels", labels)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.5, 2.5))
        (tmp_path / folder).mkdir()
        sitk.WriteImage(
            image, str(tmp_path / folder / ("a_0000.nii.gz" if folder == "images" else "a.nii.gz"))
        )
    return make_bundle(tmp_path / "bundle", [member()]).folder


def test_labels_that_are_there_already(subject, tmp_path, capsys):
    against = ["--against", "labels", str(tmp_path / "labels")]
    assert main(["verify", str(subject), *against, "--images", str(tmp_path / "images"), "--explore"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split(" | ") for line in lines if line.startswith("| LeanSeg fp32")]
    assert rows[0][4] == "1.00000"
    assert any(line.startswith("| overlap 0.25 ") for line in lines)
    assert not any(line.startswith(("| no mirroring ", "| windows ")) for line in lines)
    assert (subject / "verification.png").stat().st_size > 1000
    found = json.loads((subject / "verification.json").read_text(encoding="utf-8"))
    assert found["contenders"][1]["agreement"]["a"]["differing"] == 0
    assert main(["show", str(subject)]) == 0
    assert "mean Dice 1.00000 with labels" in capsys.readouterr().out


def test_structures_that_the_bundle_does_not_write_are_left_out(made_labels, tmp_path, capsys):
    """A hundred voxels of liver in both maps; the truth's last slice is label 99, unknown to the bundle."""
    truth = liver(100)
    truth[-1] = 99
    for folder, labels in (("fp32", liver(100)), ("labels", truth)):
        write_map(tmp_path / folder, labels)
    (tmp_path / "images").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(hu(liver(100))), str(tmp_path / "images" / "a_0000.nii.gz"))
    bundle = make_bundle(tmp_path / "bundle", [member()]).folder
    words = ["--against", "labels", str(tmp_path / "labels"), "--images", str(tmp_path / "images")]
    assert main(["verify", str(bundle), *words]) == 0
    out = capsys.readouterr().out
    assert "left out, since the bundle does not write them: 99 of the reference\n" in out
    assert "label 99" not in out
    assert main(["show", str(bundle)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "mean Dice 1.00000 with labels labels, 1 case, fp32, without ids 99, which are not written" in said


def liver(voxels):
    """A label map with a liver of so many voxels, of 8 · 16 · 16."""
    labels = np.zeros(8 * 16 * 16, np.uint8)
    labels[:voxels] = FLARE23.ids["liver"]
    return labels.reshape(8, 16, 16)


def write_map(folder, labels):
    folder.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(labels), str(folder / "a.nii.gz"))


@pytest.fixture
def made_labels(tmp_path, monkeypatch):
    """Both runs of a bundle write label maps that lie there already."""

    def made(name, bundle, *, fp32):
        source = tmp_path / ("fp32" if fp32 else "bf16") / "a.nii.gz"
        return Contender(name=name, command=lambda case, folder: ["cp", str(source), str(folder)])

    monkeypatch.setattr("model.commands.work.verify_work.leanseg", made)


@pytest.mark.parametrize(
    ("fp32", "bf16", "truth", "kept", "said"),
    [
        # 2 · 199 / (200 + 199) of fp32's voxels, of which the truth holds a half.
        (200, 199, 100, "bf16", "bf16 agrees with fp32 by 0.9975: the bundle goes on to allow it"),
        # 2 · 197 / (200 + 197); that the truth has just these is no matter.
        (200, 197, 197, "fp32", "bf16 agrees with fp32 only by 0.9924: the bundle now says fp32"),
    ],
)
def test_bf16_is_held_against_fp32_and_not_against_a_truth(
    fp32, bf16, truth, kept, said, made_labels, tmp_path, capsys
):
    networks = {"members": [member(precision="bf16")], "localization": localization(precision="bf16")}
    bundle = make_bundle(tmp_path / "bundle", **networks).folder
    for folder, labels in (("fp32", liver(fp32)), ("bf16", liver(bf16)), ("labels", liver(truth))):
        write_map(tmp_path / folder, labels)
    (tmp_path / "images").mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(hu(liver(truth))), str(tmp_path / "images" / "a_0000.nii.gz"))
    against = ["--against", "labels", str(tmp_path / "labels")]
    assert main(["verify", str(bundle), *against, "--images", str(tmp_path / "images")]) == 0
    assert said in capsys.readouterr().out.splitlines()
    found = load_bundle(bundle).manifest.networks().values()
    assert [network.precision for network in found] == [kept, kept]


@pytest.mark.slow
def test_networks_of_any_window_are_given_others(subject, tmp_path, capsys):
    sizes = AnyWindow(multiple_of_zyx=(4, 4, 4), smallest_zyx=(4, 4, 4), use="own")
    free = make_bundle(tmp_path / "free", [member(window=sizes)]).folder
    against = ["--against", "labels", str(tmp_path / "labels")]
    assert main(["verify", str(free), *against, "--images", str(tmp_path / "images"), "--explore"]) == 0
    tried = {line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()}
    assert {"| windows as large as memory allows", "| windows fitted to short scans"} <= tried
    assert load_bundle(free).manifest.members[0].window.use == "own"
    assert main(["tune", str(free), "--set", 'window.use="fitted"']) == 0
    assert main(["show", str(free)]) == 0
    shown = " ".join(capsys.readouterr().out.split())  # Lines are as long as the terminal is wide.
    assert "no larger windows than a short region needs, in steps of 4×4×4 voxels" in shown


@pytest.mark.parametrize("option", ["--against labels", "--truth"])
def test_missing_label_maps_are_noticed_before_anything_runs(option, subject, tmp_path, capsys, monkeypatch):
    """Of the cases a, b and c, only a has a label map."""
    monkeypatch.setattr("model.commands.work.verify_work.run_all", lambda *_: pytest.fail("nnU-Net was run"))
    monkeypatch.setattr(
        "model.commands.work.verify_work.leanseg", lambda *_, **__: pytest.fail("LeanSeg was run")
    )
    for name in ("b", "c"):
        (tmp_path / "images" / f"{name}_0000.nii.gz").touch()
    for folder, complaint in (
        ("labels", f"labels: does not hold b.nii.gz, nor those of 1 more; {option} needs the label maps"),
        ("nowhere", f"nowhere: no such folder; give one that holds CASE.nii.gz with {option}"),
    ):
        words = [*option.split(), str(tmp_path / folder)]
        words += [] if option == "--against labels" else ["--against", "nnunet", str(tmp_path / "results")]
        assert main(["verify", str(subject), *words, "--images", str(tmp_path / "images")]) == 2
        assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("against", "complaint"),
    [
        (("torch", "x"), "--against torch: unknown; known are nnunet, monai and labels"),
        (("nnunet", "nowhere"), "nowhere: no such folder or zip"),
        (("monai", "nowhere"), "nowhere: no such file or folder"),
    ],
)
def test_faulty_calls(against, complaint, subject, tmp_path, capsys):
    words = ["--against", *against, "--images", str(tmp_path / "images")]
    assert main(["verify", str(subject), *words]) == 2
    assert complaint in capsys.readouterr().err
    assert not (subject / "verification.json").exists()
