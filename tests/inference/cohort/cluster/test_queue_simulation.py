"""How well the queue keeps many workers at work, told from simulated cohorts."""

import pytest

from tests.inference.cohort.cluster.queue_simulation import ct_sizes, roughly, simulate


@pytest.mark.parametrize(
    ("seconds_each", "most"),
    [
        ([10.0] * 20, 1.02),
        ([10.0] * 10 + [20.0] * 10, 1.03),
        ([10.0] * 10 + [300.0] * 10, 1.15),
    ],
    ids=["alike", "two kinds", "GPUs and CPUs"],
)
def test_a_cohort_takes_hardly_longer_than_it_must(seconds_each, most):
    found = simulate(ct_sizes(2000), seconds_each, roughly())
    assert found.least_hours <= found.hours < most * found.least_hours
    assert found.most_in_hand <= 3 * len(seconds_each)


def test_one_slow_worker_does_not_hold_up_the_end():
    """It is tried with one case, which takes it 1000 s, and is given no other."""
    found = simulate([10] * 10, [10.0, 1000.0])
    assert found.hours * 3600 == pytest.approx(1000)
