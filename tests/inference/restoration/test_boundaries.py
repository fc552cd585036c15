"""Interpolate, then decide: at boundaries only, with the result of doing it everywhere."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from inference.restoration import boundaries as restoration
from inference.restoration import candidates
from inference.restoration.boundaries import Restorer
from inference.restoration.interpolation import axis_positions, interpolate, interpolate_axis
from inference.restoration.winners import decide
from inference.threads import ONE_THREAD, Threads
from tests.inference.fakes import SCORES, rule_for
from tests.places import real_data

LINEAR = ("linear", "linear", "linear")
ACTIVATIONS = ("softmax", "sigmoid")


def by_hand(values, size, rule):
    """All scores at each input voxel from its eight neighbours, in float64, then the winner."""
    out = np.zeros(size, np.uint8)
    grid = values.shape[1:]
    for voxel in itertools.product(*map(range, size)):
        value = np.zeros(values.shape[0])
        at = [min(max((i + 0.5) * m / n - 0.5, 0), m - 1) for i, n, m in zip(voxel, size, grid, strict=True)]
        for corner in itertools.product((0, 1), repeat=3):
            index = [min(int(p) + c, m - 1) for p, c, m in zip(at, corner, grid, strict=True)]
            weight = np.prod([p % 1 if c else 1 - p % 1 for p, c in zip(at, corner, strict=True)])
            value += weight * values[(slice(None), *index)]
        if rule.softmax:
            out[voxel] = value.argmax()
        else:
            on = [channel for channel in rule.order if value[channel] > rule.threshold]
            out[voxel] = on[-1] + 1 if on else 0
    return out


def plain(values, size, rule, along=LINEAR):
    """Every channel interpolated everywhere, then the winner."""
    if along == LINEAR:
        return decide(interpolate(values, size), rule)
    for axis, (n, kind) in enumerate(zip(size, along, strict=True), start=1):
        values = interpolate_axis(values, axis_positions(values.shape[axis], n, kind), axis)
    return decide(values, rule)


def by_slabs(values, size, rule, cuts, along=LINEAR, threads=ONE_THREAD):
    """Restored from slabs that end at `cuts`."""
    out = np.full(size, 77, np.uint8)
    restorer = Restorer(values.shape[1:], out, rule, threads, along=along)
    for slab in np.split(values, cuts, axis=1):
        restorer.add(slab)
    return out


def random_scores(seed, grid, activation, channels=4, rough=1.0, scores="probabilities"):
    values = np.random.default_rng(seed).normal(0, rough, (channels, *grid))
    for axis in (1, 2, 3):  # Neighbours that resemble each other make regions with an inside.
        values = (values + np.roll(values, 1, axis) + np.roll(values, -1, axis)) / np.sqrt(3)
    if scores == "logits":
        return values.astype(np.float32)
    if activation == "sigmoid":
        return (1 / (1 + np.exp(-values))).astype(np.float32)
    values = np.exp(values - values.max(axis=0)).astype(np.float32)
    return values / values.sum(axis=0)


SIZES = [
    ((4, 5, 6), (9, 7, 13)),
    ((9, 8, 7), (4, 5, 3)),
    ((3, 9, 5), (8, 4, 5)),
    ((1, 6, 6), (5, 9, 3)),
    ((5, 4, 4), (1, 1, 1)),
]


@pytest.mark.parametrize(("grid", "size"), SIZES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("scores", SCORES)
def test_equals_the_computation_voxel_by_voxel(grid, size, activation, scores):
    values = random_scores(sum(grid), grid, activation, scores=scores)
    rule = rule_for(activation, 4, scores, order=(2, 0, 3, 1))
    expected = by_hand(values, size, rule)
    np.testing.assert_array_equal(plain(values, size, rule), expected)
    np.testing.assert_array_equal(by_slabs(values, size, rule, []), expected)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("scores", SCORES)
def test_slabs_give_what_interpolating_everything_gives(seed, activation, scores, monkeypatch):
    random = np.random.default_rng(seed)
    monkeypatch.setattr(restoration, "BATCH_VOXELS", int(random.integers(5, 2000)))
    monkeypatch.setattr(
        restoration, "CROWDED", int(random.choice([0, 2, 5, 1_000_000]))
    )  # Voxel by voxel, mixed, boxes only.
    grid = tuple(int(n) for n in random.integers(1, 20, 3))
    size = tuple(int(n) for n in random.integers(1, 40, 3))
    channels = int(random.choice([2, 9, 14, 40]))
    rough = float(random.choice([5.0, 30.0]))  # Logits near each other, and far beyond `REACH` apart.
    values = random_scores(seed, grid, activation, channels, rough, scores)
    rule = rule_for(activation, channels, scores, order=tuple(int(n) for n in random.permutation(channels)))
    along = tuple(str(kind) for kind in random.choice(["linear", "nearest"], 3, p=[0.8, 0.2]))
    cuts = sorted({int(n) for n in random.integers(1, grid[0] + 1, 3)} - {grid[0]})
    expected = plain(values, size, rule, along)
    np.testing.assert_array_equal(by_slabs(values, size, rule, cuts, along), expected)
    np.testing.assert_array_equal(by_slabs(values, size, rule, range(1, grid[0]), along), expected)
    np.testing.assert_array_equal(by_slabs(values, size, rule, cuts, along, Threads(3)), expected)


@pytest.mark.parametrize("along", list(itertools.product(("linear", "nearest"), repeat=3)))
@pytest.mark.parametrize("scores", SCORES)
@pytest.mark.parametrize(("grid", "size"), [((5, 8, 7), (12, 9, 20)), ((9, 6, 11), (4, 13, 5))])
def test_nearest_along_any_axis(along, scores, grid, size):
    values = random_scores(1, grid, "softmax", 6, 12.0, scores)
    rule = rule_for(channels=6, scores=scores)
    expected = plain(values, size, rule, along)
    np.testing.assert_array_equal(by_slabs(values, size, rule, [2, 3], along), expected)
    if along == ("nearest",) * 3:
        index = [((2 * np.arange(n) + 1) * m // (2 * n)) for n, m in zip(size, grid, strict=True)]
        np.testing.assert_array_equal(expected, decide(values, rule)[np.ix_(*index)])


ROOMS = [pytest.param(0, id="voxel by voxel"), pytest.param(1_000_000, id="boxes")]
"""Values of `CROWDED` that choose how what is undecided is interpolated."""


@pytest.mark.parametrize("crowded", ROOMS)
@pytest.mark.parametrize(
    ("low", "high"),
    [
        pytest.param((10, 0, 9), (0, 10, 9), id="within reach of the winners"),
        pytest.param(
            (100, 0, 80), (0, 100, 80), id="beyond reach of the winners: seen at the second look only"
        ),
    ],
)
def test_a_class_that_wins_at_no_voxel_may_win_between_two(low, high, crowded, monkeypatch):
    """A quarter of the way scores are 7.5, 2.5, 9 and 75, 25, 80; three quarters, two are swapped."""
    monkeypatch.setattr(restoration, "CROWDED", crowded)
    values = np.array([low, high], np.float32).T.reshape(3, 1, 1, 2)
    rule = rule_for(scores="logits")
    for axis in (1, 2, 3):
        turned, size = np.moveaxis(values, 3, axis), [1, 1, 1]
        size[axis - 1] = 4
        assert by_slabs(turned, tuple(size), rule, []).ravel().tolist() == [0, 2, 2, 1]


@pytest.mark.parametrize("crowded", ROOMS)
def test_a_class_between_one_and_two_reaches_of_the_winners_is_seen_at_the_second_look(crowded, monkeypatch):
    """Half-way scores are 15, 15 and 18; at either end the third class lies 12 below the winner."""
    monkeypatch.setattr(restoration, "CROWDED", crowded)
    values = np.array([(30, 0, 18), (0, 30, 18)], np.float32).T.reshape(3, 1, 1, 2)
    assert by_slabs(values, (1, 1, 3), rule_for(scores="logits"), []).ravel().tolist() == [0, 2, 1]


@pytest.mark.parametrize("crowded", ROOMS)
@pytest.mark.parametrize("high", [(90, 99, 80), (0, 100, 80)])
def test_there_may_be_no_doubt_for_a_second_look(high, crowded, monkeypatch):
    """From (100, 0, 80) to (90, 99, 80) the best is 92.5 or more, the ceiling less 10 is 89.75 or less."""
    monkeypatch.setattr(restoration, "CROWDED", crowded)
    values, rule = np.array([(100, 0, 80), high], np.float32).T.reshape(3, 1, 1, 2), rule_for(scores="logits")
    np.testing.assert_array_equal(by_slabs(values, (1, 1, 4), rule, []), plain(values, (1, 1, 4), rule))


def test_slabs_may_come_in_one_buffer_that_is_filled_again():
    """Two slices of the first class and two of the second, handed over two at a time."""
    values = np.zeros((2, 4, 1, 1), np.float32)
    values[0, :2], values[0, 2:] = 0.9, 0.1
    values[1] = 1 - values[0]
    out, buffer = np.full((8, 1, 1), 77, np.uint8), np.empty((2, 2, 1, 1), np.float32)
    restorer = Restorer((4, 1, 1), out, rule_for(channels=2), ONE_THREAD)
    for first in (0, 2):
        buffer[...] = values[:, first : first + 2]
        restorer.add(buffer)
    assert out.ravel().tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("reach", [0.0, 0.5, 3.0, 1e6])
@pytest.mark.parametrize("crowded", [0, 5])
def test_the_reach_does_not_matter_to_the_result(reach, crowded, monkeypatch):
    monkeypatch.setattr(restoration, "CROWDED", crowded)
    monkeypatch.setattr(restoration, "REACH", reach)
    monkeypatch.setattr(candidates, "REACH", reach)
    values = random_scores(3, (7, 8, 9), "softmax", 9, 10.0, "logits")
    rule = rule_for(channels=9, scores="logits")
    np.testing.assert_array_equal(
        by_slabs(values, (15, 17, 10), rule, [3]), plain(values, (15, 17, 10), rule)
    )


def test_logits_that_are_equal_or_differ_by_rounding():
    """Ties go to the first class, as in argmax; a difference of one bit does not pass for a sure winner."""
    rule = rule_for(scores="logits")
    values = np.full((3, 3, 3, 3), 1000.0, np.float32)
    assert np.all(by_slabs(values, (7, 7, 7), rule, []) == 0)
    values[1, :, :, 1:] = np.nextafter(np.float32(1000), np.float32(2000))
    values[2, 1:] = values[1, 1, 1, 1]
    np.testing.assert_array_equal(by_slabs(values, (7, 7, 7), rule, [1]), plain(values, (7, 7, 7), rule))


def test_classes_that_differ_by_one_bit_everywhere():
    """Which of two is larger changes from voxel to voxel; all are below 0, where rounding counts as above."""
    random, rule = np.random.default_rng(0), rule_for(channels=2, scores="logits")
    for _ in range(20):
        first = random.uniform(-40, -5, (5, 6, 7)).astype(np.float32)
        to = np.where(random.random(first.shape) < 0.5, np.float32(-100), np.float32(0))
        values = np.stack([first, np.nextafter(first, to)])
        expected = plain(values, (13, 11, 17), rule)
        np.testing.assert_array_equal(by_slabs(values, (13, 11, 17), rule, []), expected)


def test_priority_under_sigmoid():
    """Channels 0 and 2 are on to the left, all three to the right: the last one in the order wins."""
    values = np.array([(4, -1, 2), (0.5, 3, 0.5)], np.float32).T.reshape(3, 1, 1, 2)
    for order, left, right in (((0, 1, 2), 3, 3), ((2, 1, 0), 1, 1), ((0, 2, 1), 3, 2)):
        rule = rule_for("sigmoid", 3, "logits", order)
        found = by_slabs(values, (1, 1, 2), rule, []).ravel().tolist()
        assert found == [left, right]
    # A quarter of the way channel 1 is at -1 + 0.25 * 4 = 0, which is not above 0; three quarters, at 2.
    rule = rule_for("sigmoid", 3, "logits", (0, 2, 1))
    assert by_slabs(values, (1, 1, 4), rule, []).ravel().tolist() == [3, 3, 2, 2]


@pytest.mark.parametrize("part", [(0, 1), (3, 9), (10, 25), (24, 25)])
@pytest.mark.parametrize("depth", [8, 60])
def test_a_part_is_that_of_the_whole(part, depth):
    probabilities, rule = random_scores(7, (depth, 5, 4), "softmax"), rule_for(channels=4)
    out = np.full((25, 9, 10), 77, np.uint8)
    restorer = Restorer((depth, 5, 4), out, rule, ONE_THREAD, part=part)
    first, stop = restorer.needs
    for z in range(first, stop, 3):
        restorer.add(probabilities[:, z : min(z + 3, stop)])
    inside = slice(*part)
    np.testing.assert_array_equal(out[inside], plain(probabilities, (25, 9, 10), rule)[inside])
    assert np.all(np.delete(out, np.s_[inside], axis=0) == 77)


def test_ties_go_to_the_first_channel_as_in_argmax():
    probabilities = np.zeros((3, 2, 2, 2), np.float32)
    probabilities[1:] = 0.5
    assert np.all(by_slabs(probabilities, (3, 3, 3), rule_for(), []) == 1)
    probabilities[:] = 1 / 3
    assert np.all(by_slabs(probabilities, (3, 3, 3), rule_for(), []) == 0)


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
    found = by_slabs(probabilities, (20, 20, 20), rule_for(channels=2), [4])
    assert np.all(found == (np.arange(20) >= 10))
    assert sum(counted) == 20 * 20 * 2  # The two columns between model columns 4 and 5.


def test_a_view_turned_and_flipped_is_written_in_place():
    probabilities, rule = random_scores(5, (6, 5, 4), "softmax"), rule_for(channels=4)
    stored = np.zeros((8, 9, 10), np.uint8)
    Restorer((6, 5, 4), stored.transpose(2, 0, 1)[::-1], rule, ONE_THREAD).add(probabilities)
    np.testing.assert_array_equal(stored.transpose(2, 0, 1)[::-1], plain(probabilities, (10, 8, 9), rule))


@pytest.mark.parametrize("size", [(60, 100, 120), (20, 90, 40), (45, 30, 150)])
def test_real_anatomy(size):
    path = real_data("label_maps/ts_s0327_label13.nii.gz")
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[65:105, 10:70, 15:95]
    hard = (labels == np.arange(14).reshape(-1, 1, 1, 1)).astype(np.float32)
    soft = sum(np.roll(hard, shift, axis) for shift in (-1, 0, 1) for axis in (1, 2, 3)) / np.float32(9)
    rule = rule_for(channels=14)
    np.testing.assert_array_equal(by_slabs(soft, size, rule, [7, 20, 21]), plain(soft, size, rule))
    logits, rule = np.log(soft + np.float32(1e-9)), rule_for(channels=14, scores="logits")
    np.testing.assert_array_equal(by_slabs(logits, size, rule, [7, 20, 21]), plain(logits, size, rule))
