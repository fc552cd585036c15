"""Bundles of MONAI's models give the labels of MONAI's own transforms, networks and sliding windows."""

import copy
import shutil
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk

from eval.verification.comparison import agreement, run_all
from eval.verification.contenders import cases_in, leanseg, monai
from model.importers.monai.importing import import_monai, write_monai_config
from model.importers.packaging import Packaging
from model.manifest.output import Sigmoid
from tests.model.importers.monai.monai_models import SMALL, write_auto3dseg, write_zoo_bundle
from tests.places import CROPS

LEAST_DICE = 0.999
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore"),
]
pytest.importorskip("nibabel", reason="MONAI reads and turns images with nibabel")

MR = {
    "modality": "mri",
    "normalize_mode": "meanstd",
    "resample": False,
    "input_channels": 1,
}


@pytest.fixture
def images(tmp_path):
    """Crops of real images; the second one stored with its rows to the left and its slices to the feet."""
    folder = tmp_path / "images"
    folder.mkdir()
    ct = sitk.ReadImage(str(CROPS / "ct_abdomen/ct_0000.nii.gz"))
    sitk.WriteImage(ct[10:70, 20:70], str(folder / "ct_0000.nii.gz"))
    sarcoma = sitk.ReadImage(str(CROPS / "ct_sarcoma/STS_002/ct_0000.nii.gz"))
    sitk.WriteImage(sitk.Flip(sarcoma, (True, False, True)), str(folder / "flipped_0000.nii.gz"))
    return folder


def check(model, images, folder, priority=()):
    """Import a model and compare labels, case by case."""
    bundle = import_monai(model, folder / "bundle", Packaging(fp16=False), priority=priority)
    activation = bundle.manifest.output.activation
    order = activation.priority if isinstance(activation, Sigmoid) else None
    config = write_monai_config(model, (), None, folder, order)
    cases = cases_in(images)
    run_all(monai(Path(sys.executable), config), cases, folder / "theirs")
    run_all(leanseg("ours", bundle.folder, fp32=True), cases, folder / "ours")
    for case in cases:
        found = agreement(case, folder / "ours", folder / "theirs", bundle.manifest.output.as_label_set())
        assert found.dice, "nothing is labelled, so nothing is compared"
        assert found.mean_dice >= LEAST_DICE
        assert found.differing < 1e-3 * found.voxels


@pytest.mark.parametrize(
    ("changes", "priority"),
    [
        pytest.param({"resample_resolution": [2.0, 3.0, 5.0]}, (), id="ct"),
        pytest.param(
            {"orientation_ras": False, "resample": False, "crop_foreground": False}, (), id="as stored"
        ),
        pytest.param({"sigmoid": True, "output_classes": 3}, ("spleen", "stomach", "liver"), id="sigmoid"),
    ],
)
def test_auto3dseg(changes, priority, images, tmp_path):
    check(write_auto3dseg(tmp_path / "work", **changes), images, tmp_path, priority)


def test_auto3dseg_on_mr(tmp_path):
    """On MR, where only voxels that are not 0 count, and are changed; in the image's own grid.

    Resampled, it is rounding that says whether a voxel beside the background is 0: MONAI takes 1e-13 of its
    neighbour where a voxel lies on another's place, and counts that. `docs/decisions/importing.md` says how
    much this is.
    """
    images = tmp_path / "images"
    images.mkdir()
    shutil.copy(CROPS / "mr_abdomen/mr_0000.nii.gz", images)
    check(write_auto3dseg(tmp_path / "work", **MR), images, tmp_path)


def test_a_small_bundle_of_the_zoo(images, tmp_path):
    check(write_zoo_bundle(tmp_path / "zoo", SMALL), images, tmp_path)


def test_spleen_ct_segmentation(images, tmp_path):
    check(write_zoo_bundle(tmp_path / "spleen"), images, tmp_path)


def test_normalized_before_it_is_resampled(images, tmp_path):
    config = copy.deepcopy(SMALL)
    steps = config["preprocessing"]["transforms"]
    config["preprocessing"]["transforms"] = [*steps[:3], steps[4], steps[3], steps[5]]
    check(write_zoo_bundle(tmp_path / "zoo", config), images, tmp_path)


@pytest.mark.parametrize("spacing_first", [True, False])
def test_scaled_by_its_lowest_and_highest_voxel(spacing_first, images, tmp_path):
    """The lowest and the highest voxel are others before and after `Spacing`."""
    config = copy.deepcopy(SMALL)
    load, channel, turn, spacing, _, typed = config["preprocessing"]["transforms"]
    scale = {"_target_": "ScaleIntensityd", "keys": "image"}
    in_order = [spacing, scale] if spacing_first else [scale, spacing]
    config["preprocessing"]["transforms"] = [load, channel, turn, *in_order, typed]
    check(write_zoo_bundle(tmp_path / "zoo", config), images, tmp_path)
