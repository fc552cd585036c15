"""What is true of every body: sides, order from head to foot, neighbours, one piece each."""

import cc3d
import numpy as np
import pytest

from model.labels import FLARE23
from training.phantom.anatomy import OPTIONAL, PRIORITY
from training.phantom.case import COVERAGES, phantom_case

IDS = FLARE23.ids
PAIRED = ("right kidney", "left kidney", "right adrenal gland", "left adrenal gland")


def mask(case, name):
    return case.labels == IDS[name]


def has(case, *names):
    return all(mask(case, name).any() for name in names)


def centre_zyx_mm(case, name):
    return np.array([axis.mean() for axis in np.nonzero(mask(case, name))]) * case.spacing_xyz_mm[::-1]


def test_the_builders_know_every_organ_and_no_lesion():
    assert set(PRIORITY) == set(FLARE23.organs)
    assert set(OPTIONAL) <= set(PRIORITY)


def test_every_organ_is_there_unless_it_is_recorded_as_missing(cases):
    for case in cases:
        absent = {name for name in FLARE23.organs if not has(case, name)}
        assert absent == set(case.info["missing"])


def test_organs_lie_on_their_side(cases):
    """Arrays run to the patient's left along x."""
    for case in cases:
        spine = centre_zyx_mm(case, "aorta")[2]
        for name in ("right kidney", "right adrenal gland", "gallbladder", "liver", "inferior vena cava"):
            assert not has(case, name) or centre_zyx_mm(case, name)[2] < spine
        for name in ("left kidney", "left adrenal gland", "spleen", "stomach"):
            assert not has(case, name) or centre_zyx_mm(case, name)[2] > spine - 10


def test_organs_follow_each_other_from_head_to_foot(cases):
    for case in cases:
        heights = {name: centre_zyx_mm(case, name)[0] for name in FLARE23.organs if has(case, name)}
        for above, below in (
            ("esophagus", "stomach"),
            ("stomach", "duodenum"),
            ("right adrenal gland", "right kidney"),
            ("left adrenal gland", "left kidney"),
            ("liver", "right kidney"),
        ):
            if above in heights and below in heights:
                assert heights[above] > heights[below], (above, below)


def test_the_great_vessels_lie_behind_stomach_and_pancreas(cases):
    for case in cases:
        for name in ("aorta", "inferior vena cava"):
            behind = centre_zyx_mm(case, name)[1]
            assert behind > centre_zyx_mm(case, "pancreas")[1]
            assert behind > centre_zyx_mm(case, "stomach")[1]


def test_the_aorta_runs_through_every_slice_of_an_abdomen(cases):
    for case in cases:
        rows = np.flatnonzero(mask(case, "aorta").any(axis=(1, 2)))
        assert len(rows) == rows[-1] - rows[0] + 1
        assert len(rows) > 0.7 * len(case.labels)


@pytest.mark.parametrize("name", [*PAIRED, "liver", "spleen", "aorta", "inferior vena cava", "gallbladder"])
def test_organs_are_of_one_piece(cases, name):
    """Tumors may cut off a sliver, so nearly all voxels must hang together."""
    for case in cases:
        if has(case, name):
            sizes = cc3d.statistics(cc3d.connected_components(mask(case, name)))["voxel_counts"][1:]
            assert sizes.max() > 0.9 * sizes.sum()


def test_nothing_labelled_is_air_or_bone(cases):
    """Gas in the stomach is labelled stomach; solid organs hold none."""
    for case in cases:
        for name in ("liver", "spleen", "right kidney", "left kidney", "pancreas"):
            if has(case, name):
                low, high = np.quantile(case.image[mask(case, name)], [0.05, 0.95])
                assert -120 < low < high < 350, name


def test_the_body_is_closed_around_its_organs(cases):
    """No labelled voxel touches the air around the patient."""
    for case in cases:
        edge = np.ones(case.labels.shape, bool)
        edge[:, 1:-1, 1:-1] = False
        assert not case.labels[edge].any()


def test_kidneys_are_about_as_large_as_each_other(cases):
    for case in cases:
        if has(case, "right kidney", "left kidney"):
            right, left = (mask(case, name).sum() for name in ("right kidney", "left kidney"))
            assert 0.4 < right / left < 2.5


@pytest.mark.parametrize("coverage", COVERAGES)
def test_every_examination_can_be_drawn_and_holds_something(coverage):
    case = phantom_case(np.random.default_rng([9, 1]), coverage=coverage, spacing_zyx_mm=(8.0, 6.0, 6.0))
    assert case.info["coverage"] == coverage
    assert case.labels.any()
    tall = case.image.shape[0] * 8
    assert {"slab": tall < 220, "chest to pelvis": tall > 400}.get(coverage, 150 < tall < 480)


def test_where_a_case_lies_in_the_world_is_a_right_handed_grid(cases):
    for case in cases:
        np.testing.assert_allclose(case.direction @ case.direction.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(case.direction) == pytest.approx(1)
        assert all(abs(origin) <= 200 for origin in case.origin_xyz_mm)


def test_a_record_says_what_was_drawn(cases):
    for case in cases:
        assert case.info["coverage"] == "abdomen"
        assert case.info["phase"] in ("unenhanced", "arterial", "portal")
        assert case.info["anatomy"] == "procedural"
        assert bool(case.info["tumors"]) == bool((case.labels == IDS["tumor"]).any())
        assert all(0.5 < size < 1.6 for size in case.info["body_size"])
