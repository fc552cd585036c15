"""One window through one network: axes and mirrored copies, by hand."""

import itertools

import numpy as np
import pytest

from inference.errors import NetworkError
from inference.sliding_window.one_window import (
    activate,
    from_network_axes,
    mirrorings,
    to_network_axes,
    window_scores,
)
from inference.threads import ONE_THREAD, Threads
from tests.inference.fakes import WINDOW, FakeSession, constant, member, pointwise, rule_for

ALL_AXES = [
    "".join(letters)
    for order in itertools.permutations(("SI", "PA", "LR"))
    for letters in itertools.product(*order)
]


def scores_of(window, member, session, scores="probabilities"):
    return window_scores(window[None], member, session, rule_for(channels=2, scores=scores), ONE_THREAD)


def test_activations():
    logits = np.array([[0.0, 1000.0], [0.0, -1000.0]], np.float32).reshape(2, 1, 1, 2)
    for softmax in (True, False):
        probabilities = activate(logits.copy(), softmax, ONE_THREAD)
        assert probabilities.dtype == np.float32
        np.testing.assert_array_equal(probabilities[:, 0, 0], [[0.5, 1], [0.5, 0]])


@pytest.mark.parametrize("softmax", [True, False])
def test_activations_have_the_same_bits_however_many_threads_work(softmax):
    logits = np.random.default_rng(0).normal(0, 9, (5, 11, 6, 7)).astype(np.float32)
    one, two, three = (activate(logits.copy(), softmax, Threads(count)) for count in (1, 2, 3))
    np.testing.assert_array_equal(two, one)
    np.testing.assert_array_equal(three, one)


@pytest.mark.parametrize(
    "values", [(np.nan, 8), (np.inf, 8), (-np.inf, 8), (np.inf, -np.inf)], ids=lambda v: f"{v[0]} {v[1]}"
)
def test_values_that_are_not_finite_are_no_scores(values):
    """One or two of 1920 values; their voxels would count as background."""
    spoiled = FakeSession(
        lambda window: np.stack(
            [window, np.where(window == 7, values[0], np.where(window == 8, values[1], window))]
        )
    )
    window = np.arange(np.prod(WINDOW), dtype=np.float32).reshape(WINDOW)
    with pytest.raises(NetworkError, match=r"network a\.onnx gives values that are not finite"):
        scores_of(window, member(), spoiled)


def test_there_are_48_axis_codes():
    assert len(set(ALL_AXES)) == 48


@pytest.mark.parametrize("axes", ALL_AXES)
def test_axes_there_and_back(axes):
    window = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    turned = to_network_axes(window, axes)
    np.testing.assert_array_equal(from_network_axes(turned, axes), window)
    many = np.stack([window, -window])
    np.testing.assert_array_equal(from_network_axes(to_network_axes(many, axes), axes), many)


def test_axes_by_hand():
    window = np.zeros((2, 3, 4), np.float32)
    window[1, 0, 3] = 1  # Top, front, left.
    turned = to_network_axes(window, "RAS")
    assert turned.shape == (4, 3, 2)
    assert np.argwhere(turned).tolist() == [
        [0, 2, 1]
    ]  # Left is where "towards the right" begins; front is where "anterior" ends.


@pytest.mark.parametrize("axes", ["SPL", "RAS", "LPS", "IAR", "AIL"])
@pytest.mark.parametrize("mirror", [(), ("x",), ("z", "y", "x")])
def test_axes_and_mirroring_do_not_matter_to_an_equivariant_network(axes, mirror):
    window = np.random.default_rng(1).normal(size=WINDOW).astype(np.float32)
    logits = np.stack([np.zeros_like(window), window])
    turned = member(axes=axes, mirror_axes=mirror)
    np.testing.assert_array_equal(scores_of(window, turned, pointwise(), "logits"), logits)
    expected = activate(logits, True, ONE_THREAD)
    np.testing.assert_array_equal(scores_of(window, turned, pointwise()), expected)


def test_mirroring_averages_probabilities_of_flipped_copies():
    ramp = FakeSession(
        lambda window: np.stack(
            [np.zeros_like(window), np.broadcast_to(np.arange(12, dtype=np.float32), WINDOW)]
        )
    )
    found = scores_of(np.zeros(WINDOW, np.float32), member(mirror_axes=("x",)), ramp)
    once = 1 / (1 + np.exp(-np.arange(12.0)))
    np.testing.assert_allclose(found[1, 3, 3], (once + once[::-1]) / 2, rtol=1e-6)
    found = scores_of(np.zeros(WINDOW, np.float32), member(mirror_axes=("x",)), ramp, "logits")
    np.testing.assert_array_equal(found[1, 3, 3], [5.5] * 12)  # 0 and 11, 1 and 10 …: always 11 together.


def test_mirrorings():
    assert mirrorings([0, 1]) == [(), (0,), (1,), (0, 1)]
    assert mirrorings([]) == [()]
    assert len(mirrorings([0, 1, 2])) == 8


def test_the_network_gets_its_own_axis_order():
    session = constant(0, 1)
    scores_of(np.zeros(WINDOW, np.float32), member(axes="RAS"), session)
    assert session.shapes == [(12, 10, 8)]


def test_a_network_sees_all_channels_turned_alike():
    seen = []

    class Watches:
        def run(self, window):
            seen.append(window.copy())
            return window

        def close(self):
            pass

    window = np.random.default_rng(3).normal(size=(2, *WINDOW)).astype(np.float32)
    found = window_scores(
        window, member(axes="RAS"), Watches(), rule_for(channels=2, scores="logits"), ONE_THREAD
    )
    np.testing.assert_array_equal(found, window)
    (given,) = seen
    assert given.shape == (1, 2, 12, 10, 8)
    np.testing.assert_array_equal(given[0, 1], to_network_axes(window[1], "RAS"))
