"""The embedded bundle's labels are those of tests/golden/labels, to the voxel."""

import numpy as np
import pytest
import SimpleITK as sitk

from inference.imaging.reading import read_volume
from inference.predictor import Predictor
from model.bundle import load_bundle
from tests.places import ROOT, real_data
from tests.processors import AS_GOLDEN

GOLDEN = ROOT / "tests" / "golden" / "labels"
IMAGES = {
    "phantom": ROOT / "examples" / "phantom" / "imagesTr" / "phantom_0000.nii.gz",
    "ct_abdomen": real_data("ct_abdomen/ct_0000.nii.gz"),
}
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
    assert differing <= (0 if AS_GOLDEN else OTHERWISE * np.count_nonzero(golden))
