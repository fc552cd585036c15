"""What each change does to values, worked out by hand; and that patches depend on their keys alone."""

import numpy as np
import pytest
import torch

from inference.preprocessing.intensity import normalize
from model.manifest.intensity import (
    ClipZscoreIntensity,
    DivideIntensity,
    NoIntensity,
    WindowIntensity,
    WindowSigmoidIntensity,
    ZscoreIntensity,
)
from training.augmentation.appearance import (
    CHANGES,
    change_brightness,
    change_contrast,
    change_gamma,
    change_inverted_gamma,
    lower_resolution,
    vary_values,
)
from training.augmentation.draws import around_one
from training.augmentation.patches import augment_batch
from training.augmentation.separable import apply_along, blur_matrix, low_resolution_matrix, spline_matrix
from training.recipes.augmentation_options import (
    Augmentation,
    Blur,
    Brightness,
    Contrast,
    Elastic,
    Flips,
    Gamma,
    HistogramShift,
    LowResolution,
    Noise,
    Rotation,
    Scaling,
)

CPU = torch.device("cpu")
EVERYTHING = Augmentation(
    rotation=Rotation(chance=0.5),
    scaling=Scaling(chance=0.5),
    elastic=Elastic(chance=0.3),
    flips=Flips(axes=("z", "y")),
    noise=Noise(chance=0.5),
    blur=Blur(chance=0.5),
    brightness=Brightness(chance=0.5, factor=(0.7, 1.3), shift=0.1),
    contrast=Contrast(chance=0.5),
    low_resolution=LowResolution(chance=0.5),
    inverted_gamma=Gamma(chance=0.5),
    gamma=Gamma(chance=0.5),
    histogram_shift=HistogramShift(chance=0.5),
)
RAMP = torch.linspace(0, 1, 64).reshape(4, 4, 4)


def rng(seed=0):
    return np.random.default_rng(seed)


def row(*values):
    return torch.tensor(values).reshape(1, 1, len(values))


def test_brightness_by_hand():
    assert change_brightness(row(1.0, 2.0), Brightness(factor=(3, 3)), rng()).tolist() == [[[3, 6]]]
    moved = [change_brightness(RAMP, Brightness(shift=0.2), rng(seed)) - RAMP for seed in range(30)]
    assert max(float(one.std()) for one in moved) < 1e-6
    assert 0.15 < max(float(one.abs().max()) for one in moved) <= 0.2


def test_contrast_by_hand():
    image = row(1.0, 2.0, 6.0)  # mean 3
    options = Contrast(factor=(0.5, 0.5))
    assert change_contrast(image, options, rng()).tolist() == [[[2.0, 2.5, 4.5]]]
    wider = Contrast(factor=(2.0, 2.0), keep_range=False)
    assert change_contrast(image, wider, rng()).tolist() == [[[-1, 1, 9]]]
    assert change_contrast(image, Contrast(factor=(2.0, 2.0)), rng()).tolist() == [[[1, 1, 6]]]


def test_gamma_by_hand():
    image = row(2.0, 3.0, 4.0)  # halves of the range: 0, 1/2, 1
    options = Gamma(exponent=(2, 2), keep_statistics=False)
    assert change_gamma(image, options, rng()).tolist() == [[[2.0, 2.5, 4.0]]]
    assert change_inverted_gamma(image, options, rng()).tolist() == [[[2.0, 3.5, 4.0]]]


def test_gamma_can_keep_mean_and_deviation():
    bent = change_gamma(RAMP, Gamma(exponent=(2, 2)), rng())
    assert float(bent.mean()) == pytest.approx(float(RAMP.mean()), abs=1e-6)
    assert float(bent.std()) == pytest.approx(float(RAMP.std()), abs=1e-6)
    assert not torch.allclose(bent, RAMP, atol=0.02)


