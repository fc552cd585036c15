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

from eval.verification.comparison import agreement, run_all
from eval.verification.contenders import cases_in, leanseg, nnunet
from model.bundle import replace_manifest
from model.changing.tuning import tuned
from model.importers.nnunet import import_nnunet
from model.importers.packaging import Packaging
from tests.peers.nnunet_models import KINDS, write_second_channel
from tests.places import CROPS, ROOT

PEERS = Path(os.environ.get("LEANSEG_PEERS_PYTHON", ROOT / ".venv-peers/bin/python"))
MAKER = Path(__file__).with_name("nnunet_models.py")
LEAST_DICE = {False: 0.998, True: 0.9999}
"""By whether nnU-Net sums windows in float32. It sums in half floats, which turns near-ties, and these
networks were trained for seconds and have many; without that rounding single voxels differ."""
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
    images.mkdir()
    for path in sorted((cases / "imagesTr").iterdir()):  # Small images are resampled in seconds.
        sitk.WriteImage(sitk.ReadImage(str(path))[20:90, 20:80, 5:30], str(path))
    call(PEERS, MAKER, ",".join(KINDS), cases, folder, 60)
    shutil.copy(path, images / "phantom_0000.nii.gz")
    real = sitk.ReadImage(str(CROPS / "ct_abdomen/ct_0000.nii.gz"))
    sitk.WriteImage(sitk.Cast(real, sitk.sitkInt16), str(images / "real_0000.nii.gz"))
    (folder / "two").mkdir()
    for image in sorted(images.iterdir()):
        sitk.WriteImage(sitk.ReadImage(str(image)), str(folder / "two" / image.name))
        write_second_channel(image, folder / "two")
    return folder


def theirs(model, case, mirrored, float32_sums, folder):
    """nnU-Net's label map of a case; the folder must be new."""
    folds = sorted(path.name.removeprefix("fold_") for path in model.glob("fold_*"))
    contender = nnunet(
        PEERS, model, folds, "checkpoint_final.pth", mirrored=mirrored, float32_sums=float32_sums
    )
    run_all(contender, [case], folder)
    return folder


@pytest.mark.parametrize("mirrored", [True, False], ids=["mirrored", "plain"])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_are_nnunets(kind, mirrored, models, tmp_path):
    (model,) = (models / "nnUNet_results").glob(f"*_{kind}/nnUNetTrainer__*")
    bundle = import_nnunet(model, tmp_path / "bundle", Packaging(fp16=False))
    if not mirrored:
        bundle = replace_manifest(bundle, tuned(bundle.manifest, ["tiling.mirror_axes=[]"]))
    labels = bundle.manifest.output.as_label_set()
    for case in cases_in(models / ("two" if kind == "two_channels" else "images")):
        ours = tmp_path / f"ours-{case.name}"
        run_all(leanseg("ours", bundle.folder, fp32=True), [case], ours)
        for float32_sums, least in LEAST_DICE.items():
            reference = theirs(model, case, mirrored, float32_sums, tmp_path / f"{case.name}-{float32_sums}")
            found = agreement(case, ours, reference, labels)
            assert found.dice, "nothing is labelled, so nothing is compared"
            assert found.mean_dice >= least
