"""Channels that are written as other structures than they are called: renamed, united, dropped, split."""

import numpy as np
import pytest

from inference.geometry import Geometry
from inference.postprocessing.laterality import split_pairs
from model.labels import FLARE23, KIDNEYS
from model.manifest.output import Output, Sigmoid
from tests.inference.bodies import CASES, draw
from tests.inference.splits import MERGE, OUTPUT

LABELS = {"liver": 4, "right kidney": 2, "left kidney": 9, "lung": 7}
CHANNELS = ("hepar", "upper lobe", "lower lobe", "heart", "kidneys")
WRITTEN_AS = {
    "hepar": "liver",
    "upper lobe": "lung",
    "lower lobe": "lung",
    "heart": None,
    "kidneys": "kidney",
}


def output(channels=("background", *CHANNELS), **changes):
    common = {"label_set": "mine", "labels": LABELS, "pairs": (KIDNEYS,), "written_as": WRITTEN_AS}
    return Output(channels=channels, **(common | changes))


def split(channel_labels, output):
    grid = Geometry(size_zyx=channel_labels.shape, spacing_zyx_mm=(10.0, 10.0, 10.0))
    return split_pairs(channel_labels, grid, output)


@pytest.mark.parametrize(
    "written", [output(), output(CHANNELS, activation=Sigmoid())], ids=["softmax", "sigmoid"]
)
def test_renamed_united_and_dropped(written):
    decisions = np.array([[[0, 1, 2, 3, 4]]], np.uint8)
    assert split(decisions, written).ravel().tolist() == [0, 4, 7, 7, 0]
    assert decisions.ravel().tolist() == [0, 1, 2, 3, 4], "the input must stay as it is"


def test_channels_written_as_one_side_each_need_no_split():
    channels = ("background", "renal parenchyma right", "cyst right", "renal parenchyma left")
    written_as = {
        "renal parenchyma right": "right kidney",
        "cyst right": "right kidney",
        "renal parenchyma left": "left kidney",
    }
    decisions = np.array([[[3, 2, 1, 0, 1]]], np.uint8)
    assert split(decisions, output(channels, written_as=written_as)).ravel().tolist() == [9, 2, 2, 0, 2]


def test_a_merged_pair_by_another_name_is_split():
    """Without aorta and body the middle of the image is taken; x runs towards the patient's left."""
    decisions = np.zeros((6, 6, 20), np.uint8)
    decisions[1:5, 1:5, 2:5] = decisions[1:5, 1:5, 15:18] = 5
    decisions[0, 0, 0] = 4  # Heart, dropped.
    found = split(decisions, output())
    assert set(np.unique(found[:, :, :10])) == {0, 2}
    assert set(np.unique(found[:, :, 10:])) == {0, 9}
    np.testing.assert_array_equal(found > 0, decisions == 5)


def test_a_pair_of_several_channels_is_split_as_one_organ():
    """Cortex and cyst of each kidney, in channels that both sides share."""
    channels = ("background", "cortex", "cyst")
    written_as = {"cortex": "kidney", "cyst": "kidney"}
    decisions = np.zeros((6, 6, 20), np.uint8)
    decisions[1:5, 1:5, 2:5] = decisions[1:5, 1:5, 15:18] = 1
    decisions[2, 2, 3] = decisions[4, 1:5, 15:18] = 2
    found = split(decisions, output(channels, written_as=written_as))
    np.testing.assert_array_equal(found[:, :, :10] == 2, decisions[:, :, :10] > 0)
    np.testing.assert_array_equal(found[:, :, 10:] == 9, decisions[:, :, 10:] > 0)


@pytest.mark.parametrize("name", ["two kidneys", "no vessel, turned", "left kidney only"])
def test_anatomy_is_known_by_what_channels_are_written_as(name):
    """Every channel has a name of its own; the aorta, which gives the middle, must still be found."""
    truth, geometry = draw(CASES[name])
    names = {channel: f"structure {i}" for i, channel in enumerate(OUTPUT.structures)}
    renamed = Output(
        label_set="flare23",
        labels=dict(FLARE23.ids),
        channels=("background", *names.values()),
        pairs=FLARE23.pairs,
        written_as={alias: channel for channel, alias in names.items()},
    )
    np.testing.assert_array_equal(split_pairs(MERGE[truth], geometry, renamed), truth)
