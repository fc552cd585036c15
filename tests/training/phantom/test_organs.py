"""Helpers that organs are drawn with, and each builder by itself."""

import numpy as np
import pytest

from model.labels import FLARE23
from tests.training.phantom.plain import plain_canvas, plain_frame
from training.phantom import organs
from training.phantom.anatomy import PRIORITY, build_organs
from training.phantom.bowel import fill_lumen
from training.phantom.canvas import Field
from training.phantom.organs import Site, moved, tilt
from training.phantom.shapes import ellipsoid
from training.phantom.tissue import random_tissues
from training.phantom.torso import build_torso, random_habitus


def make_site(frame, seed=0):
    rng = np.random.default_rng(seed)
    return Site(frame, build_torso(frame, random_habitus(np.random.default_rng(1)), rng), rng)


@pytest.fixture(scope="module")
def abdomen():
    return plain_frame(half_mm=176.0, step_mm=4.0)


@pytest.fixture(scope="module")
def fields(abdomen):
    return build_organs(make_site(abdomen), [])


def test_control_points_are_displaced_and_radii_scaled():
    points = [(0, 0, 0, 2), (10, 0, 0, 4)]
    assert moved(points, (1, 2, 3), 0.5) == [[1, 2, 3, 1], [11, 2, 3, 2]]
    spread = np.array([[0, 0, 5], [0, 0, -5]])
    assert moved(points, (0, 0, 0), spread=spread) == [[0, 0, 5, 2], [10, 0, -5, 4]]
    assert points == [(0, 0, 0, 2), (10, 0, 0, 4)]


def test_a_tilt_about_z_turns_left_to_the_back():
    np.testing.assert_allclose(tilt(0, 0, 90) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(tilt(90, 0, 0) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(tilt(10, 20, 30) @ tilt(10, 20, 30).T, np.eye(3), atol=1e-12)


def test_jitter_and_factors_end_at_two_deviations():
    site = make_site(plain_frame(half_mm=8))
    jitter = np.array([site.jitter(3.0) for _ in range(500)])
    assert 5 < np.abs(jitter).max() <= 6
    factors = [site.factor(0.1) for _ in range(500)]
    assert 0.8 <= min(factors) < 0.85 < 1.15 < max(factors) <= 1.2


def test_every_organ_lies_in_a_whole_abdomen(fields):
    assert set(fields) == set(FLARE23.organs)
    for name, field in fields.items():
        assert field.distance.shape == field.region.shape, name
        assert (field.distance < 0).any(), name
        assert np.isfinite(field.distance).all(), name


def test_missing_organs_are_not_built(abdomen):
    assert set(PRIORITY) - set(build_organs(make_site(abdomen), ["spleen", "gallbladder"])) == {
        "spleen",
        "gallbladder",
    }


def test_organs_stay_under_the_skin(abdomen, fields):
    torso = make_site(abdomen).torso
    for name, field in fields.items():
        inside = field.distance < 0
        assert (torso.skin[field.region.slices][inside] < 0).all(), name


@pytest.mark.parametrize(
    ("first", "second"), [("liver", "right kidney"), ("stomach", "spleen"), ("pancreas", "aorta")]
)
def test_neighbours_make_room_for_each_other(abdomen, fields, first, second):
    whole = np.zeros(abdomen.shape, int)
    for name in (first, second):
        whole[fields[name].region.slices] += fields[name].distance < 0
    assert (whole < 2).all()


@pytest.mark.parametrize("side", [-1, 1])
def test_a_kidney_lies_on_its_side_of_the_spine(abdomen, side):
    kidney, _ = organs.kidney(make_site(abdomen), side)
    inside = kidney.distance < 0
    assert np.sign(kidney.region.x[inside].mean()) == side
    assert side * kidney.region.x[inside].mean() > 35


def test_organs_outside_a_scan_of_the_chest_are_empty():
    frame = plain_frame(half_mm=20.0)
    frame.origin_xyz_mm[2] += 1000
    far = type(frame)(pose=frame.pose, origin_xyz_mm=frame.origin_xyz_mm, step_mm=2.0, shape=frame.shape)
    site = make_site(far)
    assert all(builder(site).region.empty for builder in (organs.liver, organs.spleen, organs.gallbladder))
    assert build_organs(site, []) == {}


@pytest.fixture
def bag():
    """A hollow ball of 20 mm with a wall of 4 mm, its voxels labelled 1."""
    canvas = plain_canvas(half_mm=40.0)
    whole = canvas.frame.whole()
    field = Field(whole, ellipsoid(whole, (0, 0, 0), (20, 20, 20)))
    canvas.paint(field, 50.0, label=1)
    return canvas, field


def filled(bag, kind, seed=0):
    canvas, field = bag
    tissues = random_tissues(np.random.default_rng(0), "portal")
    site = make_site(canvas.frame, seed)
    fill_lumen(canvas, site, field, tissues, wall_mm=4.0, kind=kind, within=1)
    return canvas.image[field.distance < -7], canvas.image[np.abs(field.distance + 1.5) < 0.5]


def test_a_collapsed_organ_is_wall_throughout(bag):
    inside, wall = filled(bag, "collapsed")
    assert (inside == 50).all()
    assert (wall == 50).all()


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("fluid", -40, 60), ("contrast", 60, 600), ("gas", -1000, -900)]
)
def test_what_fills_the_lumen_leaves_the_wall_alone(bag, kind, low, high):
    inside, wall = filled(bag, kind)
    assert low <= inside.min() <= inside.max() <= high
    assert np.median(wall) == pytest.approx(50, abs=1)


def test_gas_floats_on_fluid_with_a_flat_level(bag):
    canvas, field = bag
    filled(bag, "mixed")
    gas = (canvas.image < -800) & (field.distance < -6)
    fluid = (canvas.image > -100) & (field.distance < -6)
    assert gas.any()
    assert fluid.any()
    y = field.region.y
    # The front is where y is small; patients lie on the back.
    assert y[gas].max() <= y[fluid].min() + 4


def test_filling_changes_no_label(bag):
    canvas, _ = bag
    before = canvas.labels.copy()
    filled(bag, "food")
    assert np.array_equal(canvas.labels, before)
