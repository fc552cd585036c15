"""Channels of whole cases from windows, held against MONAI's own sliding window."""

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from tests.training.tiny import grid_case
from training.runs.case_windows import predict_channels


class Threshold(torch.nn.Module):
    """Calls liver what is brighter than a half."""

    def forward(self, image):
        return torch.cat([0.5 - image, image - 0.5], dim=1)


def test_a_known_network_is_reconstructed_through_the_windows():
    rng = np.random.default_rng(0)
    image = rng.random((20, 18, 7))
    case = grid_case((image > 0.5).astype(np.uint8), image)
    prediction = predict_channels(Threshold(), case, (8, 8, 8), 0.25, torch.device("cpu"))
    np.testing.assert_array_equal(prediction, case.image[0] > np.float16(0.5))


def test_a_window_larger_than_the_image_is_padded():
    image = np.full((4, 5, 6), 0.9)
    prediction = predict_channels(
        Threshold(), grid_case(np.ones((4, 5, 6), np.uint8), image), (8, 8, 8), 0.25, torch.device("cpu")
    )
    assert prediction.shape == (4, 5, 6)
    assert prediction.all()


def test_a_case_shorter_than_the_window_may_be_seen_with_its_end_slices_repeated():
    class Seen(torch.nn.Module):
        """Names what the top slice of its window shows."""

        def forward(self, image):
            top = image[:, :, :1].expand(image.shape)
            return torch.cat([1 - top, top, *[image * 0 - 9] * 3], dim=1)

    image = np.stack([np.full((5, 6), 0.9), np.full((5, 6), 0.1)])
    case = grid_case(np.zeros((2, 5, 6), np.uint8), image)
    for padding, named in (("zeros", 0), ("end_slices", 1)):
        found = predict_channels(Seen(), case, (8, 8, 8), 0.0, torch.device("cpu"), padding=padding)
        assert found.tolist() == np.full((2, 5, 6), named).tolist()


@pytest.mark.parametrize("windows_at_a_time", [1, 3])
@pytest.mark.parametrize(
    ("size_zyx", "overlap"),
    [
        pytest.param((23, 17, 9), 0.5, id="the last window moved back"),
        pytest.param((24, 16, 8), 0.25, id="whole strides"),
        pytest.param((31, 8, 8), 0.0, id="windows that do not overlap"),
        pytest.param((20, 5, 13), 0.7, id="narrower than a window"),
        pytest.param((8, 8, 8), 0.5, id="as large as a window"),
        pytest.param((3, 2, 11), 0.5, id="lower than a window"),
    ],
)
def test_channels_are_those_of_monai(size_zyx, overlap, windows_at_a_time):
    torch.manual_seed(5)
    network = torch.nn.Conv3d(
        1, 4, 5, padding=2
    )  # Sees zeros at a window's edge: windows differ where they overlap.
    image = np.random.default_rng(2).random(size_zyx).astype(np.float32)
    case = grid_case(np.zeros(size_zyx, np.uint8), image)
    with torch.inference_mode():
        found = predict_channels(network, case, (8, 8, 8), overlap, torch.device("cpu"), windows_at_a_time)
        scores = sliding_window_inference(
            torch.from_numpy(case.image[:].astype(np.float32))[None],
            (8, 8, 8),
            1,
            network,
            overlap=overlap,
            mode="gaussian",
        )
    assert len(np.unique(found)) == 4
    np.testing.assert_array_equal(found, scores[0].argmax(0))
