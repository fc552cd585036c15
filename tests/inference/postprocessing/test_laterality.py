"""Left and right on bodies of ellipsoids, whose answer a reader can check."""

from dataclasses import replace

import numpy as np
import pytest

from inference.geometry import Geometry, as_direction
from inference.postprocessing.laterality import split_pairs, split_with_runs
from inference.postprocessing.midline import Midline
from inference.postprocessing.runs import find_runs
from model.labels import AMOS22, FLARE23, channel_table, merged_channels
from tests.inference.bodies import BOTH, CASES, KIDNEY_R, LEFT, LEFT_ADRENAL, RIGHT, RIGHT_ADRENAL, Case, draw
from tests.inference.splits import MERGE, OUTPUT, assert_split, check_all_orientations, output_of, rotation


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_case(case):
    truth, geometry = draw(case)
    assert_split(truth, geometry, case.right)


MIRRORED = {name: case for name, case in CASES.items() if not name.startswith(("crossed", "image shows"))}


@pytest.mark.parametrize("case", MIRRORED.values(), ids=MIRRORED)
def test_mirrored_patient_with_the_vessels_where_they_were(case):
    """What is right on one side is right on the other: only the kidneys and adrenals are mirrored."""
    swap = {RIGHT: LEFT, LEFT: RIGHT, RIGHT_ADRENAL: LEFT_ADRENAL, LEFT_ADRENAL: RIGHT_ADRENAL}
    paired = {*swap, BOTH}
    bowed = any(ball.name == "aorta" and ball.centre[0] for ball in case.body)
    body = tuple(
        replace(ball, name=swap.get(ball.name, ball.name), centre=(-ball.centre[0], *ball.centre[1:]))
        if ball.name in paired or bowed
        else ball
        for ball in case.body
    )
    assert_split(*draw(replace(case, body=body)), case.right)


def test_body_guides_where_there_is_no_aorta():
    """One flank is in view, and a kidney: only the middle of the body, from the CT, tells its side."""
    truth, geometry = draw(Case((KIDNEY_R,), box=((-110, 110), (-180, -10))))
    assert_split(truth, geometry, body=Midline(points_mm=np.zeros((1, 3)), exact=False))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_runs_that_are_known_afterwards_are_those_of_the_labels(case):
    truth, geometry = draw(case, step_mm=6.0)
    labels, runs = split_with_runs(MERGE[truth], geometry, OUTPUT)
    wanted = find_runs(labels)
    for name in ("row", "start", "stop", "label") if runs is not None else ():
        assert np.array_equal(getattr(runs, name), getattr(wanted, name))


def test_runs_of_a_kidney_that_is_not_cut_are_known():
    truth, geometry = draw(CASES["two kidneys"], step_mm=6.0)
    assert split_with_runs(MERGE[truth], geometry, OUTPUT)[1] is not None


@pytest.mark.parametrize("name", ["turned to the left", "left kidney only", "no aorta"])
def test_all_48_orientations(name):
    check_all_orientations(*draw(CASES[name], step_mm=6.0))


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_oblique_axes(axis, degrees):
    """The same patient on a grid whose axes do not run along the body's: the header must be heeded."""
    truth, geometry = draw(CASES["two kidneys"])
    assert_split(truth, replace(geometry, direction=as_direction(rotation(axis, degrees))))


def test_pairs_that_the_network_told_apart_stay():
    truth, geometry = draw(CASES["two kidneys"])
    output = output_of(FLARE23, ("background", *FLARE23.names))
    swapped = truth[:, :, ::-1]
    assert np.array_equal(split_pairs(swapped, geometry, output), swapped)


def test_adrenals_alone_are_merged():
    truth, geometry = draw(CASES["no vessel, turned"])
    channels = ("background", *(name for name in FLARE23.names if "adrenal" not in name), "adrenal gland")
    found = split_pairs(channel_table(FLARE23, channels)[truth], geometry, output_of(FLARE23, channels))
    assert np.array_equal(found, truth)


def test_sigmoid_channels_begin_at_one():
    truth, geometry = draw(CASES["two kidneys"])
    assert np.array_equal(
        split_pairs(MERGE[truth], geometry, output_of(FLARE23, merged_channels(FLARE23)[1:], "sigmoid")),
        truth,
    )


def test_another_label_set():
    truth, geometry = draw(CASES["turned to the right"])
    to_amos = np.zeros(256, np.uint8)
    for name, label_id in FLARE23.ids.items():
        to_amos[label_id] = AMOS22.ids.get(name, 0)
    amos, channels = to_amos[truth], merged_channels(AMOS22)
    assert np.array_equal(
        split_pairs(channel_table(AMOS22, channels)[amos], geometry, output_of(AMOS22, channels)), amos
    )


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (3, 1, 1)])
def test_smallest_images(shape):
    geometry = Geometry(size_zyx=shape, spacing_zyx_mm=(1.0, 1.0, 1.0))
    for channel in range(len(OUTPUT.channels)):
        found = split_pairs(np.full(shape, channel, np.uint8), geometry, OUTPUT)
        assert np.array_equal(MERGE[found], np.full(shape, channel))


def test_the_input_stays_as_it_was():
    truth, geometry = draw(CASES["two kidneys"])
    channels = MERGE[truth]
    channels.setflags(write=False)
    split_pairs(channels, geometry, OUTPUT)


def test_each_voxel_of_a_crumb_gets_the_side_on_which_it_lies():
    """A kidney and thirty crumbs of one voxel on either side of an aorta."""
    truth = np.zeros((40, 12, 61), np.uint8)
    truth[:, 5:8, 29:32] = FLARE23.ids["aorta"]
    for name, kidney_x, crumb_x in (("right kidney", 5, 10), ("left kidney", 49, 50)):
        truth[10:20, 1:11, kidney_x : kidney_x + 7] = FLARE23.ids[name]
        truth[0:9:2, ::2, crumb_x] = FLARE23.ids[name]
    assert_split(truth, Geometry(size_zyx=truth.shape, spacing_zyx_mm=(2.0, 2.0, 2.0)))
