"""What is known of a body beside its labels."""

import numpy as np
import pytest

from tests.training.phantom.bodies.blocks import IDS, SPACING, block_body, block_labels
from training.phantom.bodies.body import STEPS_PER_MM, prepare_body


@pytest.fixture(scope="module")
def body():
    return block_body()


PAD = 38
"""75 mm in voxels of 2 mm, rounded up: the map is padded to the sides by that."""


def test_the_origin_is_the_middle_of_the_first_lumbar_vertebra(body):
    assert body.origin_zyx == (29.5, 29.5 + PAD, 29.5 + PAD)
    assert body.range_mm == (-59.0, 59.0)


def test_depth_is_the_way_to_the_surface(body):
    """The vertebra is 8 voxels wide: its middle voxels lie 3.5 voxels, 7 mm, under the surface."""
    depth = body.depth / STEPS_PER_MM
    assert depth[29, 29 + PAD, 29 + PAD] == pytest.approx(7)
    assert depth[26, 26 + PAD, 26 + PAD] == pytest.approx(1)
    assert depth[body.labels == 0].max() == 0


def test_the_gap_is_how_far_the_nearest_organ_would_have_to_grow(body):
    """Three voxels lie between liver and stomach: the first is 1 mm from the liver's surface."""
    row = np.index_exp[30, 12 + PAD, 24 + PAD : 27 + PAD]
    assert (body.nearest[row] == [IDS["liver"], IDS["liver"], IDS["stomach"]]).sum() >= 2
    assert body.nearest_gap[row][0] / STEPS_PER_MM == pytest.approx(1)
    assert body.nearest_gap[row][2] / STEPS_PER_MM == pytest.approx(1)


def test_the_hull_spans_what_lies_between_structures(body):
    hull = body.hull
    between, outside = (30 // 2, (20 + PAD) // 2, (25 + PAD) // 2), (30 // 2, 2, 2)
    assert hull[between] < -5
    assert hull[outside] > 50


def test_arms_are_left_out_since_the_map_cuts_them(body):
    assert not (body.labels == IDS["humerus_left"]).any()


def test_a_body_without_its_first_lumbar_vertebra_is_refused():
    labels = block_labels()
    labels[labels == IDS["vertebrae_L1"]] = 0
    with pytest.raises(ValueError, match="map x: has no vertebrae_L1"):
        prepare_body("x", labels, SPACING, IDS)


SPINE = {"vertebrae_L1": 1, "vertebrae_L2": 2, "spinal_cord": 3}


def spine() -> np.ndarray:
    """Two vertebrae 8 mm apart with a canal behind; the upper one has a notch."""
    labels = np.zeros((40, 30, 20), np.uint8)
    labels[20:30, 10:20, 5:15] = SPINE["vertebrae_L1"]
    labels[6:16, 10:20, 5:15] = SPINE["vertebrae_L2"]
    labels[:, 17:19, 8:12] = SPINE["spinal_cord"]
    labels[24:26, 10:13, 5:15] = 0
    return labels


def disc_of(labels: np.ndarray, spacing: tuple[float, float, float] = SPACING) -> np.ndarray:
    body = prepare_body("spine", labels, spacing, SPINE)
    return np.argwhere(body.labels == body.ids["intervertebral_discs"])


def test_gaps_between_vertebrae_before_the_canal_become_discs():
    disc = disc_of(spine())
    # Four slices of the gap, from the front of the vertebrae to the canal, and nothing in the notch.
    np.testing.assert_array_equal(disc.min(0) - [0, PAD, PAD], [16, 10, 5])
    np.testing.assert_array_equal(disc.max(0) - [0, PAD, PAD], [19, 16, 14])
    assert len(disc) == 4 * 7 * 10
    assert set(SPINE) == {"vertebrae_L1", "vertebrae_L2", "spinal_cord"}


def test_vertebrae_more_than_16_mm_apart_and_crumbs_of_gaps_are_no_discs():
    # Four slices of 4.5 mm are 18 mm.
    assert not len(disc_of(spine(), (4.5, 2.0, 2.0)))
    crumb = spine()
    crumb[16:20, 10:20, 5:15] = SPINE["vertebrae_L2"]
    crumb[19, 10:13, 5:10] = 0  # 15 voxels of 8 µL
    assert not len(disc_of(crumb))


def test_a_map_without_free_ids_is_refused():
    labels = block_labels()
    with pytest.raises(ValueError, match=r"^map blocks: has id 250, above 245$"):
        prepare_body("blocks", labels, SPACING, {**IDS, "colon": 250})


def test_trunks_are_rounded_where_the_muscles_of_the_flanks_are_missing():
    labels = np.zeros((40, 80, 80), np.uint8)
    labels[:, :4] = IDS["liver"]
    labels[:, 76:, 36:44] = IDS["vertebrae_L1"]
    hull = prepare_body("wedge", labels, SPACING, IDS).hull
    # 60 % of the way from middle to back the wedge between them is 20 voxels wide, the superellipse 66: 16 in
    # the hull, which has every second one, to each side.
    y, middle = (64 + PAD) // 2, (40 + PAD) // 2
    assert hull[10, y, middle + 14] < 0
    assert hull[10, y, middle + 19] > 0
