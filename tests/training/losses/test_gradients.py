"""Gradients of all losses are those of finite differences, in float64."""

import itertools

import pytest
import torch

from training.losses.scores import LossSetting
from training.losses.softmax_sums import softmax_sums
from training.losses.supervision import deep_supervision_loss, sum_of_terms
from training.recipes.loss_options import (
    AdaptiveWeights,
    CrossEntropyTerm,
    DiceTerm,
    FixedWeights,
    FocalTerm,
    Loss,
    PerimeterTerm,
    TopKTerm,
    UniformWeights,
)

TERMS = [
    DiceTerm(),
    DiceTerm(batch=False, background=True),
    DiceTerm(mean_over="all"),
    CrossEntropyTerm(),
    FocalTerm(),
    FocalTerm(gamma=3),
    TopKTerm(percent=40),
    PerimeterTerm(),
]
WEIGHTS = [UniformWeights(), FixedWeights(weights={"b": 3}), AdaptiveWeights(power=1)]
NAMED = LossSetting(channel_names=("background", "a", "b"))
TARGET = torch.tensor([[0, 1, 2, 1, 0, 0], [0, 0, 1, 1, 0, 0]]).reshape(2, 1, 2, 3)
PARTIAL = torch.tensor([[True, True, True], [True, True, False]])


def logits(seed=0):
    torch.manual_seed(seed)
    return torch.randn(2, 3, 1, 2, 3, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(("term", "weights"), list(itertools.product(TERMS, WEIGHTS)))
@pytest.mark.parametrize("partial", ["marginal", "ignore", None])
def test_every_term_with_every_weighting(term, weights, partial):
    loss = Loss(terms=(term,), class_weights=weights, partial=partial or "marginal")
    annotated = None if partial is None else PARTIAL

    def value(x):
        return sum_of_terms(x, TARGET, loss, annotated, NAMED)

    assert torch.autograd.gradcheck(value, logits())


def test_levels_of_deep_supervision():
    levels = (logits(1), torch.randn(2, 3, 1, 1, 2, dtype=torch.float64, requires_grad=True))

    def value(*levels):
        return deep_supervision_loss(levels, TARGET, Loss(), ((1, 1, 1), (1, 2, 2)), PARTIAL)

    assert torch.autograd.gradcheck(value, levels)


def test_the_sums_themselves():
    x = logits().flatten(2).detach().requires_grad_()
    target = TARGET.flatten(1)
    assert torch.autograd.gradcheck(lambda values: softmax_sums(values, target), x)
    log_of_truth, sums, true_sums = softmax_sums(x, target)
    p = x.softmax(1)
    torch.testing.assert_close(log_of_truth, p.gather(1, target.unsqueeze(1)).squeeze(1).log())
    torch.testing.assert_close(sums, p.sum(2))
    own = torch.nn.functional.one_hot(target, 3).transpose(1, 2)
    torch.testing.assert_close(true_sums, (p * own).sum(2))


def test_channels_last_logits_in_half_precision_get_gradients_of_their_own_kind():
    x = logits().detach().to(torch.bfloat16).to(memory_format=torch.channels_last_3d).requires_grad_()
    sum_of_terms(x, TARGET, Loss()).backward()
    assert x.grad.dtype == torch.bfloat16
    y = x.detach().float().requires_grad_()
    sum_of_terms(y, TARGET, Loss()).backward()
    torch.testing.assert_close(x.grad.float(), y.grad, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("gamma", [0.5, 0.9, 1, 2])
def test_a_network_that_is_sure_has_a_finite_gradient(gamma):
    """At a gap of 40 between logits p is 1 to the last digit, and (1 - p) to the 0.5 infinitely steep."""
    logits = torch.tensor([[40.0, 0.0], [0.0, 40.0]]).reshape(1, 2, 1, 1, 2).requires_grad_()
    target = torch.tensor([0, 1], dtype=torch.uint8).reshape(1, 1, 1, 2)
    sum_of_terms(logits, target, Loss(terms=(FocalTerm(gamma=gamma),))).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 1e-6
