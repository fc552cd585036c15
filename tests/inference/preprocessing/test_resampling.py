"""Edge-to-edge resampling: small answers by hand, others against scipy."""

import itertools

import numpy as np
import pytest
import scipy.ndimage

from inference.geometry import Geometry, Line
from inference.preprocessing.resampling import (
    MANY_TAPS,
    ONE_THREAD_PRODUCTS,
    in_plane,
    model_size,
    resample_geometry,
    resample_image,
    resample_labels,
    resample_slices,
    spline_limits,
    taps,
)

KINDS = ["linear", "area", "cubic", "nearest"]
SIZES = [(7, 9, 30), (26, 5, 4), (1, 1, 1), (13, 8, 50), (13, 17, 21)]


def line(*values):
    return np.array(values, np.float32).reshape(1, 1, -1)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).normal(size=(13, 17, 21)).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ((0, 1, 2, 3), 2, (0.5, 2.5)),  # output centres lie at input 0.5 and 2.5
        ((0, 8), 4, (0, 2, 6, 8)),  # at -0.25 (clamped), 0.25, 0.75, 1.25 (clamped)
        ((0, 1, 2), 2, (0.25, 1.75)),
        ((7,), 3, (7, 7, 7)),
        ((3, 5), 1, (4,)),
    ],
)
def test_linear_by_hand(values, size, expected):
    assert resample_image(line(*values), (1, 1, size)).ravel().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ((0, 10, 20, 60), 2, (5, 40)),  # means of pairs; linear between points gives the same
        (
            (0, 0, 9, 0, 0, 0),
            2,
            (3, 0),
        ),  # a bright voxel that falls between two points is not lost: linear gives 0
        ((0, 9, 0, 0), 3, (1.5, 4.5, 0)),  # less than two voxels to one: linear, at 0.17, 1.5 and 2.83
        (
            (2, 4, 6, 8, 10),
            2,
            (3.5, 8.125),
        ),  # blocks (2, 4), (6, 8), (10): outputs lie at block 0.125 and 1.375
    ],
)
def test_area_by_hand(values, size, expected):
    assert resample_image(line(*values), (1, 1, size), "area").ravel().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "size", "expected"),
    [
        ((1, 2), 4, (1, 1, 2, 2)),
        ((1, 2, 3), 2, (1, 3)),  # at 0.25 and 1.75
        ((1, 2, 3, 4), 2, (2, 4)),  # at 0.5 and 2.5: half-way the later voxel, as SciPy has it
        ((1, 2, 3), 5, (1, 1, 2, 3, 3)),  # at -0.2, 0.4, 1, 1.6, 2.2
        ((7,), 3, (7, 7, 7)),
    ],
)
def test_nearest_by_hand(values, size, expected):
    assert resample_image(line(*values), (1, 1, size), "nearest").ravel().tolist() == list(expected)


def test_nearest_is_nnunets_order_of_0():
    """nnU-Net: `map_coordinates(order=0, mode="nearest")` at `scale * (index + 0.5) - 0.5`."""
    for size, new_size in itertools.product((1, 2, 3, 7, 10, 24, 33), (1, 2, 3, 5, 8, 20, 41)):
        values = np.arange(size, dtype=np.float32)
        at = (size / new_size) * (np.arange(new_size) + 0.5) - 0.5
        expected = scipy.ndimage.map_coordinates(values, [at], order=0, mode="nearest")
        found = resample_image(values.reshape(-1, 1, 1), (new_size, 1, 1), "nearest").ravel()
        np.testing.assert_array_equal(found, expected if size != new_size else values)


def test_each_axis_by_its_own_kind():
    """Slices 0 and 10 twice each; within a slice halves of the way between 0 and 4."""
    image = np.array([[[0, 4]], [[10, 14]]], np.float32)
    found = resample_image(image, (4, 1, 4), ("nearest", "linear", "linear"))
    np.testing.assert_array_equal(found[:, 0], [[0, 1, 3, 4]] * 2 + [[10, 11, 13, 14]] * 2)
    found = resample_image(image, (4, 1, 4), ("linear", "linear", "nearest"))
    np.testing.assert_array_equal(found[:, 0, 0], [0, 2.5, 7.5, 10])
    np.testing.assert_array_equal(found[0, 0], [0, 0, 4, 4])


def test_a_spline_within_slices_is_that_of_each_slice_clipped_to_its_range(image):
    """What nnU-Net does where z is apart: `resize(order=3)` for each slice, then the nearest slice."""
    found = resample_image(image, (26, 30, 11), ("nearest", "cubic", "cubic"))
    for k, plane in enumerate(image):
        expected = scipy.ndimage.zoom(plane, (30 / 17, 11 / 21), order=3, mode="nearest", grid_mode=True)
        expected = expected.clip(plane.min(), plane.max())
        assert np.allclose(found[2 * k], expected, atol=5e-6)
        np.testing.assert_array_equal(found[2 * k + 1], found[2 * k])


