"""Metrics of a few voxels, with answers that follow from a drawing.

One voxel has eight corners, each of which carries the same share of its surface. With voxels of 1 mm a corner
has √3/8 mm², a place on an edge √2/2 mm², a place on a flat face 1 mm² (`eval.scoring.surfels`).
"""

import math

import numpy as np
import pytest

from eval.scoring.metrics import (
    dice,
    dice_per_label,
    hd95_mm,
    label_boxes,
    normalized_surface_dice,
    surface_distances,
    volume_difference_ml,
)
from tests.eval.made import blob

CUBE = (1.0, 1.0, 1.0)
SHAPE = (8, 8, 8)
ROOT_2, ROOT_3 = math.sqrt(2), math.sqrt(3)


def mask(*voxels: tuple[int, int, int], shape=SHAPE) -> np.ndarray:
    drawn = np.zeros(shape, bool)
    for place in voxels:
        drawn[place] = True
    return drawn


def bar(start: int, stop: int, length: int = 40) -> np.ndarray:
    """A row of voxels along x."""
    drawn = np.zeros((1, 1, length), bool)
    drawn[..., start:stop] = True
    return drawn


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        ([1, 1, 0, 0], [1, 1, 0, 0], 1.0),
        ([1, 0, 0, 0], [1, 1, 0, 0], 2 * 1 / 3),
        ([1, 1, 1, 1], [1, 0, 0, 0], 2 * 1 / 5),
        ([1, 1, 0, 0], [0, 0, 1, 1], 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1.0),
        ([0, 0, 0, 0], [0, 0, 0, 1], 0.0),
        ([0, 0, 0, 1], [0, 0, 0, 0], 0.0),
    ],
)
def test_dice_is_twice_the_overlap_by_the_sum(prediction, truth, expected):
    assert dice(np.array(prediction, bool), np.array(truth, bool)) == pytest.approx(expected)


def test_dice_of_each_label_of_a_row():
    # Label 1: 2 and 1 voxels, 1 in common; label 2: 1 and 2, 1 in common; label 3 only in the truth.
    prediction = np.array([[[1, 1, 2, 0, 0]]], np.uint8)
    truth = np.array([[[1, 2, 2, 0, 3]]], np.uint8)
    assert dice_per_label(prediction, truth, (1, 2, 3, 4)) == pytest.approx(
        {1: 2 / 3, 2: 2 / 3, 3: 0.0, 4: 1.0}
    )
    with pytest.raises(ValueError, match="must be the same"):
        dice_per_label(prediction, truth[..., :4], (1,))


def test_one_voxel_has_a_surface_of_the_root_of_three():
    distances = surface_distances(mask((3, 3, 3)), mask((3, 3, 3)), CUBE)
    assert distances.prediction_mm.tolist() == [0.0] * 8
    assert distances.prediction_mm2 == pytest.approx([ROOT_3 / 8] * 8)


@pytest.mark.parametrize("step", [(0, 0, 2), (0, 2, 0), (2, 0, 0)])
def test_two_voxels_with_one_between_are_a_voxel_apart(step):
    there = tuple(3 + size for size in step)
    distances = surface_distances(mask((3, 3, 3)), mask(there), CUBE)
    # The four corners that face the other voxel are 1 mm away from it, the four behind 2 mm.
    assert sorted(distances.prediction_mm) == sorted(distances.truth_mm) == [1.0] * 4 + [2.0] * 4
    for tolerance_mm, share in ((0.0, 0.0), (0.99, 0.0), (1.0, 0.5), (1.99, 0.5), (2.0, 1.0)):
        assert normalized_surface_dice(distances, tolerance_mm) == pytest.approx(share)
    assert hd95_mm(distances) == 2.0


@pytest.mark.parametrize(
    ("step", "distances_mm"),
    [
        # A face in common: four corners of each are the other's too.
        ((0, 0, 1), [0, 0, 0, 0, 1, 1, 1, 1]),
        # An edge in common: two corners; the rest is one step away, or the diagonal of a face.
        ((0, 1, 1), [0, 0, 1, 1, 1, 1, ROOT_2, ROOT_2]),
        # One corner in common.
        ((1, 1, 1), [0, 1, 1, 1, ROOT_2, ROOT_2, ROOT_2, ROOT_3]),
    ],
    ids=["face", "edge", "corner"],
)
def test_voxels_that_touch(step, distances_mm):
    there = tuple(3 + size for size in step)
    distances = surface_distances(mask((3, 3, 3)), mask(there), CUBE)
    assert sorted(distances.prediction_mm) == pytest.approx(distances_mm)
    assert sorted(distances.truth_mm) == pytest.approx(distances_mm)
    near = sum(length <= 1 for length in distances_mm) / 8
    assert normalized_surface_dice(distances, 1.0) == pytest.approx(near)


