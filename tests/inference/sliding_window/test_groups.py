"""Slabs from windows and members: means by hand, and the same bits as the whole volume at once."""

import numpy as np
import pytest

from inference.errors import UsageError
from inference.restoration.interpolation import interpolate
from inference.sliding_window.groups import Group, Mean, Pass, grouped
from inference.sliding_window.one_window import activate, window_probabilities
from inference.sliding_window.order import Relevance
from inference.sliding_window.placement import (
    RunningMean,
    importance_map,
    read_window,
    update_mean,
    window_starts,
)
from tests.inference.fakes import WINDOW, FakeImage, constant, lopsided, member, pointwise

CHANNELS = ("background", "liver", "spleen")


def group_of(image, members_and_sessions, channels=CHANNELS, activation="softmax", relevant=None):
    passes = [
        Pass(
            member=each,
            image=FakeImage(image),
            session=lambda session=session: session,
            relevant=relevant or Relevance(),
        )
        for each, session in members_and_sessions
    ]
    return Group(passes=passes, channels=channels, activation=activation)


def streamed(stream):
    return np.concatenate([slab.copy() for slab in stream.slabs(0, stream.grid_zyx[0])], axis=1)


def whole(group):
    """The plain computation of a group: one mean of the size of the image."""
    first = group.passes[0]
    size = first.image.size_zyx
    fused = RunningMean(len(group.channels), size)
    zs, ys, xs = (
        window_starts(n, w, first.member.overlap) for n, w in zip(size, first.member.window_zyx, strict=True)
    )
    for z in zs:
        for each in group.passes:
            importance = importance_map(each.member.importance, each.member.window_zyx) * np.float32(
                each.member.weight
            )
            for start in ((z, y, x) for y in ys for x in xs):
                window = read_window(each.image.array, start, each.member.window_zyx)
                fused.add(
                    window_probabilities(window, each.member, each.session(), group.activation),
                    importance,
                    start,
                )
    return fused.mean


def random_image(seed, size):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


@pytest.mark.parametrize("size", [(20, 11, 30), (1, 10, 12), (3, 40, 5), (8, 10, 12), (50, 13, 14)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_windows_give_what_the_whole_image_gives(size, activation):
    image = random_image(2, size)
    group = group_of(image, [(member(overlap=0.4), pointwise())], CHANNELS[:2], activation)
    np.testing.assert_array_equal(
        streamed(group), activate(np.stack([np.zeros_like(image), image]), activation)
    )


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("importance", ["gaussian", "constant"])
def test_slabs_are_bit_for_bit_the_whole_volume(overlap, importance):
    image = random_image(3, (37, 15, 17))
    members = [
        (member(overlap=overlap, importance=importance), lopsided(0)),
        (
            member(overlap=overlap, importance=importance, weight=0.7, axes="RAS", mirror_axes=("x",)),
            lopsided(1),
        ),
    ]
    group = group_of(image, members)
    np.testing.assert_array_equal(streamed(group), whole(group))


@pytest.mark.parametrize(("first", "stop"), [(0, 1), (5, 20), (13, 37), (36, 37)])
def test_a_range_of_slices_is_the_same_as_in_the_whole(first, stop):
    group = group_of(random_image(4, (37, 12, 13)), [(member(), lopsided(0))])
    part = np.concatenate([slab.copy() for slab in group.slabs(first, stop)], axis=1)
    np.testing.assert_array_equal(part, whole(group)[:, first:stop])
    assert group.count.run < 2 * 10 * 4


@pytest.mark.parametrize(
    "sizes", [((20, 30, 25), (10, 15, 30)), ((9, 10, 12), (30, 9, 9)), ((5, 40, 30), (1, 8, 8))]
)
def test_groups_on_other_grids_are_bit_for_bit_the_whole_volume(sizes):
    groups = [
        group_of(random_image(i, size), [(member(weight=1 + i), lopsided(i))]) for i, size in enumerate(sizes)
    ]
    mean = Mean(groups)
    grid = max(sizes, key=np.prod)
    driver, other = sorted(groups, key=lambda group: group.grid_zyx != grid)
    expected = whole(driver)
    update_mean(
        expected, interpolate(whole(other), grid), np.float32(other.weight / (driver.weight + other.weight))
    )
    assert mean.grid_zyx == grid
    np.testing.assert_array_equal(streamed(mean), expected)


def test_two_constant_networks_give_the_weighted_mean():
    # softmax(0, ln 3) = 1/4, 3/4 and softmax(0, 0) = 1/2, 1/2; weights 3 : 1 -> (3 * 3/4 + 1/2) / 4 = 11/16.
    first, second = constant(0, np.log(3)), constant(0, 0)
    image = np.zeros((9, 12, 15), np.float32)
    together = group_of(image, [(member(weight=3), first), (member(weight=1), second)], CHANNELS[:2])
    np.testing.assert_allclose(streamed(together)[1], 11 / 16, rtol=1e-6)
    coarse = np.zeros((5, 6, 7), np.float32)
    apart = Mean(
        [
            group_of(image, [(member(weight=3), first)], CHANNELS[:2]),
            group_of(coarse, [(member(), second)], CHANNELS[:2]),
        ]
    )
    np.testing.assert_allclose(streamed(apart)[1], 11 / 16, rtol=1e-6)


def test_networks_that_agree_give_exactly_what_they_agree_on():
    image = random_image(6, (21, 14, 13))
    group = group_of(
        image, [(member(weight=0.3), pointwise()), (member(weight=1.7), pointwise())], CHANNELS[:2]
    )
    np.testing.assert_array_equal(
        streamed(group), activate(np.stack([np.zeros_like(image), image]), "softmax")
    )


def test_skipped_windows_leave_background():
    image = np.zeros((30, 10, 12), np.float32)
    image[20:] = 5
    group = group_of(image, [(member(overlap=0.0), constant(0, 9, 0))], relevant=Relevance(air=1.0))
    found = streamed(group)
    assert np.all(found[:, :15].argmax(axis=0) == 0)
    np.testing.assert_array_equal(found[:, :15].sum(axis=0), 1)
    assert np.all(found[:, 22:].argmax(axis=0) == 1)
    assert (group.count.run, group.count.skipped) == (2, 2)


def test_the_buffer_does_not_grow_with_the_scan():
    group = group_of(random_image(7, (400, 10, 12)), [(member(), constant(0, 1, 0))])
    assert max(slab.shape[1] for slab in group.slabs(0, 400)) <= WINDOW[0]


def test_a_network_with_other_channels_than_the_manifest_says():
    group = group_of(random_image(8, (8, 10, 12)), [(member(), constant(0, 1))])
    with pytest.raises(UsageError, match="2 channels, the manifest names 3"):
        streamed(group)


def test_grouped():
    members = [member(), member(window_zyx=(8, 8, 8)), member(weight=2.0, axes="RAS"), member(overlap=0.25)]
    assert grouped(members) == [[members[0], members[2]], [members[1]], [members[3]]]
