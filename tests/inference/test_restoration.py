"""Interpolate, then decide: against a computation voxel by voxel."""

import itertools

import numpy as np
import pytest

from inference import restoration
from inference.restoration import axis_positions, decide, interpolate, restore


def by_hand(probabilities, size, activation):
    """All class probabilities at each input voxel from its eight neighbours, in float64, then the winner."""
    out = np.zeros(size, np.uint8)
    grid = probabilities.shape[1:]
    for voxel in itertools.product(*map(range, size)):
        value = np.zeros(probabilities.shape[0])
        at = [min(max((i + 0.5) * m / n - 0.5, 0), m - 1) for i, n, m in zip(voxel, size, grid, strict=True)]
        for corner in itertools.product((0, 1), repeat=3):
            index = [min(int(p) + c, m - 1) for p, c, m in zip(at, corner, grid, strict=True)]
            weight = np.prod([p % 1 if c else 1 - p % 1 for p, c in zip(at, corner, strict=True)])
            value += weight * probabilities[(slice(None), *index)]
        if activation == "softmax":
            out[voxel] = value.argmax()
        else:
            on = np.flatnonzero(value > 0.5)
            out[voxel] = on[-1] + 1 if len(on) else 0
    return out


def test_positions_by_hand():
    up = axis_positions(2, 4)
    assert up.low.tolist() == [0, 0, 0, 1]
    assert up.high.tolist() == [0, 1, 1, 1]
    assert up.share.tolist() == [0, 0.25, 0.75, 0]
    down = axis_positions(4, 2)
    assert (down.low.tolist(), down.share.tolist()) == ([0, 2], [0.5, 0.5])
    one = axis_positions(1, 3)
    assert one.low.tolist() == one.high.tolist() == [0, 0, 0]


def test_positions_stay_inside():
    for size_in, size_out in itertools.product((1, 2, 3, 7, 100, 333), repeat=2):
        positions = axis_positions(size_in, size_out)
        assert positions.low.min() >= 0
        assert positions.high.max() <= size_in - 1
        assert positions.share.min() >= 0
        assert positions.share.max() < 1
        assert np.all(positions.high - positions.low <= 1)


SIZES = [((4, 5, 6), (9, 7, 13)), ((9, 8, 7), (4, 5, 3)), ((3, 9, 5), (8, 4, 5)), ((1, 6, 6), (5, 9, 3)), ((5, 4, 4), (1, 1, 1))]


@pytest.mark.parametrize(("grid", "size"), SIZES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_equals_the_computation_voxel_by_voxel(grid, size, activation, monkeypatch):
    random = np.random.default_rng(sum(grid))
    probabilities = random.random((4, *grid)).astype(np.float32)
    if activation == "softmax":
        probabilities /= probabilities.sum(axis=0)
    expected = by_hand(probabilities, size, activation)
    np.testing.assert_array_equal(restore(probabilities, size, activation), expected)
    monkeypatch.setattr(restoration, "SLAB_VOXELS", 1)
    np.testing.assert_array_equal(restore(probabilities, size, activation), expected)


def test_same_size_changes_nothing():
    probabilities = np.random.default_rng(0).random((3, 4, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(interpolate(probabilities, (4, 5, 6)), probabilities)
    np.testing.assert_array_equal(restore(probabilities, (4, 5, 6), "softmax"), probabilities.argmax(axis=0))


def test_decide_by_hand():
    probabilities = np.array([[0.5, 0.2, 0.4], [0.5, 0.3, 0.6], [0.0, 0.5, 0.7]], np.float32)
    assert decide(probabilities, "softmax").tolist() == [0, 2, 2]
    assert decide(probabilities, "sigmoid").tolist() == [0, 0, 3]
