"""What `python -m model show` says of bundles."""

import json

import pytest

from model.__main__ import main
from model.commands.show import VERIFICATION
from model.manifest.clean_up import LargestComponent
from model.manifest.document import Input
from model.manifest.fusion import CleanedGroupsFusion
from model.manifest.intensity import (
    ClipZscoreIntensity,
    DivideIntensity,
    RangeIntensity,
    ZscoreIntensity,
)
from model.manifest.output import Output, Sigmoid
from tests.inference.bundles import localization, make_bundle, member
from tests.places import ROOT


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def shown(capsys, bundle):
    assert main(["show", str(bundle)]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_embedded_bundle_fits_a_screen(capsys):
    lines = shown(capsys, ROOT / "bundles" / "default")
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 110
    text = "\n".join(lines)
    for expected in (
        "LeanSeg default",
        "CT (modality CT): window -250 to 250 HU",
        "member-1.onnx, ",
        "channels       softmax: background, liver, kidney, spleen",
        "48×112×144 voxels of 2.5×2.5×2.5 mm",
        "14 tumor",
        "liver (ml 50); spleen,",
        "split into right and left: kidney, adrenal gland",
        "CC BY 4.0",
    ):
        assert expected in text


@pytest.mark.parametrize(("columns", "widest"), [(200, 110), (80, 80), (20, 40)])
def test_lines_fit_the_terminal(capsys, monkeypatch, columns, widest):
    monkeypatch.setenv("COLUMNS", str(columns))
    lengths = [len(line) for line in shown(capsys, ROOT / "bundles" / "default")]
    assert widest - 12 < max(lengths) <= widest


def test_what_differs_from_the_plain_is_named(capsys, tmp_path):
    made = make_bundle(
        tmp_path / "made",
        [member(mirror_axes=("z", "x"), kept_within=(0.75, 1.25))],
        localization=localization(),
    )
    text = "\n".join(shown(capsys, made.folder))
    assert "mirrored z x" in text
    assert "own voxel size is kept from 0.75 to 1.25 of these" in text
    assert "localization   roi.onnx" in text
    assert "memory not measured" in text


def test_every_figure_of_an_intensity_is_shown(capsys, tmp_path):
    inputs = (
        Input(
            name="late",
            modality="CT",
            intensity=ClipZscoreIntensity(lower=-970.5, upper=276.0, mean=99.25, std=39.5),
        ),
        Input(name="T2", modality="MR", intensity=ZscoreIntensity(over="nonzero")),
        Input(name="PET", modality="PET", intensity=RangeIntensity(lower=0.0, upper=20.0)),
        Input(name="photo", modality="other", intensity=DivideIntensity()),
    )
    lines = shown(capsys, make_bundle(tmp_path / "made", [member()], inputs=inputs).folder)
    assert [line.split(maxsplit=1)[1] for line in lines if line.startswith("input")] == [
        "late (modality CT): clip_zscore -970.5 to 276 HU, mean 99.25, std 39.5",
        "T2 (modality MR): zscore, over nonzero",
        "PET (modality PET): range 0 to 20, to_lower 0, to_upper 1, clip",
        "photo (modality other): divide, by 255",
    ]


def test_channels_that_may_be_on_together_have_an_order(capsys, tmp_path):
    for activation, order in (
        (Sigmoid(), "tumor over kidney over liver"),
        (Sigmoid(priority=(2, 0, 1)), "kidney over liver over tumor"),
    ):
        output = Output(
            label_set="three",
            labels={"liver": 1, "kidney": 2, "tumor": 3},
            channels=("liver", "kidney", "tumor"),
            activation=activation,
        )
        made = make_bundle(tmp_path / order, [member()], thresholds=[0.3, 0.6], output=output)
        assert f"where several are on: {order}" in "\n".join(shown(capsys, made.folder))


def test_what_a_bundle_says_does_nothing_to_the_terminal(capsys, tmp_path):
    made = make_bundle(tmp_path / "made")
    found = {"bundle_sha256": made.sha256, "against": "x\x1b[2J", "contenders": [{}, {"agreement": {}}]}
    found["contenders"][1]["agreement"] = {"a": {"dice": {"liver": 1.0}}}
    (made.folder / VERIFICATION).write_text(json.dumps(found), encoding="utf-8")
    assert r"mean Dice 1.00000 with x\x1b[2J, 1 case, fp32" in "\n".join(shown(capsys, made.folder))
    manifest = made.folder / "manifest.json"
    evil = json.loads(manifest.read_text(encoding="utf-8")) | {"name": "evil\x1b[2J\nall is well"}
    manifest.write_text(json.dumps(evil), encoding="utf-8")
    assert main(["show", str(made.folder)]) == 2
    said = r"name: must hold printable characters only, is 'evil\x1b[2J\nall is well'"
    assert capsys.readouterr().err == f"error: {manifest}: {said}\n"


def test_no_bundle_is_one_line(capsys, tmp_path):
    assert main(["show", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: {tmp_path}: no bundle here (manifest.json is missing); give the folder of a bundle\n"
    )


def test_ensembles_and_their_clean_up_are_named(capsys, tmp_path):
    steps = (LargestComponent(structures=("liver",)),)
    members = [member(ensemble="A"), member(file="b.onnx", ensemble="B")]
    made = make_bundle(tmp_path / "made", members, fusion=CleanedGroupsFusion(clean_up={"B": steps}))
    lines = shown(capsys, made.folder)
    assert [line.rpartition(" ")[2] for line in lines if "of ensemble A" in line] == ["A"]
    assert "of ensemble B  largest_component: liver" in lines
