"""How much a window's output counts at its voxels: by hand, and nnU-Net's map to the bit."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from inference.sliding_window.importance import importance_map
from model.manifest.tiling import ConstantImportance, GaussianImportance, NnunetImportance


def test_importance_maps():
    gaussian = importance_map(GaussianImportance(), (8, 9, 16))
    assert gaussian.min() >= 1e-3
    assert gaussian.max() == 1
    np.testing.assert_array_equal(gaussian, gaussian[::-1, ::-1, ::-1])
    # One sigma is 1/8 of the window: voxel 4 ± 9/8 would be exp(-1/2); voxel 5 is 8/9 sigma away.
    assert gaussian[4, 5, 8] / gaussian[4, 4, 8] == pytest.approx(np.exp(-0.5 * (8 / 9) ** 2), rel=1e-6)
    assert np.all(importance_map(ConstantImportance(), (8, 8, 8)) == 1)
    with pytest.raises(ValueError, match="read-only"):
        gaussian[0, 0, 0] = 2


def test_sigma_and_least_of_the_gaussian():
    wide = importance_map(GaussianImportance(sigma=0.25, least=0.3), (1, 1, 9))[0, 0]
    # Two voxels from the centre are 2 / (9 / 4) = 8/9 sigma away; four are 16/9, where the floor holds.
    assert wide[6] / wide[4] == pytest.approx(np.exp(-0.5 * (8 / 9) ** 2), rel=1e-6)
    assert wide[8] == np.float32(0.3)


def as_nnunet(window, sigma_scale):
    """`compute_gaussian` of nnU-Net 2, in NumPy: filtered and scaled in float64, kept as half floats."""
    impulse = np.zeros(window)
    impulse[tuple(n // 2 for n in window)] = 1
    full = gaussian_filter(impulse, [n * sigma_scale for n in window], 0, mode="constant", cval=0)
    full /= np.max(full) / 10
    half = full.astype(np.float16)
    half[half == 0] = np.min(half[half != 0])
    return half


@pytest.mark.parametrize("window", [(8, 10, 12), (9, 1, 16), (28, 56, 40), (33, 32, 31), (1, 1, 1)])
@pytest.mark.parametrize("sigma", [0.125, 0.05, 0.3])
def test_nnunets_map_to_the_bit(window, sigma):
    found = importance_map(NnunetImportance(sigma=sigma), window)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, as_nnunet(window, sigma).astype(np.float32))


def test_nnunets_map_lies_on_the_later_middle_voxel_and_has_no_zeros():
    found = importance_map(NnunetImportance(), (8, 8, 8))
    assert np.unravel_index(found.argmax(), found.shape) == (4, 4, 4)
    assert found.max() == 10
    tight = importance_map(NnunetImportance(sigma=0.02), (64, 64, 64))
    assert tight[0, 0, 0] == tight.min() > 0
