"""Which class wins at a voxel, from its scores: probabilities or logits, softmax or sigmoid.

Scores are (channels, ...) float32; decisions uint8, 0 for background, then n for the n-th structure
(`Output.structures`).
"""

from dataclasses import dataclass, replace

import numpy as np

from model.arrays import F32, U8
from model.manifest.document import Manifest
from model.manifest.fusion import Scores, fused_scores, window_scores_of
from model.manifest.output import Sigmoid

UNSEEN_LOGIT = 10.0
"""Logit of the background, and minus that of everything else under sigmoid, where no window was run: its
probability is 0.9999 or more beside logits of 0."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How scores become a class."""

    scores: Scores
    softmax: bool
    """The largest score wins, the first of equals; else every channel is on or off, and the last one that is
    on wins."""
    order: tuple[int, ...]
    """Channels in rising priority; of use under sigmoid only."""

    @property
    def threshold(self) -> np.float32:
        """Score above which a channel is on under sigmoid."""
        return np.float32(0.5 if self.scores == "probabilities" else 0.0)

    def number(self, channel: int) -> int:
        """What stands for a channel among decisions."""
        return channel if self.softmax else channel + 1


def rule_of(manifest: Manifest) -> Rule:
    """How a bundle's scores become a class."""
    output = manifest.output
    sigmoid = isinstance(output.activation, Sigmoid)
    priority = output.activation.priority if isinstance(output.activation, Sigmoid) else None
    return Rule(
        scores=fused_scores(manifest.fusion),
        softmax=not sigmoid,
        order=priority or tuple(range(len(output.channels))),
    )


def window_rule_of(manifest: Manifest) -> Rule:
    """What the scores of a bundle's windows are."""
    return replace(rule_of(manifest), scores=window_scores_of(manifest.fusion))


def decide(scores: F32, rule: Rule) -> U8:
    """The winner at each voxel; scores (channels, ...), result (...)."""
    if rule.softmax:
        return np.asarray(scores.argmax(axis=0), np.uint8)
    decisions = np.zeros(scores.shape[1:], np.uint8)
    for channel in rule.order:
        decisions[scores[channel] > rule.threshold] = rule.number(channel)
    return decisions


def fill_unseen(slab: F32, weight: F32, rule: Rule) -> F32:
    """Make background of voxels that no window covered, in place.

    Args:
        slab: (channels, slices, y, x); 0 where nothing was seen.
        weight: (slices, y, x); 0 where nothing was seen.
        rule: what the scores are.
    """
    unseen = weight == 0
    if not unseen.any():
        return slab
    if rule.softmax:
        slab[0][unseen] = 1 if rule.scores == "probabilities" else UNSEEN_LOGIT
    elif rule.scores == "logits":
        slab[:, unseen] = -UNSEEN_LOGIT
    return slab
