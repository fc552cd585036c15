"""Boxes by hand."""

import logging

import numpy as np

from inference.geometry import Box
from inference.localization import foreground_box, region_of_interest


def block(shape, *slices):
    mask = np.zeros(shape, bool)
    for where in slices:
        mask[where] = True
    return mask


def test_box_around_a_block_without_specks():
    mask = block((20, 20, 20), np.s_[5:10, 6:12, 7:15], np.s_[0:1, 0:1, 0:1])
    assert foreground_box(mask) == Box(start_zyx=(5, 6, 7), stop_zyx=(10, 12, 15))


def test_two_large_parts_are_both_inside():
    mask = block((20, 20, 20), np.s_[5:10, 6:12, 7:10], np.s_[12:16, 6:12, 12:18])
    assert foreground_box(mask) == Box(start_zyx=(5, 6, 7), stop_zyx=(16, 12, 18))


def test_nothing_found():
    assert foreground_box(np.zeros((3, 3, 3), bool)) is None


def test_one_voxel():
    assert foreground_box(block((1, 4, 4), np.s_[0, 2, 3])) == Box(start_zyx=(0, 2, 3), stop_zyx=(1, 3, 4))


def test_region_in_image_voxels_with_margin():
    # 4 mm grid over 100 voxels of 1 mm in y and x, 40 slices of 2.5 mm: y 12 mm to 24 mm with 10 mm around it.
    mask = block((25, 25, 25), np.s_[5:10, 3:6, 0:4])
    box = region_of_interest(mask, (40, 100, 100), (2.5, 1.0, 1.0), 10.0, ("y", "x"))
    assert box == Box(start_zyx=(0, 2, 0), stop_zyx=(40, 34, 26))
    box = region_of_interest(mask, (40, 100, 100), (2.5, 1.0, 1.0), 10.0, ("z",))
    assert box == Box(start_zyx=(4, 0, 0), stop_zyx=(20, 100, 100))


def test_whole_image_with_a_warning_where_nothing_was_found(caplog):
    with caplog.at_level(logging.WARNING):
        box = region_of_interest(np.zeros((5, 5, 5), bool), (10, 20, 30), (1.0, 1.0, 1.0), 20.0, ("y", "x"))
    assert box == Box(start_zyx=(0, 0, 0), stop_zyx=(10, 20, 30))
    assert "no organ" in caplog.text
