"""One window through one network: axes and mirrored copies, by hand."""

import itertools

import numpy as np
import pytest

from inference.sliding_window.one_window import (
    activate,
    from_network_axes,
    mirrorings,
    to_network_axes,
    window_probabilities,
)
from tests.inference.fakes import WINDOW, FakeSession, constant, member, pointwise

ALL_AXES = [
    "".join(letters)
    for order in itertools.permutations(("SI", "PA", "LR"))
    for letters in itertools.product(*order)
]


def test_activations():
    logits = np.array([[0.0, 1000.0], [0.0, -1000.0]], np.float32).reshape(2, 1, 1, 2)
    for activation in ("softmax", "sigmoid"):
        probabilities = activate(logits.copy(), activation)
        assert probabilities.dtype == np.float32
        np.testing.assert_array_equal(probabilities[:, 0, 0], [[0.5, 1], [0.5, 0]])


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
    expected = activate(np.stack([np.zeros_like(window), window]), "softmax")
    found = window_probabilities(window, member(axes=axes, mirror_axes=mirror), pointwise(), "softmax")
    np.testing.assert_array_equal(found, expected)


def test_mirroring_averages_probabilities_of_flipped_copies():
    ramp = FakeSession(
        lambda window: np.stack(
            [np.zeros_like(window), np.broadcast_to(np.arange(12, dtype=np.float32), WINDOW)]
        )
    )
    found = window_probabilities(np.zeros(WINDOW, np.float32), member(mirror_axes=("x",)), ramp, "softmax")
    once = 1 / (1 + np.exp(-np.arange(12.0)))
    np.testing.assert_allclose(found[1, 3, 3], (once + once[::-1]) / 2, rtol=1e-6)


def test_mirrorings():
    assert mirrorings([0, 1]) == [(), (0,), (1,), (0, 1)]
    assert mirrorings([]) == [()]
    assert len(mirrorings([0, 1, 2])) == 8


def test_the_network_gets_its_own_axis_order():
    session = constant(0, 1)
    window_probabilities(np.zeros(WINDOW, np.float32), member(axes="RAS"), session, "softmax")
    assert session.shapes == [(12, 10, 8)]
