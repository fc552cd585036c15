"""What a case does not annotate teaches nothing: neither that it is there, nor that it is not."""

import math

import pytest
import torch

from training.losses.partial import marginal_logits
from training.losses.supervision import deep_supervision_loss, sum_of_terms
from training.recipes.loss_options import (
    CrossEntropyTerm,
    DiceTerm,
    FocalTerm,
    Loss,
    PerimeterTerm,
    TopKTerm,
)

TERMS = [
    DiceTerm(),
    DiceTerm(batch=False),
    DiceTerm(background=True),
    CrossEntropyTerm(),
    FocalTerm(),
    TopKTerm(percent=50),
    PerimeterTerm(),
]
SPLEEN_ONLY = torch.tensor([[True, True, False]])
"""Channels background, spleen, tumor; the case does not annotate tumor."""
PROBABILITIES = torch.tensor([[1 / 2, 1 / 4, 1 / 4], [1 / 8, 3 / 4, 1 / 8]], dtype=torch.float64)
"""Of two voxels."""
TARGET = torch.tensor([0, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)


def logits_of(probabilities):
    """(n, channels) to (1, channels, 1, 1, n)."""
    return probabilities.log().T.reshape(1, -1, 1, 1, len(probabilities))


def value(term, probabilities=PROBABILITIES, target=TARGET, annotated=SPLEEN_ONLY, partial="marginal"):
    loss = Loss(terms=(term,), partial=partial)
    return sum_of_terms(logits_of(probabilities), target, loss, annotated).item()


def test_marginal_probabilities_by_hand():
    found = marginal_logits(logits_of(PROBABILITIES).flatten(2), SPLEEN_ONLY).softmax(1)
    expected = torch.tensor([[3 / 4, 1 / 4, 0], [1 / 4, 3 / 4, 0]], dtype=torch.float64)
    torch.testing.assert_close(found[0].T, expected)


def test_marginal_cross_entropy_by_hand():
    # Voxel 1 is background or tumor: 1/2 + 1/4. Voxel 2 is spleen: 3/4.
    assert value(CrossEntropyTerm()) == pytest.approx(-math.log(3 / 4))


def test_marginal_dice_by_hand():
    # Spleen: 2·(3/4) / ((1/4 + 3/4) + 1) = 3/4. Background with tumor: the same.
    assert value(DiceTerm()) == pytest.approx(1 / 4, abs=1e-4)
    assert value(DiceTerm(background=True)) == pytest.approx(1 / 4, abs=1e-4)


def test_ignoring_leaves_out_the_background_of_partly_annotated_cases():
    assert value(CrossEntropyTerm(), partial="ignore") == pytest.approx(-math.log(3 / 4))
    moved = PROBABILITIES.clone()
    moved[0] = torch.tensor([0.1, 0.25, 0.65])  # what is said of the background voxel
    assert value(CrossEntropyTerm(), moved, partial="ignore") == pytest.approx(-math.log(3 / 4))
    # That the spleen is not there is known for certain, and its Dice says so.
    moved[0] = torch.tensor([0.1, 0.5, 0.4])
    expected = 1 - 2 * 0.75 / (1.25 + 1)
    assert value(DiceTerm(), moved, partial="ignore") == pytest.approx(expected, abs=1e-4)
    assert value(DiceTerm(background=True), moved, partial="ignore") == pytest.approx(expected, abs=1e-4)


def test_a_fully_annotated_case_keeps_its_background():
    everything = torch.ones(1, 3, dtype=torch.bool)
    for term in TERMS:
        plain = sum_of_terms(logits_of(PROBABILITIES), TARGET, Loss(terms=(term,))).item()
        for partial in ("marginal", "ignore"):
            assert value(term, annotated=everything, partial=partial) == plain


@pytest.mark.parametrize("partial", ["marginal", "ignore"])
def test_a_batch_that_annotates_no_structure_has_a_finite_loss(partial):
    nothing = torch.tensor([[True, False, False]])
    for term in TERMS:
        logits = logits_of(PROBABILITIES).requires_grad_()
        loss = sum_of_terms(logits, TARGET * 0, Loss(terms=(term,), partial=partial), nothing)
        loss.backward()
        assert loss.item() == pytest.approx(0, abs=1e-9)
        assert logits.grad.abs().max() < 1e-9


@pytest.mark.parametrize("term", TERMS)
def test_no_gradient_tells_a_structure_that_is_not_annotated_from_background(term):
    """The derivatives by their probabilities are equal; so the loss stays if one becomes the other."""
    torch.manual_seed(0)
    probabilities = torch.rand(60, 4, dtype=torch.float64) + 0.1
    probabilities = (probabilities / probabilities.sum(1, keepdim=True)).requires_grad_()
    target = torch.tensor([0, 0, 1, 1, 1, 0]).repeat(10).reshape(1, 3, 4, 5)
    annotated = torch.tensor([[True, True, False, False]])
    logits = probabilities.log().T.reshape(1, 4, 3, 4, 5)
    sum_of_terms(logits, target, Loss(terms=(term,)), annotated).backward()
    by_background, by_spleen, by_tumor, by_cyst = probabilities.grad.unbind(1)
    torch.testing.assert_close(by_background, by_tumor)
    torch.testing.assert_close(by_background, by_cyst)
    assert not torch.allclose(by_background, by_spleen)


@pytest.mark.parametrize("partial", ["marginal", "ignore"])
@pytest.mark.parametrize("term", TERMS)
def test_labels_that_are_not_said_to_be_annotated_count_as_background(term, partial):
    labelled = torch.tensor([2, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)
    assert value(term, target=labelled, partial=partial) == value(term, partial=partial)


@pytest.mark.parametrize("term", [DiceTerm(), CrossEntropyTerm()])
def test_each_case_of_a_batch_has_annotations_of_its_own(term):
    """The second case annotates all: there the tumor is a structure among the others."""
    batch = torch.cat([logits_of(PROBABILITIES)] * 2)
    target = torch.cat([TARGET, torch.tensor([2, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)])
    annotated = torch.cat([SPLEEN_ONLY, torch.ones(1, 3, dtype=torch.bool)])
    found = sum_of_terms(batch, target, Loss(terms=(term,)), annotated).item()
    if isinstance(term, CrossEntropyTerm):
        assert found == pytest.approx(-(3 * math.log(3 / 4) + math.log(1 / 4)) / 4)
    else:
        # Spleen over both: Σpy = 3/2, Σp = 2, Σy = 2. Tumor in the second: Σpy = 1/4, Σp = 3/8, Σy = 1.
        spleen, tumor = 2 * 1.5 / 4, 2 * 0.25 / (0.375 + 1)
        assert found == pytest.approx(1 - (spleen + tumor) / 2, abs=1e-4)


def test_what_is_predicted_where_a_structure_is_not_annotated_is_not_summed():
    """As above, where the first case's tumor is left out rather than joined to the background."""
    batch = torch.cat([logits_of(PROBABILITIES)] * 2)
    target = torch.cat([TARGET, torch.tensor([2, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)])
    annotated = torch.cat([SPLEEN_ONLY, torch.ones(1, 3, dtype=torch.bool)])
    found = sum_of_terms(batch, target, Loss(terms=(DiceTerm(),), partial="ignore"), annotated).item()
    spleen, tumor = 2 * 1.5 / 4, 2 * 0.25 / (0.375 + 1)
    assert found == pytest.approx(1 - (spleen + tumor) / 2, abs=1e-4)


def test_all_levels_of_deep_supervision_take_the_marginal_form():
    fine = torch.zeros(1, 3, 2, 2, 2)
    coarse = torch.zeros(1, 3, 1, 1, 1)
    loss = Loss(terms=(CrossEntropyTerm(),))
    target = torch.zeros(1, 2, 2, 2, dtype=torch.uint8)
    found = deep_supervision_loss([fine, coarse], target, loss, ((1, 1, 1), (2, 2, 2)), SPLEEN_ONLY)
    assert found.item() == pytest.approx(1.5 * -math.log(2 / 3), abs=1e-5)
