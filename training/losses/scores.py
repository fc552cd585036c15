"""What all terms of a loss look at: a softmax held against the truth, and what of it counts.

Shapes: b patches, c channels, n voxels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.arrays import Zyx
from training.losses.class_weights import class_weights
from training.losses.partial import (
    annotated_target,
    counted_channels,
    counted_voxels,
    is_partial,
    marginal_logits,
)
from training.losses.softmax_sums import channel_voxels, softmax_sums
from training.recipes.loss_options import Loss

Reduce = Callable[[Tensor], Tensor]
"""Adds a tensor up over all devices, differentiably."""


def alone(tensor: Tensor) -> Tensor:
    """The sum over one device."""
    return tensor


@dataclass(frozen=True, kw_only=True)
class LossSetting:
    """What a loss knows beyond a batch."""

    channel_names: Sequence[str] = ()
    """What each channel is called; needed where weights are given by name."""
    reduce: Reduce = alone
    """Adds sums and counts up over all devices: then the loss of each is that of the whole batch, and the
    mean of their gradients the gradient of that loss."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """One level of a network's output beside the truth."""

    logits: Tensor
    """(b, c, n), where structures that are not annotated may be -inf, as part of the background."""
    target: Tensor
    """Channel of each voxel, (b, n) int64."""
    size_zyx: Zyx
    """n along each axis."""
    log_of_truth: Tensor
    """Log probability of each voxel's true channel, (b, n)."""
    sums: Tensor
    """Σp of each channel, (b, c)."""
    true_sums: Tensor
    """Σp of each channel over its own voxels, (b, c)."""
    voxels: Tensor
    """How many voxels each channel has, (b, c) float."""
    channels_count: Tensor | None
    """Which channels count in which patch, (b, c) bool; None: all."""
    voxels_count: Tensor | None
    """Which voxels count, (b, n) bool; None: all."""
    class_weights: Tensor | None
    """How much each channel counts, (c,); None: alike."""
    reduce: Reduce

    def judged(self, *, background: bool) -> Tensor:
        """Which channels may be judged, (b, c) bool."""
        count = self.channels_count
        judged = torch.ones_like(self.voxels, dtype=torch.bool) if count is None else count
        if not background:
            judged = torch.cat([torch.zeros_like(judged[:, :1]), judged[:, 1:]], 1)
        return judged

    def present(self, *, background: bool) -> Tensor:
        """Which of them the truth holds, (b, c) bool."""
        return self.judged(background=background) & (self.voxels > 0)

    def weights_of_voxels(self) -> Tensor | None:
        """How much each voxel counts, (b, n); None: alike."""
        weights = None if self.class_weights is None else self.class_weights[self.target]
        if self.voxels_count is None:
            return weights
        return self.voxels_count.to(self.sums.dtype) if weights is None else weights * self.voxels_count


def score(
    logits: Tensor, target: Tensor, loss: Loss, annotated: Tensor | None, setting: LossSetting
) -> Scores:
    """Hold logits against the truth.

    Args:
        logits: (b, c, z, y, x); half precision is taken to float32.
        target: (b, z, y, x), integer channel of each voxel.
        loss: says what becomes of structures that are not annotated, and how much channels count.
        annotated: (b, c) bool, None: every case annotates everything.
        setting: names of channels, and other devices.
    """
    size_zyx = (logits.shape[2], logits.shape[3], logits.shape[4])
    kept = torch.float64 if logits.dtype == torch.float64 else torch.float32
    # Type and layout change in one pass: a network's output in bf16 is channels-last on the CPU.
    values = logits.flatten(2).to(kept, memory_format=torch.contiguous_format)
    truth = target.flatten(1).long()
    channels_count = voxels_count = None
    if annotated is not None and is_partial(annotated):
        annotated = annotated.to(logits.device)
        truth = annotated_target(truth, annotated)
        if loss.partial == "marginal":
            values, channels_count = marginal_logits(values, annotated), annotated
        else:
            channels_count, voxels_count = counted_channels(annotated), counted_voxels(truth, annotated)
    log_of_truth, sums, true_sums = softmax_sums(values, truth)
    voxels = channel_voxels(truth, values.shape[1]).to(values.dtype)
    everywhere = voxels.sum(0) if loss.class_weights.kind == "uniform" else setting.reduce(voxels.sum(0))
    return Scores(
        logits=values,
        target=truth,
        size_zyx=size_zyx,
        log_of_truth=log_of_truth,
        sums=sums,
        true_sums=true_sums,
        voxels=voxels,
        channels_count=channels_count,
        voxels_count=voxels_count,
        class_weights=class_weights(loss.class_weights, everywhere, setting.channel_names),
        reduce=setting.reduce,
    )
