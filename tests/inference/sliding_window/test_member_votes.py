"""What members say by themselves, on a coarse grid, and how far they agree."""

import itertools

import numpy as np
import pytest

from inference.sliding_window.groups import Group, Pass
from inference.sliding_window.member_votes import FEWEST_POINTS, MOST_POINTS, Ballot, agreement, points_over
from tests.inference.fakes import FakeImage, FakeSession, member, rule_for

CHANNELS = ("background", "a", "b")


@pytest.mark.parametrize(
    ("size", "spacing", "points"),
    [
        ((100, 200, 300), (2.0, 1.0, 1.0), (40, 40, 60)),
        ((1, 4, 4), (1.0, 1.0, 1.0), (1, 1, 1)),
        ((3, 100, 100), (5.0, 5.0, 5.0), (3, 100, 100)),
    ],
)
def test_points_are_5_mm_apart(size, spacing, points):
    assert points_over(size, spacing) == points


def test_there_are_never_too_many_points():
    points = points_over((2000, 512, 512), (1.0, 1.0, 1.0))
    assert MOST_POINTS / 2 < np.prod(points) <= MOST_POINTS


def shows_values():
    """A network whose winner is the value of the voxel, 0 to 2."""
    return FakeSession(lambda window: np.stack([-np.abs(window - value) for value in (0, 1, 2)]) * 9)


@pytest.mark.parametrize("points", [(10, 14, 20), (5, 7, 10), (20, 28, 40), (3, 5, 7), (1, 1, 1)])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.7])
@pytest.mark.parametrize("window", [(8, 10, 12), (30, 30, 50), (20, 28, 40)])
def test_every_point_is_taken_from_the_voxel_that_it_lies_in(points, overlap, window):
    image = np.random.default_rng(0).integers(0, 3, (20, 28, 40)).astype(np.float32)
    of = member(window_zyx=window, overlap=overlap)
    ballot = Ballot(points, image.shape, of, rule_for())
    once = Pass(member=of, image=FakeImage(image), session=shows_values, ballot=ballot)
    list(Group(passes=[once], channels=CHANNELS, rule=rule_for()).slabs(0, 20))
    at = [
        np.array([int((i + 0.5) * n / p) for i in range(p)]) for n, p in zip(image.shape, points, strict=True)
    ]
    np.testing.assert_array_equal(ballot.winners, image[np.ix_(*at)])


def test_each_point_is_asked_of_one_window():
    of = member(window_zyx=(8, 10, 12), overlap=0.6)
    ballot = Ballot((20, 28, 40), (20, 28, 40), of, rule_for())
    taken = np.zeros((20, 28, 40), int)
    for z, y, x in itertools.product(*(axis.bounds.values() for axis in ballot._axes)):
        taken[slice(*z), slice(*y), slice(*x)] += 1
    assert (taken == 1).all()


def test_agreement_by_hand():
    """Two of three slices each, one in common: 2 × 1 / (2 + 2)."""
    one, other = np.zeros((2, 3, 5, 8), np.uint8)
    one[:2], other[1:] = 2, 2
    assert agreement([one, other], 3) == {2: 0.5}
    assert agreement([one, other, one], 3) == {2: pytest.approx((0.5 + 1 + 0.5) / 3)}


def test_little_is_not_compared():
    one = np.zeros((1, 1, FEWEST_POINTS), np.uint8)
    one[..., : FEWEST_POINTS // 2 - 1] = 1
    assert agreement([one, one], 1) == {}
    assert agreement([one], 1) == {}
