"""Weights of channels, worked out by hand, and sums over several devices."""

import math

import pytest
import torch

from tests.training.tiny import DOCUMENT, tiny_recipe
from training.losses.class_weights import class_weights
from training.losses.scores import LossSetting
from training.losses.supervision import sum_of_terms
from training.recipes.loading import recipe_from
from training.recipes.loss_options import (
    AdaptiveWeights,
    CrossEntropyTerm,
    DiceTerm,
    FixedWeights,
    FocalTerm,
    Loss,
    TopKTerm,
    UniformWeights,
)
from training.training_errors import RecipeError

NAMES = ("background", "liver", "tumor")
TEN = FixedWeights(weights={"tumor": 10})
LOGITS = torch.tensor([[1 / 2, 1 / 4, 1 / 4]] * 3, dtype=torch.float64).log().T.reshape(1, 3, 1, 1, 3)
TARGET = torch.tensor([0, 1, 2]).reshape(1, 1, 1, 3)


def test_weights_by_name():
    assert class_weights(TEN, torch.ones(3), NAMES).tolist() == [1, 1, 10]
    assert class_weights(UniformWeights(), torch.ones(3), NAMES) is None
    with pytest.raises(ValueError, match="3 channels need as many names, have 0"):
        class_weights(TEN, torch.ones(3), ())


def test_weights_by_size():
    voxels = torch.tensor([1600.0, 100.0, 1.0, 0.0])
    assert class_weights(AdaptiveWeights(power=0.5), voxels, ()).tolist() == [1, 4, 10, 10]
    assert class_weights(AdaptiveWeights(power=0), voxels, ()).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        # -ln p is ln 2, ln 4 and ln 4, weights are 1, 1 and 10.
        (CrossEntropyTerm(), (math.log(2) + math.log(4) + 10 * math.log(4)) / 12),
        (TopKTerm(percent=34), math.log(4)),
        # Dice of liver and tumor alike: 2·(1/4) / (3/4 + 1) = 2/7.
        (DiceTerm(), 5 / 7),
        (DiceTerm(background=True), (1 * (1 - 2 * 0.5 / (1.5 + 1)) + 11 * 5 / 7) / 12),
    ],
)
def test_means_are_weighted(term, expected):
    loss = Loss(terms=(term,), class_weights=TEN)
    found = sum_of_terms(LOGITS, TARGET, loss, setting=LossSetting(channel_names=NAMES)).item()
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_hardest_voxels_are_those_that_weigh_most():
    logits = torch.tensor([[0.9, 0.05, 0.05], [0.4, 0.2, 0.4]]).log().T.reshape(1, 3, 1, 1, 2)
    target = torch.tensor([1, 2]).reshape(1, 1, 1, 2)
    loss = Loss(terms=(TopKTerm(percent=50),), class_weights=TEN)
    # ln 20 = 3.0 at weight 1, ln 2.5 = 0.9 at weight 10.
    found = sum_of_terms(logits, target, loss, setting=LossSetting(channel_names=NAMES)).item()
    assert found == pytest.approx(math.log(2.5), abs=1e-5)


def test_the_hardest_voxels_are_a_share_of_those_that_weigh_anything():
    """Two of four are background, which weighs nothing; of the two others half is one, the liver at 0.3."""
    probabilities = [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]]
    logits = torch.tensor(probabilities).log().T.reshape(1, 3, 1, 1, 4)
    target = torch.tensor([0, 0, 1, 2]).reshape(1, 1, 1, 4)
    loss = Loss(terms=(TopKTerm(percent=50),), class_weights=FixedWeights(weights={"background": 0}))
    found = sum_of_terms(logits, target, loss, setting=LossSetting(channel_names=NAMES)).item()
    assert found == pytest.approx(-math.log(0.3), abs=1e-4)


def test_recipes_name_channels_that_exist():
    weights = {"kind": "fixed", "weights": {"liver": 2, "lung": 3}}
    with pytest.raises(RecipeError, match=r"loss.class_weights.weights: lung is not among the channels"):
        recipe_from({**DOCUMENT, "loss": {"class_weights": weights}})
    weights["weights"].pop("lung")
    assert tiny_recipe(loss={"class_weights": weights}).loss.class_weights.weights == {"liver": 2}


@pytest.mark.parametrize(
    "term", [DiceTerm(), DiceTerm(batch=False), CrossEntropyTerm(), FocalTerm(), TopKTerm(percent=100)]
)
@pytest.mark.parametrize("weights", [UniformWeights(), AdaptiveWeights()])
@pytest.mark.parametrize("partial", ["marginal", "ignore"])
def test_two_devices_compute_the_loss_of_one(term, weights, partial):
    """Each has half of the batch; what the other would add up is recorded from its own run."""
    torch.manual_seed(0)
    logits = torch.randn(4, 3, 1, 2, 3, dtype=torch.float64)
    target = torch.randint(0, 3, (4, 1, 2, 3))
    annotated = torch.tensor([[True, True, True], [True, True, False]] * 2)
    loss = Loss(terms=(term,), class_weights=weights, partial=partial)
    whole = sum_of_terms(logits, target, loss, annotated).item()
    halves = [(logits[rank::2], target[rank::2], loss, annotated[rank::2]) for rank in range(2)]
    # Each reduction needs what the others reduced before it: one more is known after each round.
    known = []
    for _ in range(8):
        recorded = []
        for half in halves:
            reduced = []
            recorded.append(reduced)

            def add_up(tensor, reduced=reduced):
                place = len(reduced)
                reduced.append(tensor.detach())
                return known[place] if place < len(known) else tensor

            value = sum_of_terms(*half, LossSetting(reduce=add_up)).item()
        if len(known) == len(recorded[0]):
            break
        known.append(recorded[0][len(known)] + recorded[1][len(known)])
    assert value == pytest.approx(whole, abs=1e-12)
