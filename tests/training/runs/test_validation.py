"""Validation: Dice per channel, counted only where the truth holds the channel."""

import numpy as np
import torch

from tests.training.tiny import grid_case
from training.runs.validation import case_dice, mean_dice, predict_channels

NAMES = ("background", "liver", "spleen")


class Threshold(torch.nn.Module):
    """Calls liver what is brighter than a half."""

    def forward(self, image):
        return torch.cat([0.5 - image, image - 0.5], dim=1)


def test_a_known_network_is_reconstructed_through_the_windows():
    rng = np.random.default_rng(0)
    image = rng.random((20, 18, 7))
    case = grid_case((image > 0.5).astype(np.uint8), image)
    prediction = predict_channels(Threshold(), case, (8, 8, 8), 0.25, torch.device("cpu"))
    np.testing.assert_array_equal(prediction, case.image > np.float16(0.5))


def test_dice_of_one_case_leaves_out_absent_channels():
    truth = np.array([[[1, 1, 0, 0]]], np.uint8)
    prediction = np.array([[[1, 0, 2, 0]]], np.uint8)
    assert case_dice(prediction, truth, NAMES) == {"liver": 2 / 3}


def test_means_are_over_the_cases_that_have_the_channel():
    scores = [{"liver": 1.0, "spleen": 0.5}, {"liver": 0.5}]
    assert mean_dice(scores, NAMES) == {"liver": 0.75, "spleen": 0.5}
