"""Patches: where they are drawn, what they hold, and that the same generator gives the same patch."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.tiny import grid_case, tiny_recipe
from training.data.sampling import class_points, draw_centre, draw_patch, draw_slab
from training.recipes.augmentation_options import Augmentation, Slab
from training.recipes.sampling_options import BackgroundShareCentre

STILL = Augmentation()


def patch_of(case, patch_zyx, augmentation, rng):
    """The crop of a patch by a recipe that has this size and augmentation."""
    recipe = replace(tiny_recipe(), patch_zyx=patch_zyx, augmentation=augmentation)
    return draw_patch(case, recipe, rng)


def ramp_case(shape=(6, 8, 10)):
    """Each voxel has a value of its own, also in half floats, and a channel that goes with it."""
    values = np.arange(np.prod(shape)).reshape(shape)
    return grid_case((values % 5).astype(np.uint8), values / 1024)


def test_centres_are_drawn_equally_often_from_each_channel_however_small():
    channels = np.zeros((20, 20, 20), np.uint8)
    channels[5:15, 5:15, 5:15] = 1
    channels[9:11, 9, 9] = 2  # two voxels of 8000
    case = grid_case(channels)
    rng = np.random.default_rng(0)
    drawn = [int(channels[tuple(draw_centre(case, (2, 2, 2), rng).astype(int))]) for _ in range(3000)]
    # Each a third: 1000 of 3000, standard deviation 26.
    assert np.bincount(drawn) == pytest.approx([1000, 1000, 1000], abs=130)


def test_the_background_can_have_a_share_of_its_own():
    channels = np.zeros((20, 20, 20), np.uint8)
    channels[5:15, 5:15, 5:15] = 1
    channels[9:11, 9, 9] = 2
    case = grid_case(channels, channels)
    rng = np.random.default_rng(0)
    drawn = [
        int(channels[tuple(draw_centre(case, (2, 2, 2), rng, BackgroundShareCentre(share=0.5)).astype(int))])
        for _ in range(2000)
    ]
    # A half, and a quarter for each structure: standard deviations 22 and 19.
    assert np.bincount(drawn) == pytest.approx([1000, 500, 500], abs=110)


def test_channel_points_lie_in_their_channel_and_skip_absent_ones():
    channels = np.zeros((20, 20, 20), np.uint8)
    channels[3, 4, 5:7] = 3
    background, third = class_points(channels, np.random.default_rng(0))
    assert len(background) == 4096
    assert (channels[tuple(background.T)] == 0).all()
    assert third.tolist() == [[3, 4, 5], [3, 4, 6]]


def test_a_slab_holds_the_slices_of_a_shorter_scan():
    channels = np.zeros((20, 6, 6), np.uint8)
    channels[4, 2, 2:4] = 1
    channels[15, 3, 3] = 2
    case = grid_case(channels, np.arange(720).reshape(20, 6, 6) / 1024)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        slab = draw_slab(case, (3, 5), rng)
        start = round(float(slab.image[0, 0, 0, 0]) * 1024) // 36
        assert 3 <= slab.size_zyx[0] <= 5
        assert np.array_equal(slab.image, case.image[:, start : start + slab.size_zyx[0]])
        assert np.array_equal(slab.channels, channels[start : start + len(slab.channels)])
        for points in slab.points:
            assert len(np.unique(slab.channels[tuple(points.T)])) == 1
        seen |= set(np.unique(slab.channels))
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(("chance", "depths"), [(0.0, {12}), (1.0, {3, 4, 5})])
def test_patches_show_nothing_beyond_their_slab(chance, depths):
    case = grid_case(np.ones((20, 6, 6), np.uint8), np.ones((20, 6, 6)))
    augmentation = Augmentation(slab=Slab(chance=chance, thickness_voxels=(3, 5)))
    rng = np.random.default_rng(0)
    drawn = [patch_of(case, (12, 6, 6), augmentation, rng) for _ in range(40)]
    assert {int(image[0].any(axis=(1, 2)).sum()) for image, _ in drawn} == depths
    assert all(np.array_equal(image[0] > 0, channels > 0) for image, channels in drawn)


def test_a_slab_cut_for_the_training_device_is_continued_by_its_end_slices():
    """20 slices of values 1 to 20, of which 2 or 3 are seen; with zeros, or with the end slices repeated."""
    values = np.broadcast_to(np.arange(1, 21)[:, None, None], (20, 6, 6))
    case = grid_case(np.ones((20, 6, 6), np.uint8), values / 32)
    slab = {"slab": {"thickness_voxels": [2, 3]}}
    for padding in ("zeros", "end_slices"):
        more = {"inference": {"tiling": {"padding": padding}}}
        recipe = tiny_recipe(patch_zyx=[12, 6, 6], augmentation=slab, **more)
        for seed in range(20):
            image, _ = draw_patch(case, recipe, np.random.default_rng(seed))
            seen = (image[0, :, 0, 0] * 32).round().astype(int).tolist()
            shown = sorted(set(seen) - {0})
            assert shown in ([*range(shown[0], shown[0] + count)] for count in (2, 3))
            assert (0 in seen) == (padding == "zeros")
            assert sum(seen.count(value) for value in shown[1:-1]) == len(shown) - 2


def test_a_patch_near_the_border_is_moved_inwards():
    channels = np.zeros((8, 8, 8), np.uint8)
    channels[0, 0, 0] = 1
    case = grid_case(channels)
    rng = np.random.default_rng(0)
    centres = np.array([draw_centre(case, (4, 4, 4), rng) for _ in range(50)])
    assert centres.min() == 2
    assert centres.max() <= 6


def test_nothing_is_changed_where_no_chance_is_given():
    case = ramp_case()
    image, channels = patch_of(case, (6, 8, 10), STILL, np.random.default_rng(0))
    np.testing.assert_array_equal(image, case.image)
    np.testing.assert_array_equal(channels, case.channels)


def test_the_same_generator_gives_the_same_crop():
    case = ramp_case()
    one, same, other = (
        patch_of(case, (4, 4, 4), STILL, np.random.default_rng((1, seed))) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(one[0], same[0])
    np.testing.assert_array_equal(one[1], same[1])
    assert not np.array_equal(one[0], other[0])


def test_a_case_of_background_alone_has_patches_too():
    case = grid_case(np.zeros((8, 8, 8), np.uint8))
    recipe = tiny_recipe(sampling={"background_share": 0.0}, patch_zyx=[4, 4, 4])
    assert not draw_patch(case, recipe, np.random.default_rng(0))[1].any()


def test_every_patch_shows_some_of_the_channel_that_it_was_centred_on():
    channels = np.zeros((12, 12, 12), np.uint8)
    channels[5:7, 5:7, 5:7] = 1
    case = grid_case(channels)
    recipe = replace(tiny_recipe(sampling={"background_share": 0.0}), patch_zyx=(4, 4, 4), augmentation=STILL)
    drawn = [draw_patch(case, recipe, np.random.default_rng(seed))[1] for seed in range(30)]
    assert all((patch == 1).any() for patch in drawn)


def test_the_memory_of_a_case_is_that_of_its_arrays():
    case = grid_case(np.zeros((4, 4, 4), np.uint8))
    # 64 half floats, 64 bytes, and the 64 points of the background, three int16 each.
    assert case.nbytes == 128 + 64 + 64 * 6