def test_a_diagonal_step_through_voxels_of_3_by_4_by_12_mm():
    distances = surface_distances(mask((3, 3, 3)), mask((4, 4, 4)), (3.0, 4.0, 12.0))
    expected = [0, 3, 4, 5, 12, math.hypot(3, 12), math.hypot(4, 12), 13]
    assert sorted(distances.truth_mm) == pytest.approx(expected)
    # Each corner is an eighth of the surface, so the last eighth decides the 95th percentile.
    assert hd95_mm(distances) == 13.0
    assert normalized_surface_dice(distances, 5.0) == pytest.approx(4 / 8)


def test_a_voxel_too_much_at_the_end():
    # The truth is one voxel, the prediction it and its neighbour. The truth's corners all lie on the
    # prediction; of the prediction's, the last four are 1 mm off, the four in the middle lie on an edge.
    distances = surface_distances(mask((3, 3, 3), (3, 3, 4)), mask((3, 3, 3)), CUBE)
    assert distances.truth_mm.tolist() == [0.0] * 8
    assert sorted(distances.prediction_mm) == [0.0] * 8 + [1.0] * 4
    prediction_mm2, far_mm2 = ROOT_3 + 4 * ROOT_2 / 2, ROOT_3 / 2
    assert distances.prediction_mm2.sum() == pytest.approx(prediction_mm2)
    expected = 1 - far_mm2 / (prediction_mm2 + ROOT_3)
    assert normalized_surface_dice(distances, 0.5) == pytest.approx(expected)
    assert hd95_mm(distances) == 1.0


def test_a_bump_that_is_less_than_a_twentieth_of_the_surface_does_not_move_hd95():
    truth = np.zeros((14, 12, 12), bool)
    truth[1:11, 1:11, 1:11] = True
    prediction = truth.copy()
    prediction[11, 5, 5] = True
    distances = surface_distances(prediction, truth, CUBE)
    assert distances.prediction_mm.max() == 1.0
    assert hd95_mm(distances) == 0.0
    assert 0.99 < normalized_surface_dice(distances, 0.0) < 1.0


@pytest.mark.parametrize(
    ("prediction", "truth", "nsd", "hd95"),
    [
        (mask(), mask(), 1.0, 0.0),
        (mask((3, 3, 3)), mask(), 0.0, math.inf),
        (mask(), mask((3, 3, 3)), 0.0, math.inf),
        (mask((3, 3, 3)), mask((3, 3, 3)), 1.0, 0.0),
    ],
    ids=["both empty", "truth empty", "prediction empty", "same"],
)
def test_empty_masks(prediction, truth, nsd, hd95):
    distances = surface_distances(prediction, truth, CUBE)
    assert normalized_surface_dice(distances, 1.0) == nsd
    assert hd95_mm(distances) == hd95


def test_the_border_of_the_array_is_a_surface_too():
    # A mask that fills its array has the same surface as within a larger one.
    full = np.ones((2, 3, 4), bool)
    inside = np.pad(full, 2)
    alone, within = (surface_distances(each, each, (2.0, 1.0, 0.5)) for each in (full, inside))
    assert alone.truth_mm2.sum() == pytest.approx(within.truth_mm2.sum())
    assert alone.truth_mm.max() == 0.0


@pytest.mark.parametrize(
    ("spacing_zyx_mm", "prediction", "truth", "expected_ml"),
    [
        (CUBE, 1000, 0, 1.0),
        (CUBE, 0, 1000, -1.0),
        ((5.0, 2.0, 1.0), 300, 200, 1.0),
        ((5.0, 2.0, 1.0), 200, 200, 0.0),
        (CUBE, 0, 0, 0.0),
    ],
)
def test_volumes_are_voxels_times_their_size(spacing_zyx_mm, prediction, truth, expected_ml):
    masks = [np.arange(1000).reshape(10, 10, 10) < count for count in (prediction, truth)]
    assert volume_difference_ml(*masks, spacing_zyx_mm) == pytest.approx(expected_ml)


