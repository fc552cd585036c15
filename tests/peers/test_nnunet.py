"""Bundles of real nnU-Net models give the labels of nnU-Net's own predictor.

Ten kinds of models are made by nnU-Net's own code, and both programs label a phantom and a crop of a real CT.
Needs `make peers`; LEANSEG_PEERS_PYTHON names another Python that has nnunetv2.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from eval.verification.comparison import agreement
from eval.verification.contenders import cases_in
from model.bundle import load_bundle, replace_manifest
from model.changing.tuning import tuned
from model.importers.nnunet import import_nnunet
from model.importers.packaging import Packaging
from tests.peers.nnunet_models import KINDS, SUMS, WAYS, model_of, write_second_channel
from tests.places import CROPS, FAKE_MEMORY_PROGRAM, ROOT

PEERS = Path(os.environ.get("LEANSEG_PEERS_PYTHON", ROOT / ".venv-peers/bin/python"))
LEAST_DICE = {"half": 0.999, "float32": 0.9999}
"""By how nnU-Net sums windows. Half floats, its own way, turn near-ties, of which networks that were trained
for seconds have many; what differs from its float32 sums is single voxels."""
STEPS = 60
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not PEERS.exists(), reason="nnU-Net is not installed (make peers does it)"),
]


def call(*words):
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Folder of trained models, `images` of two channels, and nnU-Net's `labels` of them."""
    folder = tmp_path_factory.mktemp("nnunet")
    cases, images = folder / "cases", folder / "images"
    words = ["--cases", 5, "--coverage", "upper abdomen", "--spacing-zyx-mm", 5, 3, 3, "-o", cases]
    call(sys.executable, "-m", "training", "phantom", *words)
    for path in sorted((cases / "imagesTr").iterdir()):  # Small images are resampled in seconds.
        sitk.WriteImage(sitk.ReadImage(str(path))[20:90, 20:80, 5:30], str(path))
    program = (PEERS, "-m", "tests.peers.nnunet_models")
    call(*program, "train", ",".join(KINDS), cases, folder, STEPS)
    images.mkdir()
    phantom = sitk.ReadImage(str(path))[5:65, 5:55, 3:22]
    real = sitk.ReadImage(str(CROPS / "ct_abdomen/ct_0000.nii.gz"))[30:90, 20:70]
    for name, image in {"phantom": phantom, "real": real}.items():  # Four to six windows each.
        sitk.WriteImage(sitk.Cast(image, sitk.sitkInt16), str(images / f"{name}_0000.nii.gz"))
        write_second_channel(images / f"{name}_0000.nii.gz", images)
    call(*program, "label", ",".join(KINDS), images, folder, folder / "labels")
    return folder


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
    given = folder / "images"
    given.mkdir(parents=True)
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
    for case in cases_in(theirs / "images"):
        for sums in SUMS:
            found = agreement(case, made, theirs / "labels" / f"{kind}-{way}-{sums}", labels)
            assert found.dice, "nothing is labelled, so nothing is compared"
            assert found.mean_dice >= LEAST_DICE[sums], f"{case.name}, {sums}"
