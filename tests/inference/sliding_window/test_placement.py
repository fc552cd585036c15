"""Windows cover the image; networks that return their input, or twice of it, reconstruct it exactly."""

import numpy as np
import pytest

from inference.sliding_window.importance import importance_map
from inference.sliding_window.placement import covered, read_window, stepped_starts, window_starts
from inference.sliding_window.running_mean import RunningMean
from inference.threads import ONE_THREAD, Threads
from model.manifest.tiling import ConstantImportance, GaussianImportance, NnunetImportance
from tests.inference.fakes import all_starts


def reconstruct(image, window, overlap, kind, network, threads=ONE_THREAD):
    fused = RunningMean(1, image.shape)
    importance = importance_map(kind, window)
    for start in all_starts(image.shape, window, overlap):
        fused.add(network(read_window(image[None], start, window)), importance, start, threads)
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
        (320, 160, 0.8, (0, 32, 64, 96, 128, 160)),  # 160 · (1 - 0.8) is computed as 31.999999999999993
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


@pytest.mark.parametrize(
    ("size", "window", "overlap", "starts", "from_end"),
    [
        (10, 4, 0.25, (0, 3, 6), (0, 3, 6)),
        (10, 5, 0.5, (0, 2, 4, 5), (0, 1, 3, 5)),
        (4, 4, 0.5, (0,), (0,)),
        (3, 8, 0.5, (-2,), (-3,)),
        (5, 4, 0.9, (0, 1), (0, 1)),
    ],
)
def test_steps_by_hand(size, window, overlap, starts, from_end):
    assert stepped_starts(size, window, overlap) == starts
    assert stepped_starts(size, window, overlap, from_end=True) == from_end


def test_steps_are_monais():
    monai = pytest.importorskip("monai.data.utils")
    for size in range(1, 70):
        for window, overlap in ((8, 0.25), (13, 0.5), (32, 0.625), (16, 0.9)):
            step = max(1, int(window * (1 - overlap))) if size > window else window
            found = monai.dense_patch_slices((max(size, window),), (window,), (step,))
            before = max(0, window - size) // 2
            assert stepped_starts(size, window, overlap) == tuple(part.start - before for (part,) in found)


def as_nnunet(size, window):
    """`compute_steps_for_sliding_window` of nnU-Net 2 with steps of half a window, in NumPy."""
    gaps = int(np.ceil((size - window) / (window * 0.5)))
    step = (size - window) / gaps
    return tuple(int(np.round(step * i)) for i in range(gaps + 1))


def test_starts_are_nnunets():
    for window in (8, 20, 28, 40, 64, 96, 112, 128, 160):
        for size in range(window + 1, 700):
            assert window_starts(size, window, 0.5) == as_nnunet(size, window), (size, window)


def test_a_window_one_slice_thick_has_one_place_for_each_slice():
    assert window_starts(5, 1, 0.5) == (0, 1, 2, 3, 4)


def test_covered_of_a_window_larger_than_the_image():
    of_image, of_window = covered((-2, 0, 5), (8, 4, 4), (3, 4, 7))
    assert of_image == (slice(0, 3), slice(0, 4), slice(5, 7))
    assert of_window == (slice(2, 5), slice(0, 4), slice(0, 2))


@pytest.mark.parametrize("seed", range(12))
def test_identity_and_twofold_are_reconstructed_bit_for_bit(seed):
    random = np.random.default_rng(seed)
    size = tuple(int(n) for n in random.integers(1, 40, 3))
    window = tuple(int(n) for n in random.integers(8, 20, 3))
    overlap = float(random.choice([0, 0.25, 0.5, 0.6]))
    image = random.normal(0, 300, size).astype(np.float32)
    for kind in (GaussianImportance(), ConstantImportance(), NnunetImportance()):
        same = reconstruct(image, window, overlap, kind, lambda w: w)
        np.testing.assert_array_equal(same.mean[0], image)
        assert np.all(same.weight > 0)
        np.testing.assert_array_equal(
            reconstruct(image, window, overlap, kind, lambda w: 2 * w).mean[0], 2 * image
        )


def test_means_have_the_same_bits_however_many_threads_work():
    image = np.random.default_rng(5).normal(size=(21, 14, 15)).astype(np.float32)

    def network(window):
        return window * np.linspace(0, 1, 8, dtype=np.float32)[:, None, None]

    one, two, three = (
        reconstruct(image, (8, 9, 10), 0.5, GaussianImportance(), network, Threads(count))
        for count in (1, 2, 3)
    )
    for other in (two, three):
        np.testing.assert_array_equal(other.mean, one.mean)
        np.testing.assert_array_equal(other.weight, one.weight)


def test_all_channels_of_a_window_are_read():
    image = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    window = read_window(image, (-1, 2, 0), (4, 4, 4))
    np.testing.assert_array_equal(window[:, 1:, :2], image[:, :, 2:, :4])
    assert not window[:, 0].any()
    assert not window[:, :, 2:].any()


def test_end_slices_are_repeated_above_and_below_a_short_scan():
    image = np.array([[[[1.0, 2.0]], [[3.0, 4.0]]], [[[5.0, 6.0]], [[7.0, 8.0]]]], np.float32)
    window = read_window(image, (-1, -1, 0), (5, 2, 3), "end_slices")
    assert window[0, :, 1].tolist() == [[1, 2, 0], [1, 2, 0], [3, 4, 0], [3, 4, 0], [3, 4, 0]]
    assert window[1, :, 1].tolist() == [[5, 6, 0], [5, 6, 0], [7, 8, 0], [7, 8, 0], [7, 8, 0]]
    assert not window[:, :, 0].any()


def test_running_mean_weighs_by_importance():
    fused = RunningMean(1, (1, 1, 3))
    fused.add(
        np.full((1, 1, 1, 2), 1.0, np.float32), np.array([[[1.0, 3.0]]], np.float32), (0, 0, 0), ONE_THREAD
    )
    fused.add(
        np.full((1, 1, 1, 2), 5.0, np.float32), np.array([[[1.0, 1.0]]], np.float32), (0, 0, 1), ONE_THREAD
    )
    np.testing.assert_array_equal(fused.mean[0, 0, 0], [1, (3 * 1 + 1 * 5) / 4, 5])


def test_advance_forgets_the_first_slices():
    fused = RunningMean(2, (4, 1, 1))
    fused.add(
        np.arange(8, dtype=np.float32).reshape(2, 4, 1, 1),
        np.ones((4, 1, 1), np.float32),
        (0, 0, 0),
        ONE_THREAD,
    )
    fused.advance(3)
    assert fused.mean[:, :, 0, 0].tolist() == [[3, 0, 0, 0], [7, 0, 0, 0]]
    assert fused.weight[:, 0, 0].tolist() == [1, 0, 0, 0]
    fused.advance(0)
    assert fused.weight[:, 0, 0].tolist() == [1, 0, 0, 0]
    fused.advance(9)
    assert not fused.mean.any()