@pytest.mark.parametrize(("limit_mm", "found"), [(1.0, 1), (2.0, 2), (5.0, 2)])
def test_beyond_a_limit_everything_is_infinitely_far(limit_mm, found):
    distances = surface_distances(mask((3, 3, 3)), mask((3, 3, 5)), CUBE, limit_mm)
    assert len({length for length in distances.truth_mm if length <= limit_mm}) == found
    assert all(length <= limit_mm or math.isinf(length) for length in distances.truth_mm)
    assert normalized_surface_dice(distances, 1.0) == pytest.approx(0.5)


@pytest.mark.parametrize("shift", [1, 2, 5])
@pytest.mark.parametrize("voxel_mm", [0.5, 1.0, 2.5])
def test_a_bar_moved_along_itself(shift, voxel_mm):
    distances = surface_distances(bar(10 + shift, 30 + shift), bar(10, 30), (1.0, 1.0, voxel_mm))
    assert distances.truth_mm.max() == distances.prediction_mm.max() == shift * voxel_mm
    assert normalized_surface_dice(distances, shift * voxel_mm) == pytest.approx(1.0)
    assert normalized_surface_dice(distances, 0.9 * shift * voxel_mm) < 1.0
    assert dice(bar(10 + shift, 30 + shift), bar(10, 30)) == pytest.approx((20 - shift) / 20)


def pairs(count: int):
    generator = np.random.default_rng(19)
    for _ in range(count):
        shape = tuple(int(size) for size in generator.integers(3, 9, 3))
        spacing = tuple(float(size) for size in np.round(generator.uniform(0.5, 4, 3), 1))
        yield blob(generator, shape, 0.8, 0.4), blob(generator, shape, 0.8, 0.4), spacing


def test_who_is_the_truth_does_not_matter():
    for prediction, truth, spacing in pairs(12):
        one, other = (
            surface_distances(prediction, truth, spacing),
            surface_distances(truth, prediction, spacing),
        )
        assert dice(prediction, truth) == dice(truth, prediction)
        assert hd95_mm(one) == hd95_mm(other)
        for tolerance_mm in (0.0, 1.0, 3.0):
            assert normalized_surface_dice(one, tolerance_mm) == pytest.approx(
                normalized_surface_dice(other, tolerance_mm)
            )


def test_air_around_the_masks_changes_nothing():
    for prediction, truth, spacing in pairs(8):
        margins = ((2, 0), (0, 3), (1, 1))
        tight = surface_distances(prediction, truth, spacing)
        wide = surface_distances(np.pad(prediction, margins), np.pad(truth, margins), spacing)
        assert np.array_equal(tight.truth_mm, wide.truth_mm)
        assert np.array_equal(tight.prediction_mm2, wide.prediction_mm2)


def test_voxels_twice_as_large_are_twice_as_far_apart():
    for prediction, truth, spacing in pairs(8):
        small = surface_distances(prediction, truth, spacing)
        large = surface_distances(prediction, truth, tuple(2 * size for size in spacing))
        assert large.truth_mm == pytest.approx(2 * small.truth_mm)
        assert large.truth_mm2 == pytest.approx(4 * small.truth_mm2)
        assert normalized_surface_dice(large, 2.0) == pytest.approx(normalized_surface_dice(small, 1.0))


def test_a_larger_tolerance_never_scores_less():
    for prediction, truth, spacing in pairs(8):
        distances = surface_distances(prediction, truth, spacing)
        shares = [normalized_surface_dice(distances, tolerance_mm) for tolerance_mm in np.arange(0, 12, 0.5)]
        assert shares == sorted(shares)
        assert all(0.0 <= share <= 1.0 for share in shares)


def test_boxes_are_the_smallest_that_hold_a_label():
    generator = np.random.default_rng(2)
    labels = np.where(generator.random((6, 7, 8)) < 0.05, generator.integers(1, 5, (6, 7, 8)), 0).astype(
        np.uint8
    )
    boxes = label_boxes(labels)
    assert sorted(boxes) == sorted(set(labels.ravel().tolist()) - {0})
    for label, box in boxes.items():
        places = np.argwhere(labels == label)
        assert [part.start for part in box] == places.min(axis=0).tolist()
        assert [part.stop - 1 for part in box] == places.max(axis=0).tolist()
