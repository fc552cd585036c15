"""The terms that a loss is made of, one function for each kind, and a table of them.

To add a loss: a class in `training.recipes.loss_options`, a function here, a line in `TERMS`.

Every term is a scalar made of sums over voxels or channels and of counts, both reduced over devices, so that
several devices compute what one would. Shapes: b patches, c channels, n voxels.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from training.losses.scores import Reduce, Scores
from training.recipes.loss_options import (
    CrossEntropyTerm,
    DiceTerm,
    FocalTerm,
    PerimeterTerm,
    TopKTerm,
)

SMOOTH = 1e-5
"""Voxels added to the sums of the Dice and perimeter terms, so that empty ones do not divide by zero."""


def dice(scores: Scores, term: DiceTerm) -> Tensor:
    """1 - 2·Σpy / (Σp + Σy), averaged over the channels that the target holds, or over all (`mean_over`).

    A channel that is absent adds a constant near 1 and hardly any direction; where it is predicted
    nevertheless, voxel-wise terms say so. A target without any structure that counts gives 0. Sums run over
    the whole batch, or over each patch by itself (`DiceTerm.batch`).
    """
    of_mean = scores.present if term.mean_over == "present" else scores.judged
    counted_channels = of_mean(background=term.background)
    both, predicted, true = scores.true_sums, scores.sums, scores.voxels
    if term.batch:
        counted = scores.channels_count
        stacked = torch.stack([both, predicted, true])
        both, predicted, true = scores.reduce(
            (stacked if counted is None else stacked * counted).sum(1)
        ).unbind()
        counted_channels = scores.reduce(counted_channels.sum(0)) > 0
    overlap = (2 * both + SMOOTH) / (predicted + true + SMOOTH)
    # Over the batch each device has the sums of all already: nothing is left to reduce.
    return _channel_mean(1 - overlap, counted_channels, scores, _as_it_is if term.batch else scores.reduce)


def cross_entropy(scores: Scores, term: CrossEntropyTerm) -> Tensor:
    """Mean over voxels of -log p, p the probability of the true channel."""
    return _voxel_mean(-scores.log_of_truth, scores)


def focal(scores: Scores, term: FocalTerm) -> Tensor:
    """Mean over voxels of -(1 - p)^gamma · log p, p the probability of the true channel."""
    values = -scores.log_of_truth
    if term.gamma:
        # Exponents below 1 are infinitely steep at 0, where the network is sure.
        wrong = (1 - scores.log_of_truth.exp()).clamp_min(torch.finfo(values.dtype).eps)
        values = wrong.pow(term.gamma) * values
    return _voxel_mean(values, scores)


def topk(scores: Scores, term: TopKTerm) -> Tensor:
    """Mean of -log p over the hardest voxels: `percent` of those that count, one at least.

    Channel weights count in which voxels are the hardest. On several devices each picks its own.
    """
    values = -scores.log_of_truth.flatten()
    weights = scores.weights_of_voxels()
    if weights is None:
        hardest = values.topk(max(1, int(len(values) * term.percent / 100)), sorted=False).values
        return _mean(hardest.sum(), hardest.new_tensor(len(hardest)), scores.reduce)
    counted = weights.flatten() > 0
    values, weights = values[counted], weights.flatten()[counted]
    count = min(len(values), max(1, int(len(values) * term.percent / 100)))
    hardest, where = (values * weights).topk(count, sorted=False)
    return _mean(hardest.sum(), weights[where].sum(), scores.reduce)


def perimeter(scores: Scores, term: PerimeterTerm) -> Tensor:
    """Squared difference of the soft perimeters of prediction and truth, averaged over structures present.

    The soft contour of a map is its max-pool minus its min-pool over 3×3×3 voxels; its sum is the perimeter
    (El Jurdi, Petitjean, Honeine, Cheplygina, Abdallah, MIDL 2021).
    """
    channels = scores.logits.shape[1]
    predicted = _perimeters(scores.logits.softmax(1), scores)
    with torch.no_grad():
        truth = functional.one_hot(scores.target, channels).transpose(1, 2).to(predicted.dtype)
        true = _perimeters(truth, scores)
    whole = predicted + true + SMOOTH if term.relative_to == "perimeters" else float(scores.target.shape[1])
    squared = ((predicted - true) / whole).square()
    return _channel_mean(squared, scores.present(background=False), scores, scores.reduce)


def _perimeters(maps: Tensor, scores: Scores) -> Tensor:
    """Sum of the soft contour, (b, c); maps (b, c, n)."""
    maps = maps.reshape(*maps.shape[:2], *scores.size_zyx)
    highest = functional.max_pool3d(maps, 3, stride=1, padding=1)
    lowest = -functional.max_pool3d(-maps, 3, stride=1, padding=1)
    return (highest - lowest).flatten(2).sum(2)


def _voxel_mean(values: Tensor, scores: Scores) -> Tensor:
    weights = scores.weights_of_voxels()
    if weights is None:
        return _mean(values.sum(), values.new_tensor(values.numel()), scores.reduce)
    return _mean((values * weights).sum(), weights.sum(), scores.reduce)


def _channel_mean(values: Tensor, counted: Tensor, scores: Scores, reduce: Reduce) -> Tensor:
    """Mean over the channels that count, each by its weight; values and counted (c,) or (b, c)."""
    weights = counted.to(values.dtype)
    if scores.class_weights is not None:
        weights = weights * scores.class_weights
    return _mean((values * weights).sum(), weights.sum(), reduce)


def _mean(total: Tensor, weight: Tensor, reduce: Reduce) -> Tensor:
    """Total / weight over all devices; 0 where nothing counts."""
    everywhere, of_all = reduce(torch.stack([total, weight.to(total.dtype)])).unbind()
    return everywhere / torch.where(of_all > 0, of_all, 1)


def _as_it_is(tensor: Tensor) -> Tensor:
    return tensor


TERMS: Mapping[str, Callable[[Scores, Any], Tensor]] = MappingProxyType(
    {
        "dice": dice,
        "cross_entropy": cross_entropy,
        "focal": focal,
        "topk": topk,
        "perimeter": perimeter,
    }
)
"""What computes each kind of term."""
