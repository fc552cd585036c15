"""Streams that are given out again, and streams that were cleaned."""

import numpy as np
import pytest

from inference.sliding_window.streams import Cleaned, Kept, Mean, Restored
from inference.threads import ONE_THREAD


class FakeStream:
    weight = 1.0
    spacing_zyx_mm = (1.0, 1.0, 1.0)

    def __init__(self, probabilities):
        self.probabilities = probabilities
        self.grid_zyx = probabilities.shape[1:]
        self.asked = 0

    def slabs(self, first, stop):
        self.asked += 1
        for z in range(first, stop, 2):
            yield self.probabilities[:, z : min(z + 2, stop)].copy()


def test_kept_gives_out_again_what_it_saw():
    stream = FakeStream(np.random.default_rng(0).random((3, 7, 2, 2)).astype(np.float32))
    kept = Kept(stream)
    seen = np.concatenate(list(kept.slabs(0, 7)), axis=1)
    again = np.concatenate(list(kept.slabs(2, 6)), axis=1)
    np.testing.assert_array_equal(seen, stream.probabilities)
    np.testing.assert_array_equal(again, stream.probabilities[:, 2:6])
    assert stream.asked == 1


def test_logits_are_interpolated_before_they_become_probabilities():
    """From two slices to four, 0 and 4 of the second class become 0, 1, 3, 4; the first one's are 0."""
    logits = np.zeros((2, 2, 1, 1), np.float32)
    logits[1, 1] = 4
    shape = {"along": ("linear",) * 3, "channels": 2, "threads": ONE_THREAD}
    expected = 1 / (1 + np.exp([0.0, -1, -3, -4]))
    restored = Restored(FakeStream(logits), (4, 1, 1), (1.0, 2.0, 2.0), softmax=True, **shape)
    (slab,) = restored.slabs(0, 4)
    np.testing.assert_allclose(slab[:, :, 0, 0], [1 - expected, expected], atol=1e-6)
    apart = Restored(FakeStream(logits), (4, 1, 1), (1.0, 2.0, 2.0), softmax=False, **shape)
    (slab,) = apart.slabs(1, 3)
    np.testing.assert_allclose(slab[:, :, 0, 0], [[0.5, 0.5], expected[1:3]], atol=1e-6)


class OneBuffer(FakeStream):
    """Gives out each slab in the memory of the one before it, as a group of networks does."""

    def __init__(self, probabilities, at_once):
        super().__init__(probabilities)
        self.at_once = at_once

    def slabs(self, first, stop):
        buffer = np.full((len(self.probabilities), self.at_once, *self.grid_zyx[1:]), np.nan, np.float32)
        for z in range(first, stop, self.at_once):
            buffer[:] = np.nan
            slab = buffer[:, : min(self.at_once, stop - z)]
            slab[:] = self.probabilities[:, z : z + slab.shape[1]]
            yield slab


@pytest.mark.parametrize("slabs", [(2, 2), (3, 2), (2, 3), (5, 1), (1, 7)])
@pytest.mark.parametrize("depth", [7, 4, 11])
def test_a_mean_is_the_same_however_its_streams_are_cut(slabs, depth):
    rng = np.random.default_rng(0)
    one, other = (rng.random((2, n, side, side)).astype(np.float32) for n, side in ((7, 6), (depth, 4)))
    whole = Mean([OneBuffer(one, 7), OneBuffer(other, depth)])
    expected = np.concatenate([slab.copy() for slab in whole.slabs(1, 6)], axis=1)
    cut = Mean([OneBuffer(one, slabs[0]), OneBuffer(other, slabs[1])])
    found = np.concatenate([slab.copy() for slab in cut.slabs(1, 6)], axis=1)
    np.testing.assert_array_equal(found, expected)
    assert np.isfinite(found).all()


THREE = np.array([[0.2, 0.2, 0.2], [0.8, 0.1, 0.8], [0.0, 0.7, 0.0]], np.float32).reshape(3, 3, 1, 1)
"""Three channels, three slices of one voxel."""


def cleaned(decisions, channels):
    """What is left at each voxel (channels, 3) where the third voxel's decision is removed."""
    removed = np.array([False, False, True]).reshape(3, 1, 1)
    winners = np.array(decisions, np.uint8).reshape(3, 1, 1)
    stream = Cleaned(FakeStream(THREE), winners, removed, np.array(channels, bool))
    return np.concatenate(list(stream.slabs(0, 3)), axis=1)[:, :, 0, 0]


def test_cleaned_moves_probability_to_the_background():
    found = cleaned([1, 2, 1], [[0, 0, 0], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(found[:, 2], [1.0, 0, 0])
    np.testing.assert_array_equal(found[:, :2], THREE[:, :2, 0, 0])


def test_under_sigmoid_nothing_is_left_where_something_was_removed():
    found = cleaned([2, 3, 2], [[0, 0, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1]])
    np.testing.assert_array_equal(found[:, 2], [0, 0, 0])
    np.testing.assert_array_equal(found[:, :2], THREE[:, :2, 0, 0])
