"""One label map of the maps that MONAI would write, one a channel, counted by hand."""

import numpy as np
import pytest

pytest.importorskip("nibabel", reason="MONAI reads and turns images with nibabel")

from eval.verification.monai_program import label_map

CORE, WHOLE, ENHANCING = [0, 1, 1, 0], [1, 1, 1, 0], [0, 0, 1, 0]


@pytest.mark.parametrize(
    ("priority", "ids"),
    [
        ((1, 0, 2), [2, 1, 3, 0]),
        ((0, 1, 2), [2, 2, 3, 0]),
        (None, [2, 2, 3, 0]),
        ((2, 0, 1), [2, 2, 2, 0]),
    ],
)
def test_of_channels_that_are_on_the_last_of_the_order_counts(priority, ids):
    channels = np.array([CORE, WHOLE, ENHANCING], np.float32).reshape(3, 4, 1, 1)
    assert label_map(channels, priority).ravel().tolist() == ids


def test_one_channel_holds_ids():
    ids = label_map(np.array([0.0, 2.0, 5.0], np.float32).reshape(1, 3, 1, 1), None)
    assert (ids.ravel().tolist(), ids.dtype) == ([0, 2, 5], np.uint8)
