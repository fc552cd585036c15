"""Label maps as anatomy: a body of boxes, whose measures are known."""

from dataclasses import replace

import numpy as np
import pytest

from model.labels import FLARE23
from tests.training.phantom.plain import plain_frame, plain_pose
from training.phantom.maps import anatomy_from_labels, fit_trunk, sample_organs
from training.phantom.torso import build_torso, random_habitus

IDS = FLARE23.ids
SPACING = (4.0, 3.0, 3.0)


def boxes():
    """z to the head, y to the back, x to the left: aorta before the spine, liver right, spleen left."""
    labels = np.zeros((70, 80, 110), np.uint8)
    labels[:, 52:58, 52:58] = IDS["aorta"]
    labels[30:55, 20:55, 15:48] = IDS["liver"]
    labels[35:50, 40:62, 70:88] = IDS["spleen"]
    labels[22:36, 52:66, 28:42] = IDS["right kidney"]
    labels[22:36, 52:66, 68:82] = IDS["left kidney"]
    labels[34:48, 25:40, 55:75] = IDS["stomach"]
    return labels


@pytest.fixture(scope="module")
def body():
    return anatomy_from_labels("boxes", boxes(), SPACING)


def test_organs_are_those_of_the_map(body):
    assert set(body.organs) == {"aorta", "liver", "spleen", "right kidney", "left kidney", "stomach"}
    assert "pancreas" in body.missing()
    assert "tumor" not in body.missing()


def test_the_kidneys_say_where_the_body_lies(body):
    # Rows 22 to 35 of 4 mm: their middle, 114 mm, is canonical -28.
    assert body.origin_z_mm == pytest.approx(114 + 28)


def test_the_diaphragm_stands_above_liver_and_spleen(body):
    # Liver ends with row 54, 216 mm; spleen with row 49, 196 mm; three millimetres above each.
    assert body.dome_mm == pytest.approx(216 - 142 + 3)
    assert body.left_drop_mm == pytest.approx(20)


def test_the_map_is_trusted_up_to_its_ends_where_an_organ_is_cut(body):
    assert body.range_mm == pytest.approx((0 - 142, 69 * 4 - 142))
    shorter = boxes()
    shorter[:3], shorter[-3:] = 0, 0
    assert anatomy_from_labels("inside", shorter, SPACING).range_mm == (-np.inf, np.inf)


def test_distances_are_those_of_the_boxes(body):
    organ = body.organs["spleen"]
    middle = tuple(m - s for m, s in zip((42, 50, 79), organ.start_zyx, strict=True))
    # The nearest side is along x: 9 voxels of 3 mm.
    assert organ.distance[middle] == pytest.approx(-27, abs=2.5)
    beside = (middle[0], middle[1], 88 + 3 - organ.start_zyx[2])
    assert organ.distance[beside] == pytest.approx(10.5, abs=2)


def test_an_organ_that_the_maps_end_cuts_goes_on_beyond_it(body):
    aorta = body.organs["aorta"]
    assert (aorta.distance[:, 8, 8] < 0).all()


@pytest.mark.parametrize("organ", ["liver", "aorta"])
def test_a_map_without_what_orients_it_is_refused(organ):
    labels = boxes()
    labels[labels == IDS[organ]] = 0
    with pytest.raises(ValueError, match="label map odd: needs liver, aorta and a kidney to be oriented"):
        anatomy_from_labels("odd", labels, SPACING)


def test_one_kidney_is_enough_and_none_is_not():
    labels = boxes()
    labels[labels == IDS["left kidney"]] = 0
    assert "left kidney" in anatomy_from_labels("one", labels, SPACING).missing()
    labels[labels == IDS["right kidney"]] = 0
    with pytest.raises(ValueError, match="a kidney"):
        anatomy_from_labels("none", labels, SPACING)


def test_the_trunk_fits_around_a_wider_body(body):
    wide = anatomy_from_labels("wide", boxes(), (4.0, 3.0, 4.5))
    assert wide.scale_xyz[0] > 1.3 * body.scale_xyz[0]
    assert wide.scale_xyz[2] == 1


def test_a_drawn_pose_and_trunk_take_the_bodys_measures(body):
    pose = body.pose(plain_pose())
    assert pose.size_xyz == pytest.approx(body.scale_xyz)
    habitus = body.habitus(random_habitus(np.random.default_rng(0)))
    assert (habitus.dome_mm, habitus.left_drop_mm) == (body.dome_mm, body.left_drop_mm)


def test_sampled_organs_keep_their_volume(body):
    straight = replace(body, scale_xyz=(1.0, 1.0, 1.0), centre_xy_mm=np.full_like(body.centre_xy_mm, 160.0))
    frame = plain_frame(half_mm=160.0, step_mm=4.0)
    fields = sample_organs(frame, straight)
    for name in ("liver", "spleen", "left kidney", "stomach"):
        expected = (boxes() == IDS[name]).sum() * np.prod(SPACING)
        found = (fields[name].distance < 0).sum() * 4.0**3
        assert found == pytest.approx(expected, rel=0.12), name


def test_organs_outside_the_scan_are_left_out(body):
    frame = plain_frame(half_mm=20.0)
    far = replace(body, origin_z_mm=body.origin_z_mm + 1000)
    assert sample_organs(frame, far) == {}


def test_the_trunk_is_pushed_aside_by_organs(body):
    frame = plain_frame(half_mm=160.0, step_mm=4.0)
    torso = build_torso(frame, random_habitus(np.random.default_rng(0)), np.random.default_rng(0))
    fields = sample_organs(frame, body)
    fitted = fit_trunk(torso, fields)
    for name in ("liver", "spleen"):
        inside = fields[name].distance < 0
        box = fields[name].region.slices
        assert (fitted.belly[box][inside] < 0).all()
        assert (fitted.skin[box][inside] < -10).all()
        assert (fitted.above_dome[box][inside] < 0).all()
    assert (fitted.skin <= torso.skin + 1e-5).all()
