"""Means over mirrored copies, axes, windows and members, by hand."""

import itertools

import numpy as np
import pytest

from inference.ensemble import (
    activate,
    finest,
    from_network_axes,
    fuse,
    image_probabilities,
    mirrorings,
    to_network_axes,
    window_probabilities,
)
from model.manifest import Intensity, Member

WINDOW = (8, 10, 12)
ALL_AXES = ["".join(letters) for order in itertools.permutations(("SI", "PA", "LR")) for letters in itertools.product(*order)]


def member(**changes):
    common = {"file": "a.onnx", "spacing_zyx_mm": (2.0, 1.0, 1.0), "window_zyx": WINDOW, "intensity": Intensity(scheme="zscore")}
    return Member(**(common | changes))


class FakeSession:
    """A network given as a function from a window (z, y, x) in its axes to logits (channels, z, y, x)."""

    def __init__(self, function):
        self.function = function
        self.shapes = []

    def run(self, window):
        assert window.dtype == np.float32
        assert window.flags.c_contiguous
        assert window.shape[:2] == (1, 1)
        self.shapes.append(window.shape[2:])
        return self.function(window[0, 0])[None]

    def close(self):
        pass


def constant(*logits):
    return FakeSession(lambda window: np.stack([np.full_like(window, value) for value in logits]))


POINTWISE = FakeSession(lambda window: np.stack([np.zeros_like(window), window]))
"""Sees each voxel alone, so that it commutes with every flip and turn."""


def test_activations():
    logits = np.array([[0.0, 1000.0], [0.0, -1000.0]], np.float32)
    np.testing.assert_array_equal(activate(logits, "softmax"), [[0.5, 1], [0.5, 0]])
    np.testing.assert_array_equal(activate(logits, "sigmoid"), [[0.5, 1], [0.5, 0]])
    assert activate(logits, "softmax").dtype == activate(logits, "sigmoid").dtype == np.float32


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
    assert np.argwhere(turned).tolist() == [[0, 2, 1]]  # Left is where "towards the right" begins; front is where "anterior" ends.


@pytest.mark.parametrize("axes", ["SPL", "RAS", "LPS", "IAR", "AIL"])
@pytest.mark.parametrize("mirror", [(), ("x",), ("z", "y", "x")])
def test_axes_and_mirroring_do_not_matter_to_an_equivariant_network(axes, mirror):
    window = np.random.default_rng(1).normal(size=WINDOW).astype(np.float32)
    expected = activate(np.stack([np.zeros_like(window), window]), "softmax")
    found = window_probabilities(window, member(axes=axes, mirror_axes=mirror), POINTWISE, "softmax")
    np.testing.assert_array_equal(found, expected)


def test_mirroring_averages_probabilities_of_flipped_copies():
    ramp = FakeSession(lambda window: np.stack([np.zeros_like(window), np.broadcast_to(np.arange(12, dtype=np.float32), WINDOW)]))
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


@pytest.mark.parametrize("size", [(20, 11, 30), (1, 10, 12), (3, 40, 5)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_windows_give_what_the_whole_image_gives(size, activation):
    image = np.random.default_rng(2).normal(size=size).astype(np.float32)
    found = image_probabilities(image, member(overlap=0.4), POINTWISE, activation)
    np.testing.assert_array_equal(found, activate(np.stack([np.zeros_like(image), image]), activation))


def test_two_constant_networks_give_the_weighted_mean():
    image = np.zeros((9, 12, 15), np.float32)
    # softmax(0, ln 3) = 1/4, 3/4 and softmax(0, 0) = 1/2, 1/2; weights 3 : 1 -> (3 * 3/4 + 1/2) / 4 = 11/16.
    first, second = constant(0, np.log(3)), constant(0, 0)
    results = [
        (3.0, lambda: image_probabilities(image, member(), first, "softmax")),
        (1.0, lambda: image_probabilities(image, member(), second, "softmax")),
    ]
    np.testing.assert_allclose(fuse(results, image.shape)[1], 11 / 16, rtol=1e-6)


def test_members_on_other_grids_are_interpolated_to_the_finest():
    coarse = np.array([0.0, 1.0], np.float32).reshape(1, 1, 1, 2)
    fine = np.array([0.5, 0.5, 0.5, 0.5], np.float32).reshape(1, 1, 1, 4)
    found = fuse([(1.0, lambda: coarse.copy()), (1.0, lambda: fine.copy())], (1, 1, 4))
    np.testing.assert_allclose(found[0, 0, 0], [0.25, 0.375, 0.625, 0.75])


def test_finest():
    assert finest([member(spacing_zyx_mm=(4.0, 1.0, 1.0)), member(spacing_zyx_mm=(2.0, 1.0, 1.5))]) == (2.0, 1.0, 1.5)