def test_noise_has_the_deviation_stated():
    grey = torch.full((16, 16, 16), 0.5)
    noisy = vary_values(grey, Augmentation(noise=Noise(deviation=(0.1, 0.1))), (0, 0), 0, None)
    assert float(noisy.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(noisy.std()) == pytest.approx(0.1, abs=0.01)


def test_blur_weights_are_gaussian_and_add_up_to_one():
    matrix = blur_matrix(1.0, 9)
    assert matrix.sum(1).tolist() == pytest.approx([1] * 9)
    assert float(matrix[4, 5] / matrix[4, 4]) == pytest.approx(np.exp(-0.5))
    assert matrix[4, 0] == 0  # beyond three sigma
    # The first voxel stands for those beyond it, too.
    assert float(matrix[0, 0]) == pytest.approx(float(matrix[4, :5].sum()))


def test_blur_is_along_all_axes():
    point = torch.zeros(9, 9, 9)
    point[4, 4, 4] = 1
    blurred = apply_along(point, [blur_matrix(sigma, 9) for sigma in (0.5, 0.7, 1.0)])
    assert float(blurred.sum()) == pytest.approx(1, abs=1e-5)
    z, y, x = (float(blurred[place]) for place in ((3, 4, 4), (4, 3, 4), (4, 4, 3)))
    assert z < y < x
    again = CHANGES["blur"](point, Blur(), rng())
    assert float(again.sum()) == pytest.approx(1, abs=1e-5)


def test_half_the_resolution_by_hand():
    # Of four voxels two are left, the second and the fourth; between them a line.
    matrix = low_resolution_matrix(0.5, 4)
    assert (matrix @ torch.tensor([0.0, 10.0, 20.0, 30.0])).tolist() == [10, 15, 25, 30]
    assert torch.equal(low_resolution_matrix(1.0, 5), torch.eye(5))


def test_low_resolution_of_the_axial_plane_leaves_slices_apart():
    image = torch.zeros(3, 8, 8)
    image[1] = RAMP.reshape(8, 8)
    coarse = lower_resolution(image, LowResolution(size=(0.5, 0.5), axes="axial"), rng())
    assert not coarse[0].any()
    assert not torch.equal(coarse[1], image[1])
    assert lower_resolution(image, LowResolution(size=(0.4, 0.4)), rng())[0].any()


def test_splines_stay_between_their_control_points():
    matrix = spline_matrix(6, 20)
    assert matrix.sum(1).tolist() == pytest.approx([1] * 20)
    assert float(matrix.min()) >= 0
    assert matrix[0].tolist() == pytest.approx([1 / 6, 4 / 6, 1 / 6, 0, 0, 0])


def test_histogram_shift_rises_and_keeps_the_ends():
    options = Augmentation(histogram_shift=HistogramShift())
    for number in range(10):
        bent = vary_values(RAMP, options, (0, number), 0, None).flatten()
        assert (float(bent[0]), float(bent[-1])) == pytest.approx((0, 1), abs=1e-6)
        assert (bent.diff() >= 0).all()
        assert (bent - RAMP.flatten()).abs().max() > 0.03


def test_values_are_clipped_where_they_have_ends_and_else_not():
    options = Augmentation(brightness=Brightness(factor=(3, 3)))
    assert float(vary_values(RAMP, options, (0, 0), 0, (0.0, 1.0)).max()) == 1
    assert float(vary_values(RAMP, options, (0, 0), 0, None).max()) == 3


def test_factors_are_as_often_below_one_as_above():
    drawn = [around_one(rng(seed), (0.5, 3)) for seed in range(400)]
    assert 160 < sum(factor < 1 for factor in drawn) < 240
    assert 0.5 <= min(drawn) < 0.55 < 2.8 < max(drawn) <= 3
    assert around_one(rng(), (2, 2)) == 2


@pytest.mark.parametrize("purpose", CHANGES)
def test_an_image_of_one_value_stays_finite(purpose):
    flat = torch.full((4, 4, 4), 2.0)
    options = Augmentation(**{purpose: getattr(EVERYTHING, purpose)})
    for number in range(6):
        assert torch.isfinite(vary_values(flat, options, (0, number), 0, None)).all()


@pytest.mark.parametrize(
    "intensity",
    [
        WindowIntensity(lower=-250, upper=250),
        WindowSigmoidIntensity(lower=-250, upper=250),
        ClipZscoreIntensity(lower=-200, upper=300, mean=40, std=70),
        DivideIntensity(by=100),
        NoIntensity(),
    ],
    ids=lambda intensity: intensity.kind,
)
def test_int16_crops_are_normalized_as_for_inference(intensity):
    hu = np.random.default_rng(0).integers(-1000, 1000, (1, 1, 4, 6, 8)).astype(np.int16)
    labels = torch.zeros(1, 4, 6, 8, dtype=torch.uint8)
    crops = torch.from_numpy(hu)
    plain = Augmentation()
    images, _ = augment_batch(crops, labels, [(0, 0)], plain, (4, 6, 8), (intensity,), CPU)
    np.testing.assert_allclose(images.numpy(), normalize(hu, intensity), atol=1e-6)


def test_an_intensity_of_the_whole_image_is_refused_for_crops():
    crops, labels = torch.zeros(1, 1, 2, 2, 2, dtype=torch.int16), torch.zeros(1, 2, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="zscore takes its figures from the whole image"):
        augment_batch(crops, labels, [(0, 0)], Augmentation(), (2, 2, 2), (ZscoreIntensity(),), CPU)


def test_patches_depend_on_their_keys_and_not_on_the_batch():
    patch_zyx = (8, 8, 8)
    torch.manual_seed(0)
    crops = torch.rand(6, 2, 30, 30, 30)
    labels = torch.randint(0, 9, (6, 30, 30, 30), dtype=torch.uint8)
    keys = [(7, number) for number in range(6)]

    def augmented(order):
        chosen = [keys[index] for index in order]
        kinds = (WindowIntensity(lower=0, upper=1), NoIntensity())
        return augment_batch(crops[order], labels[order], chosen, EVERYTHING, patch_zyx, kinds, CPU)

    images, target = augmented([0, 1, 2, 3, 4, 5])
    for order in ([5, 3, 1, 0, 2, 4], [2], [4, 2]):
        again, ids = augmented(order)
        assert torch.equal(again, images[order])
        assert torch.equal(ids, target[order])
    assert torch.equal(augmented([2, 4])[0], augmented([2, 4])[0])
    assert not torch.equal(augmented([0])[0], augmented([1])[0])


def test_channels_move_alike_and_look_different():
    crops = torch.rand(1, 1, 12, 12, 12).expand(-1, 2, -1, -1, -1).contiguous()
    labels = torch.zeros(1, 12, 12, 12, dtype=torch.uint8)
    moved = Augmentation(rotation=Rotation())
    kinds = (NoIntensity(), NoIntensity())
    images, _ = augment_batch(crops, labels, [(0, 0)], moved, (8, 8, 8), kinds, CPU)
    assert torch.equal(images[:, 0], images[:, 1])
    noisy = Augmentation(noise=Noise())
    images, _ = augment_batch(crops, labels, [(0, 0)], noisy, (8, 8, 8), kinds, CPU)
    assert not torch.equal(images[:, 0], images[:, 1])
