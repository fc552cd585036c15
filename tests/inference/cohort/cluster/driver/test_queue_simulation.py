"""How well the queue keeps many workers at work, told from simulated cohorts."""

import pytest

from tests.inference.cohort.cluster.driver.queue_simulation import Faults, ct_sizes, roughly, simulate


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


def test_faults_cost_what_they_cost_and_nothing_is_lost():
    """A deadly case in a hundred, a failing storage, and workers that are lost once an hour and back in 60 s.

    Two deaths and a worker that is away each time are what a deadly case costs: 20 of them take 4 % here.
    """
    faults = Faults(deadly=0.01, storage=0.01, lost_every_h=1, back_s=60)
    found = simulate(ct_sizes(2000), [10.0] * 20, roughly(), faults)
    assert found.segmented + found.failed == 2000
    assert 10 <= found.failed <= 30
    assert found.harmless_failed == 0, "what was in hand beside a deadly case goes free"
    assert found.lost >= 2 * found.failed
    assert found.hours < 1.25 * found.least_hours


def test_what_storage_fails_once_is_tried_again():
    """Of 1000 cases a tenth fail once, a hundredth twice, and one or so three times, which is for good."""
    found = simulate([10] * 1000, [10.0] * 5, faults=Faults(storage=0.1))
    assert found.failed <= 5
    assert found.lost == 0
