"""What the voxels of a network's grid settle by themselves: which class is sure to win, which may.

Between eight voxels of the grid every score is a weighted mean of theirs, with weights that are the same for
all channels. So, without interpolating anything:

| scores | sure between eight voxels | may win between eight voxels |
|---|---|---|
| probabilities, softmax | a class above one half at all eight | one with at least 1/classes at one of them |
| logits, softmax | a class that wins at all eight | a class within `REACH` of the winner at one; see below |
| sigmoid | what all eight agree on, no score being near the threshold | a channel that is on at one of them |

*Probabilities.* A mean of values above one half is above one half, and two classes cannot both be. The winner
has at least 1/classes, and no mean is larger than the largest value in it.

*Logits.* If class c has the largest logit at all eight voxels, then for every class k the differences c − k
are at least 0 there, so is their weighted mean, and that is the difference of the means: c wins, whether or
not logits are made probabilities first. A class k that wins at none of the eight may win between them all the
same, as the third class does half-way between logits (10, 0, 9) and (0, 10, 9): 5, 5, 9. But a class that is
more than `REACH` below the winner at all eight stays more than `REACH` below the *ceiling*, the mean of the
winners' logits; so where the best class that was interpolated reaches the ceiling less `REACH`, none that was
left out can win. Elsewhere all are interpolated.

"Sure" leaves room for float32: each of the three steps of an interpolation adds at most 5 roundings of 2⁻²⁴
of the largest score, so two classes' results move against each other by less than 2e-6 of it.

Shapes: scores (channels, z, y, x) float32; sure (z, y, x) uint8.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.restoration.winners import Rule
from model.arrays import F32, U8

Bits = NDArray[np.unsignedinteger]

SURE_PROBABILITY = 1e-4
"""How far from one half a probability must be to be sure; rounding moves an interpolated one by less than
1e-6."""
SURE_LOGIT = 1e-5
"""How far apart two logits must be to be sure which is larger, as a share of the largest logit."""
REACH = 10.0
"""A class this far below the winner in logits is left out at first. Any value gives the same result; this one
leaves few voxels to be looked at twice, and few classes to be interpolated."""
UNDECIDED = 255
"""Stands for "interpolate here" among decisions; there are never so many channels."""


@dataclass(frozen=True)
class Candidates:
    """What some slices of a network's grid settle by themselves."""

    sure: U8
    """Decision of each voxel (z, y, x); `UNDECIDED` where it is not sure of one."""
    possible: Bits
    """Channels that may win next to a voxel (words, z, y, x): channel c is bit c % bits of word c // bits."""
    ceiling: F32 | None
    """The winner's logit (z, y, x); None where it is not needed."""


def word_of(channels: int) -> np.dtype[np.unsignedinteger]:
    """The type of the words that hold the bits of so many channels."""
    return np.dtype(np.uint8 if channels <= 8 else np.uint16 if channels <= 16 else np.uint32)


def margin_of(slab: F32, rule: Rule) -> np.float32:
    """How far apart scores must be to be told apart after interpolation."""
    if rule.scores == "probabilities":
        return np.float32(SURE_PROBABILITY)
    return np.float32(SURE_LOGIT * max(float(slab.max()), -float(slab.min()), 1e-20))


def classify(slab: F32, rule: Rule, margin: np.float32) -> Candidates:
    """What each voxel of a slab settles by itself.

    Args:
        slab: (channels, z, y, x).
        rule: what the scores are.
        margin: from `margin_of`, of a slab that holds this one.
    """
    channels = slab.shape[0]
    dtype = word_of(channels)
    possible = np.zeros((-(-channels // (8 * dtype.itemsize)), *slab.shape[1:]), dtype)
    if not rule.softmax:
        return Candidates(_sure_on(slab, rule, margin, possible), possible, None)
    if rule.scores == "probabilities":
        return Candidates(_sure_half(slab, margin, possible), possible, None)
    sure, ceiling = _sure_winner(slab, margin, possible)
    return Candidates(sure, possible, ceiling)


def _set_bit(possible: Bits, channel: int, where: NDArray[np.bool_]) -> None:
    """Mark a channel as possible in one slice; `possible` is (words, y, x)."""
    word, bit = divmod(channel, 8 * possible.itemsize)
    possible[word] |= where.astype(possible.dtype) << possible.dtype.type(bit)


def _sure_half(slab: F32, margin: np.float32, possible: Bits) -> U8:
    sure = np.full(slab.shape[1:], UNDECIDED, np.uint8)
    could_win = np.float32(1 / len(slab)) - margin
    for k in range(slab.shape[1]):  # A slice at a time stays in the processor's cache.
        for channel, plane in enumerate(slab[:, k]):
            _set_bit(possible[:, k], channel, plane >= could_win)
            # At most one channel is above one half, so these never meet.
            sure[k] ^= (plane > np.float32(0.5) + margin).view(np.uint8) * np.uint8(UNDECIDED ^ channel)
    return sure


def _sure_winner(slab: F32, margin: np.float32, possible: Bits) -> tuple[U8, F32]:
    sure = np.zeros(slab.shape[1:], np.uint8)
    ceiling = np.empty(slab.shape[1:], np.float32)
    for k in range(slab.shape[1]):
        planes = slab[:, k]
        best, second = planes[0].copy(), np.full(planes.shape[1:], -np.inf, np.float32)
        for channel, plane in enumerate(planes[1:], start=1):
            np.maximum(second, np.minimum(plane, best), out=second)
            np.copyto(sure[k], channel, where=plane > best)
            np.maximum(best, plane, out=best)
        np.copyto(sure[k], UNDECIDED, where=best - second <= margin)
        for channel, plane in enumerate(planes):
            _set_bit(possible[:, k], channel, plane >= best - np.float32(REACH))
        ceiling[k] = best
    return sure, ceiling


def _sure_on(slab: F32, rule: Rule, margin: np.float32, possible: Bits) -> U8:
    sure = np.zeros(slab.shape[1:], np.uint8)
    for k in range(slab.shape[1]):
        for channel in rule.order:
            plane = slab[channel, k]
            _set_bit(possible[:, k], channel, plane >= rule.threshold - margin)
            np.copyto(sure[k], rule.number(channel), where=plane > rule.threshold)
            np.copyto(sure[k], UNDECIDED, where=np.abs(plane - rule.threshold) < margin)
    return sure
