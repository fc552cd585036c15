"""When a run is taken for done, on curves whose truth is known."""

from itertools import product

import numpy as np
import pytest

from training.recipes.stopping_options import Converged
from training.runs.convergence import upper_slope, why_decay

OPTIONS = Converged(epochs=1000, window_epochs=50, slope_per_epoch=3e-5, anneal_epochs=20)


def curve(tau, epochs=980):
    """Dice of a network that learns exponentially, from 0.6 to 0.9."""
    return 0.9 - 0.3 * np.exp(-np.arange(1, epochs + 1) / tau)


def seen(truth, noise, seed):
    """What a few validation cases make of it."""
    return truth + np.random.default_rng((seed, 7)).normal(0, noise, len(truth))


def end_by_bound(dice):
    """Index of the epoch at which the monitor lets the learning rate decay."""
    watched = []
    for index, value in enumerate(dice):
        watched.append((index + 1, value, 1.05 - value))
        if why_decay(watched, OPTIONS, index + 1, OPTIONS.epochs):
            break
    return index


def end_by_patience(dice, patience=5):
    """Index of the epoch after which so many others brought no new best."""
    best, waited = -1.0, 0
    for index, value in enumerate(dice):  # noqa: B007 - returned
        best, waited = (value, 0) if value > best else (best, waited + 1)
        if waited == patience:
            break
    return index


def points_lost(truth, end):
    """Percent of Dice between where it ended and where it would have come to."""
    return 100 * (truth[-1] - truth[end])


CURVES = list(product((10, 20, 40), (0.002, 0.005, 0.01), range(4)))


@pytest.mark.parametrize(("tau", "noise", "seed"), CURVES)
def test_the_bound_loses_at_most_a_tenth_of_a_point(tau, noise, seed):
    truth = curve(tau)
    end = end_by_bound(seen(truth, noise, seed))
    assert points_lost(truth, end) <= 0.1
    assert end < 0.7 * len(truth)


def test_patience_takes_noise_for_the_end():
    """Of 100 quick learners, whose noise is 0.3 points, patience 5 costs one 1.8 points, the mean 0.75."""
    truth = curve(15)
    lost = [points_lost(truth, end_by_patience(seen(truth, 0.003, seed))) for seed in range(100)]
    assert max(lost) == pytest.approx(1.82, abs=0.01)
    assert np.mean(lost) == pytest.approx(0.75, abs=0.01)
    assert points_lost(truth, end_by_bound(seen(truth, 0.003, 0))) <= 0.1


def test_the_slope_of_points_on_a_line_has_no_doubt():
    assert upper_slope([0, 1, 2], [1, 3, 5]) == pytest.approx(2)


def test_the_doubt_about_a_slope_by_hand():
    """Residuals ±1 about a level line: their squares sum to 4 over 2 degrees of freedom, x's spread is 5.

    The slope of (1, -1, -1, 1) is 0, and Student's 95 % with 2 degrees of freedom is 2.920.
    """
    assert upper_slope([0, 1, 2, 3], [1, -1, -1, 1]) == pytest.approx(2.920 * np.sqrt(4 / 2 / 5), rel=1e-3)


def flat(epochs, loss=lambda epoch: 1.0):
    """A validation after each of so many epochs, all of one Dice."""
    return [(epoch, 0.9, loss(epoch)) for epoch in range(1, epochs + 1)]


def test_a_flat_curve_decays_once_it_fills_the_window():
    assert why_decay([], OPTIONS, 0, 1000) is None
    assert why_decay(flat(49), OPTIONS, 49, 1000) is None
    assert why_decay(flat(50), OPTIONS, 50, 1000) == (
        "epoch 50: over the last 50 epochs Dice rises by 0.000000 an epoch at most (95% sure), not above the "
        "limit of 0.000030"
    )


def test_a_loss_that_still_falls_keeps_a_flat_dice_going():
    """By 0.6 % of itself an epoch, where 0.03 % would do."""
    assert why_decay(flat(60, lambda epoch: 1 - 0.005 * epoch), OPTIONS, 60, 1000) is None


def test_a_rising_curve_decays_when_what_is_left_is_needed_for_it():
    rising = [(epoch, 0.005 * epoch, 1.0) for epoch in range(1, 81)]
    assert why_decay(rising[:79], OPTIONS, 79, 100) is None
    told = "epoch 80: 100 epochs at most, of which the last 20 are for the decay of the learning rate"
    assert why_decay(rising, OPTIONS, 80, 100) == told
    assert why_decay(rising[:75], OPTIONS, 80, 100) == told  # Between two validations.


@pytest.mark.parametrize(("most", "first"), [(30, 10), (20, 0), (4, 0)])
def test_a_stage_has_epochs_of_its_own(most, first):
    """Of 30, the last 20 are for the decay; 20 and 4 leave none to wait in."""
    rising = [(epoch, 0.005 * epoch, 1.0) for epoch in range(1, first + 1)]
    assert [why_decay(rising[:epoch], OPTIONS, epoch, most) for epoch in range(first)] == [None] * first
    assert f"{most} epochs at most, of which the last 20" in why_decay(rising, OPTIONS, first, most)


def test_few_validations_are_no_proof():
    assert why_decay([(epoch, 0.9, 1.0) for epoch in range(10, 71, 10)], OPTIONS, 70, 1000) is None
