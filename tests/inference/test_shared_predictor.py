"""One predictor in several threads: each gets the labels of its own image."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from inference.predictor import Predictor
from tests.inference.bundles import abdomen, hu, make_bundle
from tests.inference.small_cases import volume_of

SPACING = (2.5, 1.5, 1.0)


@pytest.mark.parametrize("device", ["onnxruntime", "openvino"])
def test_each_thread_gets_the_labels_of_its_own_image(device, tmp_path):
    """Two images, the second one the first upside down; each four times, two at a time."""
    pytest.importorskip(device)
    upright = abdomen((24, 80, 96))
    truths = [upright, np.ascontiguousarray(upright[::-1])] * 4
    predictor = Predictor(make_bundle(tmp_path / "b"), device=device, threads=1)
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda truth: predictor.predict(volume_of(hu(truth), SPACING)).labels, truths)
        for labels, truth in zip(found, truths, strict=True):
            np.testing.assert_array_equal(labels, truth)
    predictor.close()
