"""Scores of a case that can be counted by hand."""

import numpy as np
import pytest

from training.case_scores import channel_scores


def test_scores_of_a_shifted_cube():
    """A cube of 4 voxels, found one voxel too high: Dice 3/4; HD95 one voxel of 2 mm."""
    truth, prediction = np.zeros((2, 10, 10, 10), np.uint8)
    truth[3:7, 3:7, 3:7] = 1
    prediction[4:8, 3:7, 3:7] = 1
    prediction[0, 0, 0] = 2  # what the truth does not hold is not judged
    ((channel, dice, hd95),) = channel_scores(prediction, truth, (2.0, 2.0, 2.0))
    assert (channel, dice, hd95) == (1, 0.75, pytest.approx(2.0))