def by_nnunet(image, size, apart, order_z):
    """`resample_data_or_seg` with one axis apart: each slice along it by a clipped spline, then that axis."""
    slices = np.moveaxis(image.astype(np.float64), apart, 0)
    in_plane = [m for axis, m in enumerate(size) if axis != apart]
    made = []
    for plane in slices:
        zoom = [m / n for n, m in zip(plane.shape, in_plane, strict=True)]
        spline = scipy.ndimage.zoom(plane, zoom, order=3, mode="nearest", grid_mode=True)
        made.append(spline.clip(plane.min(), plane.max()))
    zoom = (size[apart] / image.shape[apart], 1, 1)
    whole = scipy.ndimage.zoom(np.stack(made), zoom, order=order_z, mode="nearest", grid_mode=True)
    return np.moveaxis(whole, 0, apart)


@pytest.mark.parametrize("apart", [0, 1, 2])
@pytest.mark.parametrize(("along", "order_z"), [("nearest", 0), ("linear", 1)])
@pytest.mark.parametrize("size", [(26, 30, 11), (13, 17, 40), (7, 17, 40), (20, 9, 21)])
def test_whichever_axis_is_apart_its_slices_are_clipped_one_by_one(image, apart, along, order_z, size):
    """As nnU-Net does; slices that differ by 4 show what the range of the whole image would let through."""
    steps = 4 * np.arange(image.shape[apart], dtype=np.float32)
    image = image + steps.reshape([-1 if axis == apart else 1 for axis in range(3)])
    kinds = tuple(along if axis == apart else "cubic" for axis in range(3))
    found = resample_image(image, size, kinds)
    np.testing.assert_allclose(found, by_nnunet(image, size, apart, order_z), rtol=1e-6, atol=5e-5)


def test_a_spline_is_clipped_to_the_slices_along_the_axis_that_is_apart():
    """Two slices along x, one of 0 and 1, the other of 10 and 11."""
    image = np.zeros((6, 1, 2), np.float32)
    image[3:] += 1
    image[..., 1] += 10
    found = resample_image(image, (17, 1, 4), ("cubic", "cubic", "nearest"))
    assert (found[..., :2].min(), found[..., :2].max()) == (0, 1)
    assert (found[..., 2:].min(), found[..., 2:].max()) == (10, 11)
    low, high = spline_limits(image, ("cubic", "cubic", "nearest"))
    assert (low.tolist(), high.tolist()) == ([[0, 10]], [[1, 11]])
    low, high = spline_limits(image, ("cubic", "nearest", "cubic"))
    assert (low.tolist(), high.tolist()) == ([[0]], [[11]])
    low, high = spline_limits(image, ("cubic", "cubic", "cubic"))
    assert (low.tolist(), high.tolist()) == ([[0]], [[11]])
    assert spline_limits(image, ("nearest", "cubic", "cubic")) is None


@pytest.mark.parametrize(
    "along",
    [
        *KINDS,
        *(("nearest", "cubic", "cubic"), ("cubic", "nearest", "cubic"), ("cubic", "cubic", "linear")),
        ("cubic", "linear", "nearest"),
    ],
    ids=str,
)
def test_what_is_prepared_slice_by_slice_is_resampled_as_if_prepared_before(image, along):
    """Whatever the grouping, with limits given or found out."""

    def prepare(plane, index):
        return np.float32(index) - 2 * plane

    before = np.stack([prepare(plane, index) for index, plane in enumerate(image)])
    whole = resample_image(before, (9, 8, 30), along)
    limits = spline_limits(before, (along,) * 3 if isinstance(along, str) else along)
    for start, stop in [(0, 9), (0, 1), (3, 7), (8, 9)]:
        for given in (None, limits):
            found = resample_slices(image, (9, 8, 30), start, stop, along, prepare=prepare, limits=given)
            np.testing.assert_array_equal(found, whole[start:stop])


def test_linear_misses_what_area_keeps():
    assert resample_image(line(0, 9, 0, 0, 0, 0, 0, 0), (1, 1, 2), "linear").max() == pytest.approx(4.5)
    assert resample_image(line(9, 0, 0, 0, 0, 0, 0, 0), (1, 1, 2), "linear").max() == 0
    assert resample_image(line(9, 0, 0, 0, 0, 0, 0, 0), (1, 1, 2), "area").max() == pytest.approx(9 / 4)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("interpolation", "order"), [("linear", 1), ("cubic", 3)])
def test_same_as_scipy_and_so_as_nnunet(image, size, interpolation, order):
    zoom = [m / n for n, m in zip(image.shape, size, strict=True)]
    expected = scipy.ndimage.zoom(image, zoom, order=order, mode="nearest", grid_mode=True).clip(
        image.min(), image.max()
    )
    assert np.allclose(resample_image(image, size, interpolation), expected, atol=5e-6)


@pytest.mark.parametrize("interpolation", KINDS)
def test_same_size_is_the_same_image(interpolation):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    result = resample_image(array, (2, 3, 4), interpolation)
    assert result.dtype == np.float32
    assert np.array_equal(result, array)


