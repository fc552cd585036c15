"""Interpolate, then decide: at boundaries only, with the result of doing it everywhere."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from inference.restoration import boundaries as restoration
from inference.restoration.boundaries import Restorer, classify, decide
from inference.restoration.interpolation import interpolate
from tests.places import real_data


def by_hand(probabilities, size, activation):
    """All class probabilities at each input voxel from its eight neighbours, in float64, then the winner."""
    out = np.zeros(size, np.uint8)
    grid = probabilities.shape[1:]
    for voxel in itertools.product(*map(range, size)):
        value = np.zeros(probabilities.shape[0])
        at = [min(max((i + 0.5) * m / n - 0.5, 0), m - 1) for i, n, m in zip(voxel, size, grid, strict=True)]
        for corner in itertools.product((0, 1), repeat=3):
            index = [min(int(p) + c, m - 1) for p, c, m in zip(at, corner, grid, strict=True)]
            weight = np.prod([p % 1 if c else 1 - p % 1 for p, c in zip(at, corner, strict=True)])
            value += weight * probabilities[(slice(None), *index)]
        if activation == "softmax":
            out[voxel] = value.argmax()
        else:
            on = np.flatnonzero(value > 0.5)
            out[voxel] = on[-1] + 1 if len(on) else 0
    return out


def plain(probabilities, size, activation):
    return decide(interpolate(probabilities, size), activation)


def by_slabs(probabilities, size, activation, cuts):
    """Restored from slabs that end at `cuts`."""
    out = np.full(size, 77, np.uint8)
    restorer = Restorer(probabilities.shape[1:], out, activation)
    for slab in np.split(probabilities, cuts, axis=1):
        restorer.add(slab)
    return out


def random_probabilities(seed, grid, activation, channels=4, rough=1.0):
    values = np.random.default_rng(seed).normal(0, rough, (channels, *grid))
    for axis in (1, 2, 3):  # Neighbours that resemble each other make regions with an inside.
        values = (values + np.roll(values, 1, axis) + np.roll(values, -1, axis)) / np.sqrt(3)
    if activation == "sigmoid":
        return (1 / (1 + np.exp(-values))).astype(np.float32)
    values = np.exp(values).astype(np.float32)
    return values / values.sum(axis=0)


SIZES = [
    ((4, 5, 6), (9, 7, 13)),
    ((9, 8, 7), (4, 5, 3)),
    ((3, 9, 5), (8, 4, 5)),
    ((1, 6, 6), (5, 9, 3)),
    ((5, 4, 4), (1, 1, 1)),
]


@pytest.mark.parametrize(("grid", "size"), SIZES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_equals_the_computation_voxel_by_voxel(grid, size, activation):
    probabilities = random_probabilities(sum(grid), grid, activation)
    expected = by_hand(probabilities, size, activation)
    np.testing.assert_array_equal(plain(probabilities, size, activation), expected)
    np.testing.assert_array_equal(by_slabs(probabilities, size, activation, []), expected)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_slabs_give_what_interpolating_everything_gives(seed, activation, monkeypatch):
    random = np.random.default_rng(seed)
    monkeypatch.setattr(restoration, "BATCH_VOXELS", int(random.integers(5, 2000)))
    monkeypatch.setattr(
        restoration, "CROWDED", int(random.choice([0, 2, 5, 1_000_000]))
    )  # Voxel by voxel, mixed, boxes only.
    grid = tuple(int(n) for n in random.integers(1, 20, 3))
    size = tuple(int(n) for n in random.integers(1, 40, 3))
    probabilities = random_probabilities(
        seed, grid, activation, channels=int(random.choice([2, 9, 14, 40])), rough=5.0
    )
    cuts = sorted({int(n) for n in random.integers(1, grid[0] + 1, 3)} - {grid[0]})
    expected = plain(probabilities, size, activation)
    np.testing.assert_array_equal(by_slabs(probabilities, size, activation, cuts), expected)
    np.testing.assert_array_equal(by_slabs(probabilities, size, activation, range(1, grid[0])), expected)


@pytest.mark.parametrize("part", [(0, 1), (3, 9), (10, 25), (24, 25)])
@pytest.mark.parametrize("depth", [8, 60])
def test_a_part_is_that_of_the_whole(part, depth):
    probabilities = random_probabilities(7, (depth, 5, 4), "softmax")
    out = np.full((25, 9, 10), 77, np.uint8)
    restorer = Restorer((depth, 5, 4), out, "softmax", part)
    first, stop = restorer.needs
    for z in range(first, stop, 3):
        restorer.add(probabilities[:, z : min(z + 3, stop)])
    inside = slice(*part)
    np.testing.assert_array_equal(out[inside], plain(probabilities, (25, 9, 10), "softmax")[inside])
    assert np.all(np.delete(out, np.s_[inside], axis=0) == 77)


def test_ties_go_to_the_first_channel_as_in_argmax():
    probabilities = np.zeros((3, 2, 2, 2), np.float32)
    probabilities[1:] = 0.5
    assert np.all(by_slabs(probabilities, (3, 3, 3), "softmax", []) == 1)
    probabilities[:] = 1 / 3
    assert np.all(by_slabs(probabilities, (3, 3, 3), "softmax", []) == 0)


def test_only_boundaries_are_interpolated(monkeypatch):
    probabilities = np.zeros((2, 10, 10, 10), np.float32)
    probabilities[0, :, :, :5] = probabilities[1, :, :, 5:] = 1
    counted = []
    monkeypatch.setattr(restoration, "CROWDED", 0)
    interpolated = restoration._Boundary._interpolated
    monkeypatch.setattr(
        restoration._Boundary,
        "_interpolated",
        lambda self, at: counted.append(len(at)) or interpolated(self, at),
    )
    found = by_slabs(probabilities, (20, 20, 20), "softmax", [4])
    assert np.all(found == (np.arange(20) >= 10))
    assert sum(counted) == 20 * 20 * 2  # The two columns between model columns 4 and 5.


def test_a_view_turned_and_flipped_is_written_in_place():
    probabilities = random_probabilities(5, (6, 5, 4), "softmax")
    stored = np.zeros((8, 9, 10), np.uint8)
    Restorer((6, 5, 4), stored.transpose(2, 0, 1)[::-1], "softmax").add(probabilities)
    np.testing.assert_array_equal(
        stored.transpose(2, 0, 1)[::-1], plain(probabilities, (10, 8, 9), "softmax")
    )


@pytest.mark.parametrize("size", [(60, 100, 120), (20, 90, 40), (45, 30, 150)])
def test_real_anatomy(size):
    path = real_data("label_maps/ts_s0327_label13.nii.gz")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[65:105, 10:70, 15:95]
    hard = (labels == np.arange(14).reshape(-1, 1, 1, 1)).astype(np.float32)
    soft = sum(np.roll(hard, shift, axis) for shift in (-1, 0, 1) for axis in (1, 2, 3)) / np.float32(9)
    np.testing.assert_array_equal(by_slabs(soft, size, "softmax", [7, 20, 21]), plain(soft, size, "softmax"))


def test_decide_by_hand():
    probabilities = np.array([[0.5, 0.2, 0.4], [0.5, 0.3, 0.6], [0.0, 0.5, 0.7]], np.float32)
    assert decide(probabilities, "softmax").tolist() == [0, 2, 2]
    assert decide(probabilities, "sigmoid").tolist() == [0, 0, 3]


def test_classify_by_hand():
    probabilities = np.array([[0.9, 0.4, 0.1], [0.05, 0.35, 0.2], [0.05, 0.25, 0.7]], np.float32).reshape(
        3, 1, 1, 3
    )
    sure, possible = classify(probabilities, "softmax")
    assert sure[0, 0].tolist() == [0, 255, 2]
    assert possible[0, 0, 0].tolist() == [0b001, 0b011, 0b100]
    sure, _ = classify(probabilities, "sigmoid")
    assert sure[0, 0].tolist() == [1, 0, 3]
