"""The trunk, its bones and its chest, painted on a patient who lies straight."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.phantom.plain import plain_canvas, plain_frame
from training.phantom.bones import paint_back, paint_pelvis, paint_ribs, paint_spine, psoas, spine_block
from training.phantom.canvas import Canvas
from training.phantom.scanner import paint_arms, paint_table
from training.phantom.tissue import random_tissues
from training.phantom.torso import build_torso, paint_lungs, paint_torso, random_habitus, true_distance

HALF_MM, STEP_MM = 240.0, 4.0
TISSUES = random_tissues(np.random.default_rng(1), "portal")
HABITUS = replace(
    random_habitus(np.random.default_rng(0)),
    fat_mm=20.0,
    muscle=1.0,
    dome_mm=124.0,
    left_drop_mm=10.0,
    belly_fluid=False,
    effusion_mm=0.0,
)


def torso_of(habitus):
    return build_torso(plain_frame(HALF_MM, STEP_MM), habitus, np.random.default_rng(0))


@pytest.fixture(scope="module")
def torso():
    return torso_of(HABITUS)


@pytest.fixture
def canvas():
    return plain_canvas(HALF_MM, STEP_MM)


def at(array, x, y, z):
    """Value at a canonical point in mm."""
    i, j, k = (round((mm + HALF_MM) / STEP_MM) for mm in (z, y, x))
    return float(array[i, j, k])


def test_layers_lie_in_each_other(torso):
    """Cavity in muscle in skin, in every slice."""
    assert (torso.skin <= torso.muscle + 1e-3)[torso.muscle < 20].all()
    assert (torso.muscle <= torso.cavity + 1e-3)[np.abs(torso.cavity) < 20].all()
    areas = [(field < 0).sum(axis=(1, 2)) for field in (torso.cavity, torso.muscle, torso.skin)]
    assert (areas[0] < areas[1]).all()
    assert (areas[1] < areas[2]).all()


def test_the_trunk_is_about_symmetric(torso):
    mirrored = torso.cavity[:, :, ::-1]
    np.testing.assert_allclose(torso.cavity, mirrored, atol=0.5)


def test_the_diaphragm_stands_at_the_height_that_was_asked_for(torso):
    right = torso.above_dome[:, :, round((-70 + HALF_MM) / STEP_MM)]
    left = torso.above_dome[:, :, round((70 + HALF_MM) / STEP_MM)]
    heights = np.arange(right.shape[0]) * STEP_MM - HALF_MM
    tops = [heights[(side < 0).any(axis=1)].max() for side in (right, left)]
    assert tops[0] == pytest.approx(124, abs=12)
    assert tops[0] - tops[1] == pytest.approx(10, abs=6)


def test_the_belly_ends_at_the_diaphragm(torso):
    assert not ((torso.belly < -2) & (torso.above_dome > 2)).any()


def test_more_fat_makes_a_wider_body_and_leaves_the_cavity_alone(torso):
    obese = torso_of(replace(HABITUS, fat_mm=50.0))
    np.testing.assert_allclose(obese.cavity, torso.cavity, atol=1e-3)
    assert (obese.skin < 0).sum() > 1.15 * (torso.skin < 0).sum()


def test_drawn_trunks_reach_from_lean_to_obese():
    drawn = [random_habitus(np.random.default_rng(seed)) for seed in range(300)]
    fat = [one.fat_mm for one in drawn]
    assert 2 <= min(fat) < 3
    assert 75 < sum(one < 8 for one in fat) < 150
    assert 40 < max(fat) <= 55
    assert 1 <= sum(one.belly_fluid for one in drawn) < 40
    assert 5 < sum(one.effusion_mm > 0 for one in drawn) < 60


def test_a_level_function_becomes_a_distance_near_zero():
    frame = plain_frame(40.0, 2.0)
    x = frame.whole().x
    np.testing.assert_allclose(true_distance(frame, 3 * x), x, atol=1e-2)


def test_skin_fat_and_muscle_follow_each_other_inwards(canvas, torso):
    paint_torso(canvas, torso, TISSUES, np.random.default_rng(0))
    shells = ((4, 30, -1000), (-14, -8, TISSUES["fat"]))
    image = canvas.image
    for low, high, hu in shells:
        found = np.median(image[(torso.skin > low) & (torso.skin < high)])
        assert found == pytest.approx(hu, abs=25)
    wall = (torso.muscle < -5) & (torso.cavity > 4)
    assert np.median(image[wall]) == pytest.approx(TISSUES["muscle"], abs=25)
    assert np.median(image[torso.cavity < -5]) == pytest.approx(TISSUES["fat"], abs=30)


def test_fluid_fills_the_belly_where_there_is_ascites(canvas):
    torso = torso_of(replace(HABITUS, belly_fluid=True))
    paint_torso(canvas, torso, TISSUES, np.random.default_rng(0))
    assert np.median(canvas.image[torso.cavity < -5]) == pytest.approx(TISSUES["fluid"], abs=10)


def test_lungs_hold_air_above_the_diaphragm_and_nowhere_else(canvas, torso):
    paint_torso(canvas, torso, TISSUES, np.random.default_rng(0))
    paint_lungs(canvas, torso, TISSUES, np.random.default_rng(0))
    for side in (-1, 1):
        assert at(canvas.image, 90 * side, 0, 200) < -500
    assert at(canvas.image, 25, -65, 130) > 0  # the heart
    assert (canvas.image[torso.belly < -6] > -300).all()


def test_an_effusion_lies_behind_the_lungs(canvas):
    wet = torso_of(replace(HABITUS, effusion_mm=60.0))
    paint_torso(canvas, wet, TISSUES, np.random.default_rng(0))
    paint_lungs(canvas, wet, TISSUES, np.random.default_rng(0))
    fluid = np.abs(canvas.image - TISSUES["fluid"]) < 3
    behind = canvas.frame.whole().y > 20
    chest = wet.above_dome > 5
    inside = wet.cavity < -6
    assert (fluid & behind & chest & inside).sum() > 100


def test_the_spine_is_bone_with_marrow_and_a_canal_behind_it(canvas):
    paint_spine(canvas, TISSUES, np.random.default_rng(0))
    assert at(canvas.image, 0, 0, 0) > 60  # in the first lumbar body
    assert (canvas.image > 200).sum() > 500
    assert (canvas.image[:, :, : round((-60 + HALF_MM) / STEP_MM)] == -1000).all()


def test_ribs_surround_the_chest_on_both_sides(canvas):
    paint_ribs(canvas, TISSUES, np.random.default_rng(0))
    bone = canvas.image > 150
    x = canvas.frame.whole().x
    right, left = bone[x < -60].sum(), bone[x > 60].sum()
    assert right > 200
    assert right == pytest.approx(left, rel=0.1)
    assert not bone[canvas.frame.whole().z < -100].any()


def test_the_pelvis_lies_below_the_abdomen(canvas, torso):
    paint_pelvis(canvas, torso, TISSUES)
    z = canvas.frame.whole().z
    bone = canvas.image > 150
    assert bone.any()
    assert z[bone].max() < -40


def test_the_psoas_runs_beside_the_spine(canvas):
    region = canvas.frame.whole()
    inside = psoas(region) < 0
    low = inside & (np.abs(region.z + 100) < 3)
    assert set(np.sign(region.x[low])) == {-1, 1}
    assert np.abs(region.x[low]).min() > 10
    assert (spine_block(region)[inside] < 0.1).all()


def test_the_back_has_muscle_where_the_psoas_is(canvas, torso):
    paint_back(canvas, torso, TISSUES, np.random.default_rng(0))
    inside = psoas(canvas.frame.whole()) < -6
    z = canvas.frame.whole().z
    shown = canvas.image[inside & (z > -200) & (z < 0)]
    assert np.median(shown) == pytest.approx(TISSUES["muscle"], abs=10)


def test_the_table_lies_under_the_patient(canvas, torso):
    paint_table(canvas, torso, np.random.default_rng(0))
    painted = canvas.image > -990
    assert painted.any()
    assert (torso.skin[painted] > -STEP_MM).all()
    assert canvas.frame.whole().y[painted].min() > 0


def test_arms_lie_at_both_sides(canvas):
    hu = {name: TISSUES[name] for name in ("skin", "fat", "muscle", "cortical bone")}
    paint_arms(canvas, np.random.default_rng(0), hu)
    x = canvas.frame.whole().x
    painted = canvas.image > -990
    assert painted[x < -150].any()
    assert painted[x > 150].any()
    assert not painted[np.abs(x) < 100].any()
    assert (canvas.image > 300).any()  # bone


@pytest.mark.parametrize("paint", [paint_ribs, paint_spine])
def test_bones_outside_the_scan_are_left_out(paint):
    frame = plain_frame(20.0)
    far = type(frame)(pose=frame.pose, origin_xyz_mm=np.array([900.0, 0, 0]), step_mm=2.0, shape=frame.shape)
    spacing = (2.0, 2.0, 2.0)
    canvas = Canvas(
        frame=far,
        shape=frame.shape,
        spacing_zyx_mm=spacing,
        blur_zyx_mm=spacing,
        offset_zyx_mm=(0.0, 0.0, 0.0),
    )
    paint(canvas, TISSUES, np.random.default_rng(0))
    assert (canvas.image == -1000).all()
