import numpy as np
import pytest

from inference.geometry import Geometry
from inference.laterality import split_pairs
from model.labels import FLARE23, merged_channels
from model.manifest import Output, PairNames

OUTPUT = Output(
    label_set="flare23",
    labels=dict(FLARE23.ids),
    channels=merged_channels(FLARE23),
    pairs=tuple(PairNames(merged=p.merged, right=p.right, left=p.left) for p in FLARE23.pairs),
)
KIDNEY, AORTA = OUTPUT.channels.index("kidney"), OUTPUT.channels.index("aorta")


@pytest.mark.parametrize("aorta", [True, False])
def test_two_kidneys(aorta):
    channels = np.zeros((20, 30, 60), np.uint8)
    channels[5:15, 12:20, 8:16] = KIDNEY
    channels[5:15, 12:20, 44:52] = KIDNEY
    if aorta:
        channels[:, 8:12, 29:33] = AORTA
    labels = split_pairs(channels, Geometry(size_zyx=(20, 30, 60), spacing_zyx_mm=(3.0, 3.0, 3.0)), OUTPUT)
    assert np.array_equal(labels == FLARE23.ids["right kidney"], (channels == KIDNEY) & (np.arange(60) < 30))
    assert np.array_equal(labels == FLARE23.ids["left kidney"], (channels == KIDNEY) & (np.arange(60) > 30))
    assert np.array_equal(labels == FLARE23.ids["aorta"], channels == AORTA)
