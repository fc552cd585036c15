"""Validation: Dice per channel, counted only where the truth holds the channel."""

from contextlib import nullcontext

import numpy as np
import torch

from tests.training.tiny import grid_case, tiny_recipe
from training.data.folders import labelled_cases
from training.data.store import CaseStore
from training.runs.timetable import make_timetable
from training.runs.validation import case_dice, mean_dice, predict_channels, validate

NAMES = ("background", "liver", "spleen")


class Threshold(torch.nn.Module):
    """Calls liver what is brighter than a half."""

    def forward(self, image):
        return torch.cat([0.5 - image, image - 0.5], dim=1)


def test_a_known_network_is_reconstructed_through_the_windows():
    rng = np.random.default_rng(0)
    image = rng.random((20, 18, 7))
    case = grid_case((image > 0.5).astype(np.uint8), image)
    prediction = predict_channels(Threshold(), case, (8, 8, 8), 0.25, torch.device("cpu"))
    np.testing.assert_array_equal(prediction, case.image[0] > np.float16(0.5))


def test_dice_of_one_case_leaves_out_absent_channels():
    truth = np.array([[[1, 1, 0, 0]]], np.uint8)
    prediction = np.array([[[1, 0, 2, 0]]], np.uint8)
    assert case_dice(prediction, truth, NAMES) == {"liver": 2 / 3}


def test_means_are_over_the_cases_that_have_the_channel():
    scores = [{"liver": 1.0, "spleen": 0.5}, {"liver": 0.5}]
    assert mean_dice(scores, NAMES) == {"liver": 0.75, "spleen": 0.5}


def stage_of(recipe):
    return make_timetable(recipe, cases=2).stages[0]


def store_of(cubes, recipe):
    return CaseStore(labelled_cases(cubes), recipe, cache_mb=10)


class Perfect(torch.nn.Module):
    """Tells liver (100 HU) and spleen (0 HU) from fat (-100 HU) by their brightness."""

    def forward(self, image):
        hu = 500 * image - 250
        logits = [-(hu + 100).abs(), -(hu - 100).abs(), torch.full_like(hu, -1e3), -hu.abs()]
        return torch.cat([*logits, torch.full_like(hu, -1e3)], dim=1)


def test_a_perfect_network_has_dice_1_on_every_structure_that_is_there(cubes):
    recipe = tiny_recipe(validation={"cases": 2})
    network = Perfect().train()
    found = validate(network, store_of(cubes, recipe), stage_of(recipe), torch.device("cpu"), nullcontext())
    assert found == {"liver": 1.0, "spleen": 1.0}
    assert network.training  # Left as it was.


def test_no_more_cases_are_looked_at_than_the_recipe_says(cubes, monkeypatch):
    recipe = tiny_recipe(validation={"cases": 1})
    store = store_of(cubes, recipe)
    loaded = []
    load = store.load
    monkeypatch.setattr(store, "load", lambda index: loaded.append(index) or load(index))
    validate(Perfect(), store, stage_of(recipe), torch.device("cpu"), nullcontext())
    assert loaded == [0]


def test_a_network_that_finds_nothing_has_dice_0(cubes):
    class Nothing(torch.nn.Module):
        def forward(self, image):
            return torch.cat([image * 0 + 1, *[image * 0] * 4], dim=1)

    recipe = tiny_recipe()
    found = validate(Nothing(), store_of(cubes, recipe), stage_of(recipe), torch.device("cpu"), nullcontext())
    assert found == {"liver": 0.0, "spleen": 0.0}


def test_a_window_larger_than_the_image_is_padded():
    image = np.full((4, 5, 6), 0.9)
    prediction = predict_channels(
        Threshold(), grid_case(np.ones((4, 5, 6), np.uint8), image), (8, 8, 8), 0.25, torch.device("cpu")
    )
    assert prediction.shape == (4, 5, 6)
    assert prediction.all()


def test_a_case_shorter_than_the_window_may_be_seen_with_its_end_slices_repeated():
    class Seen(torch.nn.Module):
        """Names what the top slice of its window shows."""

        def forward(self, image):
            top = image[:, :, :1].expand(image.shape)
            return torch.cat([1 - top, top, *[image * 0 - 9] * 3], dim=1)

    image = np.stack([np.full((5, 6), 0.9), np.full((5, 6), 0.1)])
    case = grid_case(np.zeros((2, 5, 6), np.uint8), image)
    for padding, named in (("zeros", 0), ("end_slices", 1)):
        found = predict_channels(Seen(), case, (8, 8, 8), 0.0, torch.device("cpu"), padding=padding)
        assert found.tolist() == np.full((2, 5, 6), named).tolist()


def test_mean_dice_leaves_out_what_no_case_holds():
    assert mean_dice([{}, {}], NAMES) == {}
    assert list(mean_dice([{"spleen": 1.0, "liver": 0.0}], NAMES)) == ["liver", "spleen"]
