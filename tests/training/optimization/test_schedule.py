"""Warm-up and cosine at steps that can be worked out by hand."""

import pytest

from training.optimization.schedule import learning_rate
from training.recipes.schedule_options import WarmupCosineSchedule

WARM = WarmupCosineSchedule(warmup_steps=2)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.5), (1, 1.0), (2, 1.0), (3, 0.853553), (4, 0.5), (5, 0.146447), (6, 0.0), (99, 0.0)],
)
def test_rate_of_step(step, rate):
    assert learning_rate(step, 1.0, WARM, steps=6) == pytest.approx(rate, abs=1e-6)


def test_without_warm_up_it_starts_at_the_peak():
    assert learning_rate(0, 0.3, WarmupCosineSchedule(), steps=10) == pytest.approx(0.3)


def test_the_schedule_stretches_over_the_run():
    # A quarter of the cosine, whatever the number of steps.
    for steps in (8, 800):
        rate = learning_rate(steps // 4, 1.0, WarmupCosineSchedule(), steps)
        assert rate == pytest.approx((1 + 2**0.5 / 2) / 2)


def test_a_run_that_ends_in_its_warm_up_only_rises():
    rates = [learning_rate(step, 1.0, WarmupCosineSchedule(warmup_steps=10), steps=4) for step in range(4)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4])
