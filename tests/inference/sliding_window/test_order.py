"""Which windows run: by hand."""

import numpy as np
import pytest

from inference.sliding_window.order import (
    Air,
    AllWindowsOrder,
    CentreFirstOrder,
    Relevance,
    Rows,
    order_of,
    three_starts,
)
from model.manifest.tiling import CentreFirst
from tests.inference.fakes import member, rule_for

WINDOW = (8, 40, 40)
CHANNELS = ("background", "liver", "aorta", "esophagus")
SIZE = (8, 80, 80)
RULE = rule_for(channels=len(CHANNELS))
TUBES = CentreFirst(passing_through=("aorta", "esophagus"))
NINE = [(0, y, x) for y in (0, 20, 40) for x in (0, 20, 40)]


def result(**boxes):
    """Probabilities of a window in which each structure named fills a box."""
    probabilities = np.zeros((len(CHANNELS), *WINDOW), np.float32)
    for structure, box in boxes.items():
        probabilities[(CHANNELS.index(structure), *box)] = 0.9
    probabilities[0] = 1 - probabilities.sum(axis=0)
    return probabilities


def centre_first(settings=TUBES, rule=RULE, channels=CHANNELS):
    return order_of(member(window_zyx=WINDOW, overlap=0.5, order=settings), SIZE, channels, rule)


def windows_run(scores, levels=(0,), order=None):
    order = order or centre_first()
    run = []
    skipped = [order.row(z, lambda start: run.append(start) or scores) for z in levels]
    return run, skipped


def test_full_grid():
    run = []
    order = order_of(member(window_zyx=WINDOW, overlap=0.5), SIZE, CHANNELS, RULE)
    assert isinstance(order, AllWindowsOrder)
    assert order.row(3, run.append) == 0
    assert run == [(3, y, x) for _, y, x in NINE]


@pytest.mark.parametrize(
    ("size", "starts"), [(20, (2, 6, 10)), (12, (0, 2, 4)), (9, (0, 1)), (8, (0,)), (5, (-1,))]
)
def test_three_starts_by_hand(size, starts):
    assert three_starts(size, 8) == starts


def test_the_centre_comes_first_and_an_organ_calls_for_the_others():
    run, skipped = windows_run(result(liver=np.s_[:, 5:25, 5:25]))
    assert run[0] == (0, 20, 20)
    assert sorted(run) == NINE
    assert skipped == [0]


def test_no_foreground_skips_the_others_and_the_next_level():
    run, skipped = windows_run(result(liver=np.s_[0, 0:31, 0:32]), levels=(0, 4, 8))  # 992 voxels
    assert run == [(0, 20, 20), (8, 20, 20)]
    assert skipped == [8, 9, 8]


def test_a_level_that_was_left_out_is_left_out_again():
    """Levels 0, 4, 8, 12: 4 and 12 are left out after nearly empty ones.

    A second look from 4 on runs 8 alone.
    """
    little = result(liver=np.s_[0, 0:31, 0:32])
    order = centre_first()
    assert isinstance(order, CentreFirstOrder)
    for levels, expected in (((0, 4, 8, 12), [0, 8]), ((4, 8, 12), [8]), ((12,), [])):
        run = []
        for z in levels:
            order.row(z, lambda start, run=run: run.append(start[0]) or little)
        assert run == expected


def test_little_in_front_skips_the_others():
    run, skipped = windows_run(result(liver=np.s_[:, 24:40, :]), levels=(0, 4))
    assert run == [(0, 20, 20), (4, 20, 20)]
    assert skipped == [8, 8]


def test_nothing_but_tubes_away_from_the_edges_skips_the_others():
    run, _ = windows_run(result(aorta=np.s_[:, 5:20, 5:20], esophagus=np.s_[:, 20:24, 5:20]))
    assert run == [(0, 20, 20)]
    run, _ = windows_run(result(aorta=np.s_[:, 0:20, 5:20]))
    assert sorted(run) == NINE
    run, _ = windows_run(result(aorta=np.s_[:, 5:20, 5:20], liver=np.s_[0, 30, 30]))
    assert sorted(run) == NINE