def test_as_many_voxels_at_other_places_are_another_image():
    """Voxels of 0.9 of the image's own, the first one where the image's is."""
    found = resample_slices(line(0, 1, 2, 3, 4), (1, 1, 5), 0, 1, lines=(None, None, Line(0.0, 0.9)))
    assert found.ravel().tolist() == pytest.approx([0, 0.9, 1.8, 2.7, 3.6])


@pytest.mark.parametrize("interpolation", KINDS)
def test_a_constant_image_stays_constant(interpolation):
    assert np.allclose(
        resample_image(np.full((9, 10, 11), -1000, np.int16), (4, 25, 5), interpolation), -1000, atol=1e-3
    )


@pytest.mark.parametrize("interpolation", KINDS)
def test_slices_have_the_same_bits_in_any_grouping(image, interpolation):
    size = (9, 8, 30)
    whole = resample_image(image, size, interpolation)
    for start, stop in [(0, 1), (3, 7), (8, 9)]:
        assert np.array_equal(resample_slices(image, size, start, stop, interpolation), whole[start:stop])


@pytest.mark.parametrize("interpolation", KINDS)
def test_a_flipped_view_gives_the_flipped_image(image, interpolation):
    size = (6, 8, 30)
    flipped = resample_image(image[::-1, :, ::-1], size, interpolation)[::-1, :, ::-1]
    # A block that is not full lies at the other end then, so only `area` with whole blocks is symmetric;
    # `nearest` takes the later of two voxels that are equally near, here along no axis.
    tolerance = 1e-5 if interpolation != "area" else 1.0
    assert np.allclose(flipped, resample_image(image, size, interpolation), atol=tolerance)


def test_labels_by_hand():
    labels = np.array([1, 2, 3], np.uint8).reshape(1, 1, 3)
    assert resample_labels(labels, (1, 1, 6)).ravel().tolist() == [1, 1, 2, 2, 3, 3]
    assert resample_labels(labels, (1, 1, 1)).ravel().tolist() == [2]
    assert resample_labels(labels, (1, 1, 2)).ravel().tolist() == [1, 3]
    assert resample_labels(labels, (2, 2, 3)).tolist() == [[[1, 2, 3]] * 2] * 2


@pytest.mark.parametrize(
    ("size", "spacing", "target", "expected"),
    [
        ((100, 512, 512), (5.0, 0.8, 0.8), (2.5, 1.6, 1.6), (200, 256, 256)),
        ((1, 2, 3), (1.0, 1.0, 1.0), (4.0, 4.0, 4.0), (1, 1, 1)),  # never 0
        ((3, 3, 3), (1.0, 1.0, 1.0), (2.0, 2.0, 2.0), (2, 2, 2)),  # 1.5 is rounded to even, as numpy does
        # nnU-Net divides first: halves that are rounded to even, where 582 * 3.9 / 1.2 is below its half.
        ((582, 36, 1), (3.9, 1.95, 1.0), (1.2, 1.2, 1.0), (1892, 58, 1)),
    ],
)
def test_model_size(size, spacing, target, expected):
    assert model_size(size, spacing, target) == expected


def test_both_grids_have_the_same_edges(oblique):
    geometry = Geometry(
        size_zyx=(10, 8, 6), spacing_zyx_mm=(2.0, 1.0, 3.0), origin_xyz_mm=(5.0, 6.0, 7.0), direction=oblique
    )
    small = resample_geometry(geometry, (5, 8, 4))
    assert small.spacing_zyx_mm == (4.0, 1.0, 4.5)
    for a, b in [((-0.5,) * 3, (-0.5,) * 3), ((9.5, 7.5, 5.5), (4.5, 7.5, 3.5))]:
        assert np.allclose(geometry.to_world(a), small.to_world(b))


@pytest.mark.parametrize(
    ("kind", "size", "new_size"), [("area", 512, 75), ("cubic", 512, 400), ("cubic", 30, 70), ("cubic", 5, 3)]
)
@pytest.mark.parametrize("width", [1, 512, 40_000])
def test_many_taps_are_summed_by_products_that_one_thread_does(kind, size, new_size, width):
    """Every output once, with its weights at its inputs; no product larger than one output needs."""
    along = taps(size, new_size, kind)
    dense = np.zeros((new_size, size), np.float32)
    for outputs, inputs, weights in along.blocks(width):
        assert not dense[outputs].any()
        dense[outputs, inputs] = weights
        assert weights.size * width <= ONE_THREAD_PRODUCTS or len(weights) == 1
    values = np.random.default_rng(0).random(size)
    expected = (along.weight.astype(float) * values[along.index]).sum(axis=1)
    assert dense @ values == pytest.approx(expected, rel=1e-5)


def test_a_slice_by_many_taps_is_the_sum_over_them():
    plane = np.random.default_rng(1).random((90, 70)).astype(np.float32)
    along_y, along_x = taps(90, 14, "area"), taps(70, 61, "cubic")
    assert min(along_y.index.shape[1], along_x.index.shape[1]) >= MANY_TAPS
    rows = (plane[along_y.index] * along_y.weight[:, :, None]).sum(axis=1)
    expected = (rows[:, along_x.index] * along_x.weight).sum(axis=2)
    assert np.allclose(in_plane(plane, along_y, along_x), expected, atol=1e-6)
