"""Models of nnU-Net that all tests here share."""

import sys

import pytest
import SimpleITK as sitk

from tests.peers.nnunet_models import KINDS, write_second_channel
from tests.peers.programs import PEERS, call
from tests.places import CROPS

STEPS = 60


@pytest.fixture(scope="session")
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