def test_tubes_that_the_manifest_does_not_name_are_organs():
    tube = result(aorta=np.s_[:, 5:20, 5:20])
    assert windows_run(tube)[0] == [(0, 20, 20)]
    assert sorted(windows_run(tube, order=centre_first(CentreFirst()))[0]) == NINE


@pytest.mark.parametrize(
    ("settings", "goes_on"),
    [
        (CentreFirst(least_foreground=1800, least_anterior=0), True),  # 8 * 15 * 15 voxels
        (CentreFirst(least_foreground=1801, least_anterior=0), False),
        (
            CentreFirst(least_foreground=0, least_anterior=960, anterior_share=0.6),
            True,
        ),  # 8 * 8 * 15 above y = 24
        (CentreFirst(least_foreground=0, least_anterior=961, anterior_share=0.6), False),
        (
            CentreFirst(least_foreground=0, least_anterior=1, anterior_share=0.4),
            False,
        ),  # nothing above y = 16
    ],
)
def test_figures_of_the_manifest_decide(settings, goes_on):
    run, _ = windows_run(result(liver=np.s_[:, 16:31, 5:20]), order=centre_first(settings))
    assert len(run) == (9 if goes_on else 1)


def test_logits_and_sigmoid_decide_as_probabilities_do():
    """Foreground is what beats the background: its logit under softmax, 0 or one half under sigmoid."""
    liver = result(liver=np.s_[:, 5:25, 5:25])
    logits = np.log(np.maximum(liver, 1e-6))
    for scores, rule, channels in (
        (logits, rule_for(channels=4, scores="logits"), CHANNELS),
        (liver[1:], rule_for("sigmoid", channels=3), CHANNELS[1:]),
        (liver[1:] - np.float32(0.5), rule_for("sigmoid", channels=3, scores="logits"), CHANNELS[1:]),
    ):
        assert sorted(windows_run(scores, order=centre_first(TUBES, rule, channels))[0]) == NINE
        nothing = (
            scores
            - (100 if rule.scores == "logits" else 1) * (np.arange(len(channels)) > 0)[:, None, None, None]
        )
        if rule.softmax:
            assert windows_run(nothing, order=centre_first(TUBES, rule, channels))[0] == [(0, 20, 20)]


def test_a_centre_that_was_skipped_skips_the_others():
    assert windows_run(None) == ([(0, 20, 20)], [8])


def test_relevance():
    image = np.zeros((1, 10, 20, 30), np.float32)
    image[0, 9, 19, 29] = 0.5
    rows = Rows(image, 0, image.shape[1:])
    assert Relevance()(rows, (0, 0, 0), (8, 8, 8))
    assert not Relevance(air=Air(0, 0.1))(rows, (0, 0, 0), (8, 8, 8))
    assert Relevance(air=Air(0, 0.1))(rows, (2, 12, 22), (8, 8, 8))
    assert Relevance(air=Air(0, 0.1))(Rows(image[:, 2:], 2, image.shape[1:]), (2, 12, 22), (8, 8, 8))
    assert not Relevance(air=Air(0, 0.5))(rows, (2, 12, 22), (8, 8, 8))
    region = np.zeros((5, 5, 5), bool)
    region[0, 2, 2] = True  # Voxels z 0-1, y 8-11, x 12-17 of the image.
    relevant = Relevance(region=region)
    assert relevant(rows, (-3, 4, 10), (8, 8, 8))
    assert relevant(rows, (1, 0, 5), (8, 9, 8))
    assert not relevant(rows, (2, 4, 10), (8, 8, 8))
    assert not relevant(rows, (0, 0, 5), (8, 8, 8))


def test_air_is_told_by_the_channel_that_shows_it():
    image = np.zeros((2, 8, 8, 8), np.float32)
    image[1] = 0.5
    rows = Rows(image, 0, (8, 8, 8))
    assert not Relevance(air=Air(0, 0.1))(rows, (0, 0, 0), (8, 8, 8))
    assert Relevance(air=Air(1, 0.1))(rows, (0, 0, 0), (8, 8, 8))
