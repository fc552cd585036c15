"""Bundles of real nnU-Net models give the labels of nnU-Net's own predictor.

Eleven kinds of models are made by nnU-Net's own code, and both programs label a phantom and a crop of a real
CT.
Needs `make peers`; LEANSEG_PEERS_PYTHON names another Python that has nnunetv2.
"""

import json
import shutil
import sys
from dataclasses import replace

import pytest

from eval.verification.comparison import agreement
from eval.verification.contenders import cases_in
from model.__main__ import main
from model.bundle import load_bundle, replace_manifest
from model.changing.tuning import tuned
from model.importers.nnunet import import_nnunet
from model.importers.packaging import Packaging
from tests.peers.nnunet_models import KINDS, SUMS, WAYS, model_of
from tests.peers.programs import NEED_PEERS, PEERS, call
from tests.places import FAKE_MEMORY_PROGRAM
from training.__main__ import main as training

LEAST_DICE = 0.999
"""With nnU-Net's own labels."""
LEAST_DICE_OF_FLOAT32_SUMS = 0.9999
"""With the labels that nnU-Net gives when it sums windows in float32, as LeanSeg does."""
LEAST_ROUNDING = 1e-4
"""nnU-Net sums in half floats. That turns near-ties, of which networks that were trained for seconds have
many. Where it alone changes more of nnU-Net's labels than `LEAST_DICE` allows (the isotropic model on the
phantom: 0.997), LeanSeg's must agree with them as well as nnU-Net's two ways agree with each other, but for
this."""
pytestmark = NEED_PEERS


@pytest.fixture(scope="module", params=KINDS)
def imported(request, theirs, tmp_path_factory):
    """A kind, and the bundle of its model."""
    with pytest.MonkeyPatch.context() as patch:
        # What a network needs is measured elsewhere, and takes seconds for each.
        patch.setattr("model.onnx_export.memory.PROGRAM", FAKE_MEMORY_PROGRAM)
        folder = tmp_path_factory.mktemp(request.param) / "bundle"
        return request.param, import_nnunet(model_of(request.param, theirs), folder, Packaging(fp16=False))


def ours(bundle, images, channels, folder):
    """`predict.py`'s label maps, computed in fp32."""
    given = folder.with_name("images")
    given.mkdir()
    for image in images.iterdir():
        if int(image.name[-11:-7]) < channels:
            (given / image.name).symlink_to(image)
    words = ["--input", given, "--output", folder, "--bundle", bundle, "--device", "cpu"]
    call(sys.executable, "predict.py", *words, "--precision", "fp32")
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_labels_are_nnunets(way, imported, theirs, tmp_path):
    kind, bundle = imported
    if way == "plain":
        shutil.copytree(bundle.folder, tmp_path / "bundle")
        bundle = load_bundle(tmp_path / "bundle")
        bundle = replace_manifest(bundle, tuned(bundle.manifest, ["tiling.mirror_axes=[]"]))
    labels = bundle.manifest.output.as_label_set()
    made = ours(bundle.folder, theirs / "images", len(bundle.manifest.inputs), tmp_path / "ours")
    by_sums = {sums: theirs / "labels" / f"{kind}-{way}-{sums}" for sums in SUMS}
    for case in cases_in(theirs / "images"):
        found = {sums: agreement(case, made, folder, labels) for sums, folder in by_sums.items()}
        rounded = agreement(case, by_sums["float32"], by_sums["half"], labels)
        assert found["half"].dice, "nothing is labelled, so nothing is compared"
        assert found["float32"].mean_dice >= LEAST_DICE_OF_FLOAT32_SUMS, case.name
        least = min(LEAST_DICE, rounded.mean_dice - LEAST_ROUNDING)
        assert found["half"].mean_dice >= least, case.name


def test_joined_configurations_give_the_labels_of_nnunets_ensemble(theirs, tmp_path, monkeypatch):
    monkeypatch.setattr("model.onnx_export.memory.PROGRAM", FAKE_MEMORY_PROGRAM)
    bundles = []
    for kind in ("isotropic", "lowres"):
        made = import_nnunet(model_of(kind, theirs), tmp_path / kind, Packaging(fp16=False))
        output = replace(made.manifest.output, label_set="one data set")
        bundles.append(replace_manifest(made, replace(made.manifest, output=output)))
    words = [str(bundle.folder) for bundle in bundles]
    assert training(["ensemble", *words, "--output", str(tmp_path / "both")]) == 0
    images, reference = theirs / "images", tmp_path / "theirs"
    program = (PEERS, "-m", "tests.peers.nnunet_models")
    call(*program, "ensemble", "isotropic,lowres", images, theirs, reference)
    made = ours(tmp_path / "both", images, 1, tmp_path / "ours")
    for case in cases_in(images):
        found = agreement(case, made, reference, bundles[0].manifest.output.as_label_set())
        assert found.mean_dice >= LEAST_DICE_OF_FLOAT32_SUMS, case.name
        assert found.dice, "nothing is labelled, so nothing is compared"


def test_verify_runs_both_programs(theirs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("model.onnx_export.memory.PROGRAM", FAKE_MEMORY_PROGRAM)
    model = model_of("two_channels", theirs)
    bundle = import_nnunet(model, tmp_path / "bundle", Packaging(fp16=False)).folder
    words = ["--images", str(theirs / "images"), "--python", str(PEERS), "--float32-sums"]
    assert main(["verify", str(bundle), "--against", "nnunet", str(model), *words]) == 0
    assert "| nnU-Net, float32 sums |" in capsys.readouterr().out
    found = json.loads((bundle / "verification.json").read_text(encoding="utf-8"))
    reference, ours, *_ = found["contenders"]
    assert reference["runs"].keys() == ours["runs"].keys() == {"phantom", "real"}
    assert all(run["cpu_s"] > 0 for run in reference["runs"].values())
    assert all(case["differing"] <= 5 for case in ours["agreement"].values())
