"""Validation: Dice per channel, counted only where the truth holds the channel."""

from contextlib import nullcontext

import numpy as np
import torch

from tests.training.tiny import tiny_recipe
from training.data.folders import labelled_cases
from training.data.store import CaseStore
from training.runs.timetable import make_timetable
from training.runs.validation import case_dice, mean_dice, validate

NAMES = ("background", "liver", "spleen")


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


def test_mean_dice_leaves_out_what_no_case_holds():
    assert mean_dice([{}, {}], NAMES) == {}
    assert list(mean_dice([{"spleen": 1.0, "liver": 0.0}], NAMES)) == ["liver", "spleen"]
