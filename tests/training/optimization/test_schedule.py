"""Warm-up and cosine at steps that can be worked out by hand."""

import pytest

from training.optimization.schedule import learning_rate
from training.recipes.recipe import Optimizer

OPTIMIZER = Optimizer(steps=6, learning_rate=1.0, warmup_steps=2)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.5), (1, 1.0), (2, 1.0), (3, 0.853553), (4, 0.5), (5, 0.146447), (6, 0.0), (99, 0.0)],
)
def test_rate_of_step(step, rate):
    assert learning_rate(step, OPTIMIZER) == pytest.approx(rate, abs=1e-6)


def test_without_warm_up_it_starts_at_the_peak():
    assert learning_rate(0, Optimizer(steps=10, learning_rate=0.3)) == pytest.approx(0.3)
