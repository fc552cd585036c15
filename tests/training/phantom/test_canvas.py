"""Painting: volumes, partial volume, labels, and who yields to whom."""

import numpy as np
import pytest

from tests.training.phantom.plain import plain_canvas, plain_frame
from training.phantom.canvas import Canvas, Field, carve, overlap
from training.phantom.shapes import ellipsoid


def ball(frame, x, radius):
    whole = frame.whole()
    return Field(whole, ellipsoid(whole, (x, 0, 0), (radius, radius, radius)))


def test_a_painted_sphere_has_its_volume_and_its_hu():
    frame = plain_frame()
    canvas = Canvas(
        frame=frame,
        shape=(60, 60, 60),
        spacing_zyx_mm=(1.2, 1.2, 1.2),
        blur_zyx_mm=(1.2, 1.2, 1.2),
        offset_zyx_mm=(4.0, 4.0, 4.0),
    )
    canvas.paint(ball(frame, 0, 20), 60.0, label=1)
    expected = 4 / 3 * np.pi * 20**3
    assert (canvas.labels == 1).sum() * 1.2**3 == pytest.approx(expected, rel=0.02)
    assert canvas.image[30, 30, 30] == pytest.approx(60.0)
    # Partial volume: the mean of the image knows the sphere's volume better than whole voxels do.
    assert (canvas.image + 1000).sum() / 1060 * 1.2**3 == pytest.approx(expected, rel=0.01)


def test_the_edge_is_as_wide_as_the_scanner_averages():
    """A wall at x = 1 between voxels of 2 mm: the voxels at 0 and 2 are filled by 1 and 0."""
    canvas = plain_canvas()
    whole = canvas.frame.whole()
    canvas.paint(Field(whole, whole.x - np.float32(1)), 0.0, label=3)
    row = canvas.image[20, 20, 19:23]
    np.testing.assert_allclose(row, [0, 0, -1000, -1000], atol=1)
    canvas = plain_canvas()
    canvas.paint(Field(whole, whole.x - np.float32(0.5)), 0.0, label=3)
    # The voxel at 0 reaches from -1 to 1, of which three quarters lie inside.
    assert canvas.image[20, 20, 20] == pytest.approx(-250, abs=2)
    assert canvas.labels[20, 20, 20] == 3
    assert canvas.labels[20, 20, 21] == 0


def test_within_leaves_every_other_label_alone():
    canvas = plain_canvas()
    frame = canvas.frame
    canvas.paint(ball(frame, 0, 15), 100.0, label=1)
    canvas.paint(ball(frame, 10, 15), 0.0, within=1)
    assert set(np.unique(canvas.labels)) == {0, 1}
    beyond = canvas.image[20, 20, 20 + 11]  # 22 mm: inside the second ball only
    assert beyond == -1000
    assert canvas.image[20, 20, 20 + 3] == pytest.approx(0)
    assert canvas.image[20, 20, 20 - 5] == pytest.approx(100)


def test_a_later_label_wins():
    canvas = plain_canvas()
    canvas.paint(ball(canvas.frame, 0, 15), 100.0, label=1)
    canvas.paint(ball(canvas.frame, 10, 10), 50.0, label=2)
    assert canvas.labels[20, 20, 25] == 2
    assert canvas.labels[20, 20, 15] == 1


def test_paint_without_a_label_leaves_labels_alone():
    canvas = plain_canvas()
    canvas.paint(ball(canvas.frame, 0, 15), 100.0)
    assert not canvas.labels.any()
    assert canvas.image[20, 20, 20] == 100


def test_a_tissue_may_differ_from_point_to_point():
    canvas = plain_canvas()
    whole = canvas.frame.whole()
    canvas.paint(Field(whole, whole.x * 0 - 5), whole.x)
    np.testing.assert_allclose(canvas.image[20, 20], np.arange(-40, 41, 2), atol=1e-3)


@pytest.mark.parametrize("x", [500.0, -500.0])
def test_what_lies_outside_the_scan_is_not_painted(x):
    canvas = plain_canvas()
    canvas.paint(ball(canvas.frame, x, 15), 100.0, label=1)
    region = canvas.frame.region((x, 0, 0), (x, 1, 1))
    canvas.paint(Field(region, region.x), 100.0, label=1)
    assert (canvas.image == -1000).all()
    assert not canvas.labels.any()


def test_carving_leaves_the_gap():
    frame = plain_frame()
    organ, neighbour = ball(frame, -8, 15), ball(frame, 8, 15)
    carved = carve(organ, neighbour, 2.0)
    assert (carved.distance[neighbour.distance < 1.9] > 0).all()
    assert (carved.distance < 0).any()
    assert (carved.distance >= organ.distance - 1e-5).all()


def test_a_gap_may_differ_from_point_to_point():
    frame = plain_frame()
    organ, neighbour = ball(frame, -8, 15), ball(frame, 8, 15)
    gap = np.where(frame.whole().z < 0, np.float32(1), np.float32(4))
    carved = carve(organ, neighbour, gap)
    below, above = frame.whole().z < -4, frame.whole().z > 4
    assert (carved.distance[above & (neighbour.distance < 3.9)] > 0).all()
    assert (carved.distance[below & (neighbour.distance > 2) & (neighbour.distance < 3.5)] < 0).any()


def test_organs_far_apart_do_not_change_each_other():
    frame = plain_frame(half_mm=80)
    left, right = (frame.region((x - 5, -5, -5), (x + 5, 5, 5)) for x in (-60, 60))
    organ, other = (
        Field(region, ellipsoid(region, (x, 0, 0), (5, 5, 5))) for region, x in ((left, -60), (right, 60))
    )
    assert overlap(left, right) is None
    assert carve(organ, other, 2.0) is organ


def test_the_common_box_of_two_regions_is_the_same_points():
    frame = plain_frame(half_mm=80)
    a, b = frame.region((-30, -20, -20), (10, 20, 20)), frame.region((0, -10, -40), (40, 30, 5))
    own, other = overlap(a, b)
    np.testing.assert_array_equal(a.x[own], b.x[other])
    np.testing.assert_array_equal(a.z[own], b.z[other])
    assert a.x[own].size
