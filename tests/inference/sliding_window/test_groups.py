"""Slabs from windows and members: means by hand, and the same bits as the whole volume at once."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from inference.errors import UsageError
from inference.restoration.interpolation import interpolate
from inference.sliding_window.groups import Group, Pass, grouped, grouped_members, whole_windows
from inference.sliding_window.importance import importance_map
from inference.sliding_window.one_window import activate, window_scores
from inference.sliding_window.order import Air, Relevance
from inference.sliding_window.placement import read_window, window_starts
from inference.sliding_window.running_mean import RunningMean, update_mean
from inference.sliding_window.streams import Mean
from inference.threads import ONE_THREAD, Threads
from model.manifest.document import Manifest
from model.manifest.fusion import MeanFusion
from model.manifest.tiling import CentreFirst, ConstantImportance, GaussianImportance, NnunetImportance
from tests.inference.bundles import CT, OUTPUT, PROVENANCE
from tests.inference.fakes import SCORES, WINDOW, FakeImage, constant, lopsided, member, pointwise, rule_for

CHANNELS = ("background", "liver", "spleen")


def group_of(image, members_and_sessions, channels=CHANNELS, relevant=None, threads=ONE_THREAD, **rule):
    passes = [
        Pass(
            member=each,
            image=FakeImage(image),
            session=lambda session=session: session,
            relevant=relevant or Relevance(),
        )
        for each, session in members_and_sessions
    ]
    return Group(
        passes=passes, channels=channels, rule=rule_for(channels=len(channels), **rule), threads=threads
    )


def streamed(stream):
    return np.concatenate([slab.copy() for slab in stream.slabs(0, stream.grid_zyx[0])], axis=1)


def whole(group):
    """The plain computation of a group: one mean of the size of the image."""
    first = group.passes[0]
    size = first.image.size_zyx
    fused = RunningMean(len(group.channels), size)
    zs, ys, xs = (
        window_starts(n, w, first.member.tiling.overlap)
        for n, w in zip(size, first.member.window_zyx, strict=True)
    )
    for z in zs:
        for each in group.passes:
            importance = importance_map(each.member.tiling.importance, each.member.window_zyx)
            importance = importance * np.float32(each.member.weight)
            for start in ((z, y, x) for y in ys for x in xs):
                window = read_window(each.image.array, start, each.member.window_zyx)
                scores = window_scores(window, each.member, each.session(), group.rule, ONE_THREAD)
                fused.add(scores, importance, start, ONE_THREAD)
    return fused.mean


def random_image(seed, size):
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


@pytest.mark.parametrize("size", [(20, 11, 30), (1, 10, 12), (3, 40, 5), (8, 10, 12), (50, 13, 14)])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_windows_give_what_the_whole_image_gives(size, activation):
    image = random_image(2, size)
    group = group_of(image, [(member(overlap=0.4), pointwise())], CHANNELS[:2], activation=activation)
    logits = np.stack([np.zeros_like(image), image])
    np.testing.assert_array_equal(streamed(group), activate(logits, activation == "softmax", ONE_THREAD))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_windows_of_logits_give_the_logits_of_the_whole_image(activation):
    image = random_image(2, (20, 11, 30))
    members = [(member(overlap=0.4, mirror_axes=("y", "x")), pointwise())]
    group = group_of(image, members, CHANNELS[:2], activation=activation, scores="logits")
    np.testing.assert_array_equal(streamed(group), np.stack([np.zeros_like(image), image]))


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 0.75, pytest.param(0.9, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "importance", [GaussianImportance(), ConstantImportance(), NnunetImportance()], ids=lambda i: i.kind
)
@pytest.mark.parametrize("scores", SCORES)
def test_slabs_are_bit_for_bit_the_whole_volume(overlap, importance, scores):
    image = random_image(3, (37, 15, 17))
    members = [
        (member(overlap=overlap, importance=importance), lopsided(0)),
        (
            member(overlap=overlap, importance=importance, weight=0.7, axes="RAS", mirror_axes=("x",)),
            lopsided(1),
        ),
    ]
    group = group_of(image, members, scores=scores)
    np.testing.assert_array_equal(streamed(group), whole(group))


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("scores", SCORES)
def test_slabs_have_the_same_bits_however_many_threads_work(threads, scores):
    image = random_image(3, (20, 15, 17))
    members = [(member(mirror_axes=("y",)), lopsided(0)), (member(axes="RAS", weight=0.7), lopsided(1))]
    group = group_of(image, members, scores=scores, threads=Threads(threads))
    np.testing.assert_array_equal(streamed(group), whole(group))


@pytest.mark.parametrize("size", [(8, 10, 12), (7, 10, 12), (5, 7, 9), (1, 1, 1), (8, 3, 12)])
@pytest.mark.parametrize("scores", SCORES)
def test_a_window_that_covers_all_is_handed_on_in_the_memory_it_came_in(size, scores):
    """Of 8×10×12 voxels: as it is, or what lies outside the image left out."""
    members = [(member(weight=0.3), lopsided(0))]
    group = group_of(random_image(5, size), members, scores=scores)
    (slab,) = replace(group, alone=True).slabs(0, size[0])
    np.testing.assert_array_equal(slab, whole(group))
    assert all(channel.flags.c_contiguous for channel in slab)


def test_nothing_is_seen_where_the_only_window_is_skipped():
    air = Relevance(air=Air(0, 10.0))
    group = group_of(random_image(5, (8, 10, 12)), [(member(), lopsided(0))], relevant=air)
    (slab,) = replace(group, alone=True).slabs(0, 8)
    np.testing.assert_array_equal(slab, streamed(group))
    assert (slab[0] == 1).all()


@pytest.mark.parametrize("size", [(8, 10, 12), (5, 7, 11), (3, 10, 2)])
@pytest.mark.parametrize("importance", [GaussianImportance(), NnunetImportance()], ids=lambda i: i.kind)
@pytest.mark.parametrize("weight", [1.0, 0.7])
@pytest.mark.parametrize("scores", SCORES)
def test_two_windows_that_cover_all_are_a_running_mean_in_place(size, importance, weight, scores):
    """Half of each, exactly, whatever the importance of a voxel and the weight of both."""
    image = random_image(4, size)
    common = {"importance": importance, "weight": weight}
    members = [
        (member(file="a.onnx", **common), lopsided(0)),
        (member(file="b.onnx", axes="RAS", **common), lopsided(1)),
    ]
    group = group_of(image, members, scores=scores)
    (slab,) = replace(group, alone=True).slabs(0, size[0])
    np.testing.assert_array_equal(slab, whole(group))


@pytest.mark.parametrize(
    ("members", "covered"),
    [
        ([member()], True),
        ([member(file="a.onnx"), member(file="b.onnx")], True),
        ([member(), member()], False),  # One network writes both results to one place.
        ([member(file="a.onnx"), member(file="b.onnx", weight=2)], False),
        (
            [member(file="a.onnx"), member(file="b.onnx"), member(file="c.onnx")],
            False,
        ),  # A third is not exact.
        ([member(order=CentreFirst())], False),
    ],
)
def test_whose_windows_need_no_running_mean(members, covered):
    assert whole_windows(WINDOW, members) is covered
    assert not whole_windows((WINDOW[0] + 1, *WINDOW[1:]), members)


@pytest.mark.parametrize(("first", "stop"), [(0, 1), (5, 20), (13, 37), (36, 37)])
def test_a_range_of_slices_is_the_same_as_in_the_whole(first, stop):
    counted: list[tuple[int, int]] = []
    group = group_of(random_image(4, (37, 12, 13)), [(member(), lopsided(0))])
    group = replace(group, count=lambda *windows: counted.append(windows))
    part = np.concatenate([slab.copy() for slab in group.slabs(first, stop)], axis=1)
    np.testing.assert_array_equal(part, whole(group)[:, first:stop])
    assert sum(run for run, _ in counted) < 2 * 10 * 4


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
    logits = np.stack([np.zeros_like(image), image])
    np.testing.assert_array_equal(streamed(group), activate(logits, True, ONE_THREAD))


def test_two_constant_networks_give_the_weighted_mean_of_logits():
    # (3 * (0, 4) + 1 * (0, -8)) / 4 = (0, 1), whether the members share a grid or not.
    image, coarse = np.zeros((9, 12, 15), np.float32), np.zeros((5, 6, 7), np.float32)
    first, second = (member(weight=3), constant(0, 4)), (member(weight=1), constant(0, -8))
    together = group_of(image, [first, second], CHANNELS[:2], scores="logits")
    apart = Mean(
        [
            group_of(grid, [each], CHANNELS[:2], scores="logits")
            for grid, each in ((image, first), (coarse, second))
        ]
    )
    for stream in (together, apart):
        found = streamed(stream)
        np.testing.assert_array_equal(found[0], 0)
        np.testing.assert_allclose(found[1], 1, rtol=1e-6)


def test_mean_of_logits_over_mirrors_windows_and_members_by_plain_sums():
    """Every mirrored copy of every window of every member, added up in float64 and divided at the end."""
    image = random_image(9, (19, 13, 14))
    members = [
        (member(overlap=0.5, weight=0.7, mirror_axes=("z", "x")), lopsided(0)),
        (member(overlap=0.5, weight=1.6), lopsided(1)),
    ]
    total, weights = np.zeros((3, *image.shape)), np.zeros(image.shape)
    for each, session in members:
        importance = importance_map(each.tiling.importance, WINDOW).astype(np.float64) * each.weight
        flips = [(), (0,), (2,), (0, 2)] if each.tiling.mirror_axes else [()]
        for start in product(*(window_starts(n, w, 0.5) for n, w in zip(image.shape, WINDOW, strict=True))):
            box = tuple(slice(first, first + length) for first, length in zip(start, WINDOW, strict=True))
            copies = [
                np.flip(session.function(np.flip(image[box], flip)), [axis + 1 for axis in flip])
                for flip in flips
            ]
            total[(slice(None), *box)] += np.mean(copies, axis=0, dtype=np.float64) * importance
            weights[box] += importance
    found = streamed(group_of(image, members, scores="logits"))
    np.testing.assert_allclose(found, total / weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("rule", "unseen"),
    [
        ({"scores": "logits"}, [10, 0, 0]),
        ({"scores": "logits", "activation": "sigmoid"}, [-10, -10, -10]),
        ({"activation": "sigmoid"}, [0, 0, 0]),
    ],
)
def test_what_no_window_covered_is_background_in_every_kind_of_score(rule, unseen):
    image = np.zeros((30, 10, 12), np.float32)
    image[20:] = 5
    members = [(member(overlap=0.0), constant(0, 9, 0))]
    found = streamed(group_of(image, members, relevant=Relevance(air=Air(0, 1.0)), **rule))
    np.testing.assert_array_equal(found[:, 3, 4, 5], unseen)
    assert found[1, 25, 4, 5] == (9 if "scores" in rule else np.float32(1 / (1 + np.exp(np.float32(-9)))))


def test_skipped_windows_leave_background():
    image = np.zeros((30, 10, 12), np.float32)
    image[20:] = 5
    group = group_of(image, [(member(overlap=0.0), constant(0, 9, 0))], relevant=Relevance(air=Air(0, 1.0)))
    counted: list[tuple[int, int]] = []
    found = streamed(replace(group, count=lambda *windows: counted.append(windows)))
    assert np.all(found[:, :15].argmax(axis=0) == 0)
    np.testing.assert_array_equal(found[:, :15].sum(axis=0), 1)
    assert np.all(found[:, 22:].argmax(axis=0) == 1)
    assert np.sum(counted, axis=0).tolist() == [2, 2]


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
    others = [member(importance=NnunetImportance()), member(order=CentreFirst())]
    assert grouped([member(), *others]) == [[member()], [others[0]], [others[1]]]
    assert grouped([member(ensemble="a"), member(), member(ensemble="a")]) == [
        [member(ensemble="a"), member(ensemble="a")],
        [member()],
    ]
    assert grouped([member(), member(mirror_axes=("x",), skip_air=False)]) == [
        [member(), member(mirror_axes=("x",), skip_air=False)]
    ]


def test_members_whose_steps_begin_at_other_ends_are_apart():
    """In arrays from below (S) and from above (I), which evenly spread windows do not tell apart."""
    for placement, groups in (("stepped", 2), ("even", 1)):
        members = [member(axes=axes, placement=placement) for axes in ("SPL", "IPL")]
        assert len(grouped(members)) == groups


def test_a_mean_of_logits_becomes_probabilities():
    """Logits of windows stay logits until all windows of a voxel are in (MONAI)."""
    image = np.random.default_rng(0).random((10, 10, 16)).astype(np.float32)
    of_logits = group_of(image, [(member(), lopsided())], scores="logits")
    logits = np.concatenate([slab.copy() for slab in of_logits.slabs(0, 10)], axis=1)
    together = replace(of_logits, probabilities=True)
    found = np.concatenate([slab.copy() for slab in together.slabs(0, 10)], axis=1)
    np.testing.assert_array_equal(found, activate(logits.copy(), True, ONE_THREAD))
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-6)


def test_members_whose_probabilities_are_averaged_after_their_windows_are_apart():
    members = (member(), member(file="b.onnx"))
    document = Manifest(
        name="two",
        inputs=(CT,),
        members=members,
        fusion=MeanFusion(over_windows="logits"),
        output=OUTPUT,
        provenance=PROVENANCE,
        files={each.file: "0" * 64 for each in members},
    )
    assert grouped_members(document) == [[each] for each in members]
    assert grouped_members(replace(document, fusion=MeanFusion())) == [list(members)]
