"""When a run is taken for done, on curves whose truth is known."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

from training.runs.convergence import Monitor, upper_slope


@dataclass(frozen=True, kw_only=True)
class Options:
    epochs: int = 1000
    window_epochs: int = 50
    slope_per_epoch: float = 3e-5
    anneal_epochs: int = 20


def curve(tau, epochs=980):
    """Dice of a network that learns exponentially, from 0.6 to 0.9."""
    return 0.9 - 0.3 * np.exp(-np.arange(1, epochs + 1) / tau)


def seen(truth, noise, seed):
    """What a few validation cases make of it."""
    return truth + np.random.default_rng((seed, 7)).normal(0, noise, len(truth))


def end_by_bound(dice):
    """Index of the epoch at which the monitor lets the learning rate decay."""
    monitor = Monitor(Options())
    for index, value in enumerate(dice):
        monitor.add(index + 1, value, 1.05 - value)
        if monitor.verdict() != "go on":
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


def flat(monitor, first, last, dice=0.9, loss=None):
    for epoch in range(first, last + 1):
        monitor.add(epoch, dice, None if loss is None else loss(epoch))


def test_a_flat_curve_is_annealed_once_it_fills_the_window_then_done():
    monitor = Monitor(Options(window_epochs=50, anneal_epochs=20))
    assert monitor.verdict() == "go on"
    flat(monitor, 1, 49)
    assert monitor.verdict() == "go on"
    assert monitor.why == "epoch 49: too few validations to judge by"
    flat(monitor, 50, 50)
    assert (monitor.verdict(), monitor.anneal_from) == ("anneal", 50)
    assert monitor.why == (
        "epoch 50: over the last 50 epochs Dice rises by 0.000000 an epoch at most (95% sure), not above the "
        "limit of 0.000030"
    )
    flat(monitor, 51, 69)
    assert monitor.verdict() == "anneal"
    flat(monitor, 70, 70)
    assert monitor.verdict() == "done"


def test_a_loss_that_still_falls_keeps_a_flat_dice_going():
    monitor = Monitor(Options())
    flat(monitor, 1, 60, loss=lambda epoch: 1 - 0.005 * epoch)
    assert monitor.verdict() == "go on"
    assert "but the loss still falls by up to 0.6" in monitor.why


def test_a_rising_curve_ends_when_the_epochs_do():
    monitor = Monitor(Options(epochs=100, anneal_epochs=20))
    for epoch in range(1, 101):
        monitor.add(epoch, 0.005 * epoch)
        expected = "go on" if epoch < 80 else "anneal" if epoch < 100 else "done"
        assert monitor.verdict() == expected
    assert "100 epochs at most, of which the last 20" in monitor.why


@pytest.mark.parametrize(("epochs", "first"), [(30, 10), (20, 1), (4, 1)])
def test_a_stage_has_epochs_of_its_own(epochs, first):
    """Of 30, the last 20 are for the decay; 20 and 4 leave none to wait in."""
    monitor = Monitor(Options(epochs=100, anneal_epochs=20), epochs)
    for epoch in range(1, first + 1):
        assert monitor.verdict() == "go on"
        monitor.add(epoch, 0.005 * epoch)
    assert (monitor.verdict(), monitor.anneal_from) == ("anneal", first)
    assert f"{epochs} epochs at most, of which the last 20" in monitor.why


def test_few_validations_are_no_proof():
    monitor = Monitor(Options(window_epochs=50))
    for epoch in range(10, 71, 10):
        monitor.add(epoch, 0.9)
    assert monitor.verdict() == "go on"


def test_epochs_only_rise():
    monitor = Monitor(Options())
    monitor.add(3, 0.5)
    with pytest.raises(ValueError, match="epoch 3 comes after epoch 3"):
        monitor.add(3, 0.6)
