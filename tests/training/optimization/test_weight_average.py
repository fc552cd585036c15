"""The average of a network's weights, by hand."""

import pytest
import torch
from torch import nn

from training.optimization.weight_average import average_decay, update_average


def test_the_first_steps_count_more():
    assert [average_decay(0.5, updates) for updates in (0, 1, 7, 8, 99)] == pytest.approx(
        [1 / 10, 2 / 11, 8 / 17, 0.5, 0.5]
    )


def test_an_update_by_hand():
    average, network = nn.BatchNorm1d(1), nn.BatchNorm1d(1)
    with torch.no_grad():
        average.weight.fill_(1.0)
        network.weight.fill_(2.0)
        network.running_mean.fill_(8.0)
        network.num_batches_tracked.fill_(3)
    update_average(average, network, 0.75)
    assert average.weight.item() == 1.25
    assert average.running_mean.item() == 2.0
    assert average.num_batches_tracked.item() == 3
    assert network.weight.item() == 2.0
