"""Centres by their kinds, several channels, and crops for augmentation on the training device."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from model.manifest.intensity import NoIntensity
from tests.training.tiny import grid_case, tiny_recipe
from training.augmentation.patches import augment_batch
from training.data.sampling import draw_centre, draw_crop, lies_around
from training.recipes.augmentation_options import Augmentation, Flips, Rotation, Scaling
from training.recipes.sampling_options import ForegroundShareCentre


def ramp_case(shape=(6, 8, 10)):
    """Each voxel has a value of its own, also in half floats, and a channel that goes with it."""
    values = np.arange(np.prod(shape)).reshape(shape)
    return grid_case((values % 5).astype(np.uint8), values / 1024)


def marked_case():
    """A case of 8000 voxels with one of channel 1, in the middle."""
    channels = np.zeros((20, 20, 20), np.uint8)
    channels[10, 10, 10] = 1
    return grid_case(channels)


def share_recipe(batch_size, share=0.33):
    centre = {"kind": "foreground_share", "share": share}
    return tiny_recipe(sampling={"batch_size": batch_size, "centre": centre})


@pytest.mark.parametrize(
    ("batch_size", "share", "around"),
    [
        (2, 0.33, [False, True]),  # round(2 · 0.67) = 1
        (4, 0.33, [False, False, False, True]),  # round(2.68) = 3
        (9, 0.33, [False] * 6 + [True] * 3),
        (2, 1.0, [True, True]),
    ],
)
def test_nnunets_oversampling_is_of_the_last_patches_of_a_batch(batch_size, share, around):
    recipe, rng = share_recipe(batch_size, share), np.random.default_rng(0)
    assert [lies_around(recipe, index, rng) for index in range(batch_size)] == around


def test_oversampling_in_a_batch_of_one_is_by_chance():
    recipe, rng = share_recipe(1), np.random.default_rng(0)
    # 660 of 2000, standard deviation 21.
    assert sum(lies_around(recipe, 0, rng) for _ in range(2000)) == pytest.approx(660, abs=80)


def test_patches_lie_around_structures_or_anywhere():
    case, rng, centre = marked_case(), np.random.default_rng(0), ForegroundShareCentre()
    assert {tuple(draw_centre(case, (4, 4, 4), rng, centre)) for _ in range(20)} == {(10, 10, 10)}
    anywhere = np.array([draw_centre(case, (4, 4, 4), rng, centre, around=False) for _ in range(2000)])
    # Evenly from 2 to 18 along each axis: mean 10, and a deviation of 16 / sqrt(12).
    assert (anywhere.min(), anywhere.max()) == (pytest.approx(2, abs=0.1), pytest.approx(18, abs=0.1))
    np.testing.assert_allclose(anywhere.mean(axis=0), 10, atol=0.5)
    np.testing.assert_allclose(anywhere.std(axis=0), 4.62, atol=0.3)


def test_a_case_without_structures_is_shown_anywhere():
    case = grid_case(np.zeros((20, 20, 20), np.uint8))
    rngs = [np.random.default_rng(seed) for seed in range(5)]
    drawn = {tuple(draw_centre(case, (4, 4, 4), rng, ForegroundShareCentre())) for rng in rngs}
    assert len(drawn) == 5


def test_several_channels_are_turned_alike():
    case = ramp_case()
    case = replace(case, image=np.concatenate([case.image, case.image / 2]))
    turned = Augmentation(rotation=Rotation(), scaling=Scaling(), flips=Flips(axes=("x", "y")))
    crops, labels = torch.from_numpy(case.image)[None], torch.from_numpy(case.channels)[None]
    for number in range(5):
        key, channels = (0, number), [NoIntensity(), NoIntensity()]
        images, _ = augment_batch(crops, labels, [key], turned, (4, 4, 4), channels, torch.device("cpu"))
        assert images.shape == (1, 2, 4, 4, 4)
        np.testing.assert_allclose(images[0, 1], images[0, 0] / 2, atol=1e-3)


def test_a_crop_of_a_short_case_repeats_its_end_slices():
    channels = np.array([[[1, 2]], [[3, 4]]], np.uint8)
    case = grid_case(channels, channels / 4)
    image, found = draw_crop(case, np.array([1.0, 0.5, 1.0]), (6, 3, 2), "end_slices")
    assert found[:, 1].tolist() == [[1, 2]] * 3 + [[3, 4]] * 3
    np.testing.assert_array_equal(image[0], found / 4)
    assert not found[:, ::2].any()


@pytest.mark.parametrize("centre", [(3, 4, 5), (0, 0, 0), (6, 8, 10), (3, 20, 5)])
def test_a_crop_is_the_image_with_nothing_around(centre):
    case = ramp_case()
    image, channels = draw_crop(case, np.array(centre, float), (4, 6, 4))
    z, y, x = (int(c - size / 2) + 30 for c, size in zip(centre, (4, 6, 4), strict=True))
    around = np.pad(case.image[0], 30)[z : z + 4, y : y + 6, x : x + 4]
    np.testing.assert_array_equal(image, around[None])
    np.testing.assert_array_equal(channels, np.pad(case.channels, 30)[z : z + 4, y : y + 6, x : x + 4])
