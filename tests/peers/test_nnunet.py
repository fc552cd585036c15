"""Bundles of real nnU-Net models give the labels of nnU-Net's own predictor.

Ten kinds of models are made by nnU-Net's own code, and both programs label a phantom and a crop of a real CT.
Needs `make peers`; LEANSEG_PEERS_PYTHON names another Python that has nnunetv2.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.peers.nnunet_models import KINDS, write_second_channel
from tests.places import CROPS, ROOT

PEERS = Path(os.environ.get("LEANSEG_PEERS_PYTHON", ROOT / ".venv-peers/bin/python"))
MAKER = Path(__file__).with_name("nnunet_models.py")
LEAST_DICE = 0.999
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
    return done.stdout


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folder of all models' results, and one with images of two channels; the first is enough for most."""
    folder = tmp_path_factory.mktemp("nnunet")
    cases, images = folder / "cases", folder / "images"
    words = ["--cases", 5, "--coverage", "upper abdomen", "--spacing-zyx-mm", 5, 3, 3, "-o", cases]
    call(sys.executable, "-m", "training", "phantom", *words)
    call(PEERS, MAKER, "make", ",".join(KINDS), cases, folder, 60)
    images.mkdir()
    whole = sitk.ReadImage(str(sorted((cases / "imagesTr").iterdir())[0]))
    sitk.WriteImage(whole[10:90, 10:80, 5:35], str(images / "phantom_0000.nii.gz"))
    real = sitk.ReadImage(str(CROPS / "ct_abdomen/ct_0000.nii.gz"))
    sitk.WriteImage(sitk.Cast(real, sitk.sitkInt16), str(images / "real_0000.nii.gz"))
    (folder / "two").mkdir()
    for image in sorted(images.iterdir()):
        sitk.WriteImage(sitk.ReadImage(str(image)), str(folder / "two" / image.name))
        write_second_channel(image, folder / "two")
    return folder


def mean_dice(ours, theirs):
    one, other = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in (ours, theirs))
    held = [label for label in np.union1d(one, other) if label]
    assert held, "nothing is labelled, so nothing is compared"
    return np.mean(
        [2 * ((one == n) & (other == n)).sum() / ((one == n).sum() + (other == n).sum()) for n in held]
    )


@pytest.mark.parametrize("mirrored", [True, False], ids=["mirrored", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_nnunets(kind, mirrored, models, tmp_path):
    (model,) = (models / "nnUNet_results").glob(f"*_{kind}/nnUNetTrainer__*")
    images = models / ("two" if kind == "two_channels" else "images")
    bundle = tmp_path / "bundle"
    call(sys.executable, "-m", "model", "import", "nnunet", model, "--no-fp16", "--output", bundle)
    if not mirrored:
        call(sys.executable, "-m", "model", "tune", bundle, "--set", "tiling.mirror_axes=[]")
    words = ["--input", images, "--output", tmp_path / "ours", "--bundle", bundle, "--precision", "fp32"]
    call(sys.executable, "predict.py", *words, "--device", "cpu")
    call(PEERS, MAKER, "predict", model, images, tmp_path / "theirs", int(mirrored))
    for name in ("phantom.nii.gz", "real.nii.gz"):
        assert mean_dice(tmp_path / "ours" / name, tmp_path / "theirs" / name) >= LEAST_DICE
