"""The embedded bundle's labels are those of tests/golden/labels, to the voxel."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from inference.imaging.reading import read_volume
from inference.predictor import Predictor
from model.bundle import load_bundle
from tests.places import ROOT, real_data

GOLDEN = ROOT / "tests" / "golden" / "labels"
IMAGES = {
    "phantom": ROOT / "examples" / "phantom" / "imagesTr" / "phantom_0000.nii.gz",
    "ct_abdomen": real_data("ct_abdomen/ct_0000.nii.gz"),
}
CPU = Path("/proc/cpuinfo")
FLAGS = CPU.read_text(encoding="utf-8") if CPU.exists() else ""
SAME_INSTRUCTIONS = " avx512f " in FLAGS and "GenuineIntel" in FLAGS
"""Whether this processor sums as the one that made the files: a library may choose by its maker, too."""
OTHERWISE = 0.001
"""Share of the labelled voxels that another order of summing may change; one thread instead of two changed
0.0008."""


@pytest.fixture(scope="module", params=["openvino", "onnxruntime"])
def predictor(request):
    bundle = load_bundle(ROOT / "bundles" / "default")
    return request.param, Predictor(bundle, device=request.param, threads=2, precision="fp32")


@pytest.mark.parametrize("case", IMAGES)
def test_labels_are_the_golden_ones(predictor, case):
    runtime, predict = predictor[0], predictor[1].predict
    labels = predict(read_volume(IMAGES[case])).labels
    golden = sitk.GetArrayFromImage(sitk.ReadImage(str(GOLDEN / f"{case}-{runtime}.nii.gz")))
    differing = np.count_nonzero(labels != golden)
    assert differing <= (0 if SAME_INSTRUCTIONS else OTHERWISE * np.count_nonzero(golden))
