"""Slices are means over their thickness."""

import numpy as np
import pytest

from training.phantom.bodies.slices import SliceGeometry, random_slices, scan


def planes(count):
    """Plane n has the value n everywhere, and the label n."""
    image = np.arange(count, dtype=np.float32)[:, None, None] * np.ones((1, 2, 3), dtype=np.float32)
    return image, image.astype(np.uint8)


@pytest.mark.parametrize(
    ("thickness", "spacing", "means", "centres"),
    [
        (4.0, 4.0, [0.5, 2.5, 4.5, 6.5], [1, 3, 5, 7]),  # two planes of 2 mm a slice
        (4.0, 2.0, [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5], [1, 2, 3, 4, 5, 6, 7]),  # overlapping
        (2.0, 6.0, [0.0, 3.0, 6.0], [0, 3, 6]),  # with gaps
        (3.0, 3.0, [1 / 3, 5 / 3, 10 / 3, 14 / 3, 19 / 3], [0, 2, 3, 5, 6]),  # one plane and a half
    ],
)
def test_a_slice_is_the_mean_of_what_it_covers(thickness, spacing, means, centres):
    image, labels = scan(*planes(8), 2.0, SliceGeometry(thickness, spacing))
    np.testing.assert_allclose(image[:, 0, 0], means, rtol=1e-6)
    assert labels[:, 0, 0].tolist() == centres


def test_a_stack_shorter_than_a_slice_becomes_one():
    image, labels = scan(*planes(3), 2.0, SliceGeometry(10.0, 10.0))
    assert image.shape == (1, 2, 3)
    assert image[0, 0, 0] == pytest.approx(1.0)
    assert labels[0, 0, 0] == 2


def test_thin_and_thick_slices_are_drawn():
    drawn = [random_slices(np.random.default_rng(seed)) for seed in range(200)]
    assert {s.thickness_mm for s in drawn} >= {0.6, 5.0, 10.0}
    assert {s.spacing_mm > s.thickness_mm for s in drawn} == {True, False}


def test_length_is_from_the_first_slices_face_to_the_lasts():
    assert SliceGeometry(5.0, 4.0).length_of(8) == 33.0
