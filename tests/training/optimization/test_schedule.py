"""Warm-up and cosine at steps that can be worked out by hand."""

import pytest

from training.optimization.schedule import learning_rate, scaled_learning_rate, warm_up_steps
from training.recipes.schedule_options import ConstantSchedule, PolynomialSchedule, WarmupCosineSchedule

WARM = WarmupCosineSchedule(warmup_steps=2)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.5), (1, 1.0), (2, 1.0), (3, 0.853553), (4, 0.5), (5, 0.146447), (6, 0.0), (99, 0.0)],
)
def test_rate_of_step(step, rate):
    assert learning_rate(step, 1.0, WARM, steps=6, warm_up=2) == pytest.approx(rate, abs=1e-6)


def test_without_warm_up_it_starts_at_the_peak():
    assert learning_rate(0, 0.3, WarmupCosineSchedule(), steps=10) == pytest.approx(0.3)


def test_the_schedule_stretches_over_the_run():
    # A quarter of the cosine, whatever the number of steps.
    for steps in (8, 800):
        rate = learning_rate(steps // 4, 1.0, WarmupCosineSchedule(), steps)
        assert rate == pytest.approx((1 + 2**0.5 / 2) / 2)


def test_a_run_that_ends_in_its_warm_up_only_rises():
    schedule = WarmupCosineSchedule(warmup_steps=10)
    rates = [learning_rate(step, 1.0, schedule, steps=4, warm_up=10) for step in range(4)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_warm_up_can_be_stated_in_epochs():
    assert warm_up_steps(WarmupCosineSchedule(warmup_epochs=0.5), epoch_steps=4) == 2
    assert warm_up_steps(WARM, epoch_steps=4) == 2
    assert warm_up_steps(PolynomialSchedule(), epoch_steps=4) == 0


def test_polynomial_decay_by_epochs():
    schedule = PolynomialSchedule()
    rates = [learning_rate(step, 0.01, schedule, 8, epoch_start=step // 2 * 2) for step in range(9)]
    # (1 - e/4)^0.9 in epoch e of 4, two steps each.
    by_hand = [0.01, 0.01 * 0.75**0.9, 0.01 * 0.5**0.9, 0.01 * 0.25**0.9]
    assert rates == pytest.approx([rate for rate in by_hand for _ in range(2)] + [0.0])


def test_a_constant_rate():
    assert {learning_rate(step, 0.3, ConstantSchedule(), 5) for step in range(9)} == {0.3}


@pytest.mark.parametrize(("rule", "expected"), [("none", 0.01), ("linear", 0.04), ("square_root", 0.02)])
def test_the_learning_rate_follows_the_batch(rule, expected):
    assert scaled_learning_rate(0.01, 2, 8, rule) == pytest.approx(expected)
