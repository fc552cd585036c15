"""Boxes by hand."""

import numpy as np
import pytest

from inference.geometry import Box, Geometry
from inference.sliding_window.localization import (
    bounding_box,
    cut_structures,
    grown,
    neighbourhood,
    organ_mask,
    region_of_interest,
    without_specks,
)
from inference.threads import ONE_THREAD
from tests.inference.bundles import localization
from tests.inference.fakes import FakeImage, constant


def block(shape, *slices):
    mask = np.zeros(shape, bool)
    for where in slices:
        mask[where] = True
    return mask


def grid(size, spacing):
    return Geometry(size_zyx=size, spacing_zyx_mm=spacing)


def test_a_block_without_specks():
    mask = block((20, 20, 20), np.s_[5:10, 6:12, 7:15], np.s_[0:1, 0:1, 0:1])
    assert bounding_box(without_specks(mask)) == Box(start_zyx=(5, 6, 7), stop_zyx=(10, 12, 15))


def test_two_large_parts_are_both_inside():
    mask = block((20, 20, 20), np.s_[5:10, 6:12, 7:10], np.s_[12:16, 6:12, 12:18])
    assert bounding_box(without_specks(mask)) == Box(start_zyx=(5, 6, 7), stop_zyx=(16, 12, 18))


def test_parts_that_share_a_corner_are_one():
    """64 voxels, and five in a row from the corner on that would be specks by themselves."""
    mask = block((9, 9, 9), np.s_[:4, :4, :4])
    mask[range(4, 9), range(4, 9), range(4, 9)] = True
    assert np.count_nonzero(without_specks(mask)) == 64 + 5


def test_organs_are_united_before_they_are_weighed_against_the_background():
    """Two organs at 0.5 are together as likely as 0.5 + ln 2 = 1.19: more than the background at 1."""
    image = FakeImage(np.zeros((8, 10, 12), np.float32))
    for logits, is_organ in (((1, 0.5, 0.5), True), ((1, 0.5, -9), False), ((1.2, 0.5, 0.5), False)):
        found = organ_mask(image, localization(), lambda logits=logits: constant(*logits), ONE_THREAD)
        assert found.shape == (8, 10, 12)
        assert (found == is_organ).all()


def test_nothing_found():
    assert not without_specks(np.zeros((3, 3, 3), bool)).any()
    assert bounding_box(np.zeros((3, 3, 3), bool)) is None


def test_one_voxel():
    assert bounding_box(without_specks(block((1, 4, 4), np.s_[0, 2, 3]))) == Box(
        start_zyx=(0, 2, 3), stop_zyx=(1, 3, 4)
    )


def test_region_in_image_voxels_with_margin():
    # 4 mm grid over 100 voxels of 1 mm in y and x, 40 slices of 2.5 mm: y 12 mm to 24 mm with 10 mm around
    # it.
    mask, image = block((25, 25, 25), np.s_[5:10, 3:6, 0:4]), grid((40, 100, 100), (2.5, 1.0, 1.0))
    box = region_of_interest(mask, image, localization(margin_mm=10.0))
    assert box == Box(start_zyx=(0, 2, 0), stop_zyx=(40, 34, 26))
    box = region_of_interest(mask, image, localization(margin_mm=10.0, crop_axes=("z",)))
    assert box == Box(start_zyx=(4, 0, 0), stop_zyx=(20, 100, 100))


def test_no_region_where_nothing_was_found():
    """What becomes of it, and the warning, is the predictor's: `test_localization_that_finds_nothing`."""
    image = grid((10, 20, 30), (1.0, 1.0, 1.0))
    assert region_of_interest(np.zeros((5, 5, 5), bool), image, localization()) is None


@pytest.mark.parametrize(("least_ml", "found"), [(0.0, True), (3.84, True), (3.85, False)])
def test_no_region_where_too_little_was_found(least_ml, found):
    """60 voxels of 4 mm each way are 3.84 mL, whatever the image's own voxels are."""
    mask = block((10, 25, 25), np.s_[5:10, 3:6, 0:4])
    image = grid((16, 100, 100), (2.5, 1.0, 1.0))
    region = region_of_interest(mask, image, localization(least_ml=least_ml))
    assert (region is not None) == found


def test_neighbourhood():
    mask = block((10, 10, 10), np.s_[4, 5, 6])  # 4 mm voxels over 40 voxels of 1 mm.
    image = grid((40, 40, 40), (1.0, 1.0, 1.0))
    near = neighbourhood(mask, image, Box(start_zyx=(0, 0, 0), stop_zyx=(40, 40, 40)), 8.0)
    np.testing.assert_array_equal(near, block((10, 10, 10), np.s_[2:7, 3:8, 4:9]))
    near = neighbourhood(mask, image, Box(start_zyx=(0, 8, 9), stop_zyx=(40, 24, 31)), 0.0)
    np.testing.assert_array_equal(near, block((10, 4, 6), np.s_[4, 3, 4]))


IMAGE = Box(start_zyx=(0, 0, 0), stop_zyx=(10, 40, 40))
INSIDE = Box(start_zyx=(2, 10, 0), stop_zyx=(10, 30, 40))
"""Its sides along x, and the upper one along z, are the image's."""


def test_structures_that_go_on_where_the_region_ends():
    labels = np.zeros((10, 40, 40), np.uint8)
    labels[2:, 15:25, 20:30] = 1  # Of voxels of 2 mm x 1 mm x 1 mm: 100 mm2 at the lower side.
    labels[2:4, 26:30, 2:27] = 2  # 100 mm2 at the side behind, and as much at the lower one.
    labels[5, 10, 10:] = 3  # 60 mm2 at the front.
    labels[:, 20:, :2] = 4  # At the image's own side along x; 20 mm2 below, 16 mm x 2 mm behind.
    cut = cut_structures(labels, INSIDE, IMAGE, (2.0, 1.0, 1.0))
    assert cut == {(0, 0): {1, 2}, (1, 1): {2}}
    assert cut_structures(labels, IMAGE, IMAGE, (2.0, 1.0, 1.0)) == {}


def test_a_region_grows_at_the_sides_that_cut_up_to_the_image():
    spacing = (2.0, 1.0, 3.0)
    assert grown(INSIDE, [], 5.0, IMAGE, spacing) == INSIDE
    more = grown(INSIDE, [(0, 0), (1, 1)], 5.0, IMAGE, spacing)
    assert more == Box(start_zyx=(0, 10, 0), stop_zyx=(10, 35, 40))
    narrow = Box(start_zyx=(4, 10, 10), stop_zyx=(6, 30, 30))
    more = grown(narrow, [(0, 0), (0, 1), (2, 0)], 4.0, IMAGE, spacing)
    assert more == Box(start_zyx=(2, 10, 8), stop_zyx=(8, 30, 30))
