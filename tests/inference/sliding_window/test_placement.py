"""Windows cover the image, and networks that return their input (or twice of it) reconstruct it exactly."""

import numpy as np
import pytest

from inference.sliding_window.placement import (
    RunningMean,
    covered,
    importance_map,
    read_window,
    window_starts,
)
from tests.inference.fakes import all_starts


def reconstruct(image, window, overlap, kind, network):
    fused = RunningMean(1, image.shape)
    importance = importance_map(kind, window)
    for start in all_starts(image.shape, window, overlap):
        fused.add(network(read_window(image, start, window))[None], importance, start)
    return fused


@pytest.mark.parametrize(
    ("size", "window", "overlap", "starts"),
    [
        (110, 64, 0.5, (0, 23, 46)),
        (10, 4, 0.5, (0, 2, 4, 6)),
        (8, 4, 0.0, (0, 4)),
        (9, 4, 0.0, (0, 2, 5)),
        (4, 4, 0.5, (0,)),
        (3, 8, 0.5, (-2,)),
        (1, 8, 0.5, (-3,)),
        (18, 10, 0.9, (0, 1, 2, 3, 4, 5, 6, 7, 8)),
    ],
)
def test_starts_by_hand(size, window, overlap, starts):
    assert window_starts(size, window, overlap) == starts


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.75, 0.9])
def test_starts_cover_and_overlap_at_least_as_asked(overlap):
    for size in range(1, 70):
        for window in (8, 13, 32):
            starts = window_starts(size, window, overlap)
            if size <= window:
                assert len(starts) == 1
                assert starts[0] <= 0
                assert starts[0] + window >= size
                continue
            steps = np.diff(starts)
            assert starts[0] == 0
            assert starts[-1] == size - window
            # Starts are whole voxels, so a step may be up to half a voxel above the ideal one at both ends.
            assert np.all(steps >= 1)
            assert np.all(steps <= max(1, window * (1 - overlap)) + 1)


def test_covered_of_a_window_larger_than_the_image():
    of_image, of_window = covered((-2, 0, 5), (8, 4, 4), (3, 4, 7))
    assert of_image == (slice(0, 3), slice(0, 4), slice(5, 7))
    assert of_window == (slice(2, 5), slice(0, 4), slice(0, 2))


def test_importance_maps():
    gaussian = importance_map("gaussian", (8, 9, 16))
    assert gaussian.min() >= 1e-3
    assert gaussian.max() == 1
    np.testing.assert_array_equal(gaussian, gaussian[::-1, ::-1, ::-1])
    # One sigma is 1/8 of the window: voxel 4 ± 9/8 would be exp(-1/2); voxel 5 is 8/9 sigma away.
    assert gaussian[4, 5, 8] / gaussian[4, 4, 8] == pytest.approx(np.exp(-0.5 * (8 / 9) ** 2), rel=1e-6)
    assert np.all(importance_map("constant", (8, 8, 8)) == 1)
    with pytest.raises(ValueError, match="read-only"):
        gaussian[0, 0, 0] = 2


@pytest.mark.parametrize("seed", range(12))
def test_identity_and_twofold_are_reconstructed_bit_for_bit(seed):
    random = np.random.default_rng(seed)
    size = tuple(int(n) for n in random.integers(1, 40, 3))
    window = tuple(int(n) for n in random.integers(8, 20, 3))
    overlap = float(random.choice([0, 0.25, 0.5, 0.6]))
    image = random.normal(0, 300, size).astype(np.float32)
    for kind in ("gaussian", "constant"):
        same = reconstruct(image, window, overlap, kind, lambda w: w)
        np.testing.assert_array_equal(same.mean[0], image)
        assert np.all(same.weight > 0)
        np.testing.assert_array_equal(
            reconstruct(image, window, overlap, kind, lambda w: 2 * w).mean[0], 2 * image
        )


def test_running_mean_weighs_by_importance():
    fused = RunningMean(1, (1, 1, 3))
    fused.add(np.full((1, 1, 1, 2), 1.0, np.float32), np.array([[[1.0, 3.0]]], np.float32), (0, 0, 0))
    fused.add(np.full((1, 1, 1, 2), 5.0, np.float32), np.array([[[1.0, 1.0]]], np.float32), (0, 0, 1))
    np.testing.assert_array_equal(fused.mean[0, 0, 0], [1, (3 * 1 + 1 * 5) / 4, 5])


def test_advance_forgets_the_first_slices():
    fused = RunningMean(2, (4, 1, 1))
    fused.add(np.arange(8, dtype=np.float32).reshape(2, 4, 1, 1), np.ones((4, 1, 1), np.float32), (0, 0, 0))
    fused.advance(3)
    assert fused.mean[:, :, 0, 0].tolist() == [[3, 0, 0, 0], [7, 0, 0, 0]]
    assert fused.weight[:, 0, 0].tolist() == [1, 0, 0, 0]
    fused.advance(0)
    assert fused.weight[:, 0, 0].tolist() == [1, 0, 0, 0]
    fused.advance(9)
    assert not fused.mean.any()
