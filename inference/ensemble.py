"""Windows times members to probabilities: what the networks of a bundle say about an image.

Probabilities, not logits, are averaged: over mirrored copies, over overlapping windows, over members (FLARE23
low-resource ensemble). All means are running means (`windows.RunningMean`), so that networks that agree give exactly
what they agree on.

Shapes: images (z, y, x), probabilities (channels, z, y, x), all float32 in canonical orientation.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from inference.interpolation import interpolate
from inference.restoration import Activation
from inference.runtime import Session
from inference.windows import RunningMean, importance_map, read_window, update_mean, window_grid
from model.manifest import AXIS_LETTERS, Member, Zyx, ZyxMm

F32 = NDArray[np.float32]


def to_network_axes(window: F32, axes: str) -> F32:
    """Turn a canonical array's last three axes (running to S, P, L) to a network's, e.g. RAS; a view."""
    turned = np.moveaxis(window, [AXIS_LETTERS[letter] - 3 for letter in axes], [-3, -2, -1])
    return np.flip(turned, _opposite(axes))


def from_network_axes(window: F32, axes: str) -> F32:
    """Undo `to_network_axes`; a view."""
    return np.moveaxis(np.flip(window, _opposite(axes)), [-3, -2, -1], [AXIS_LETTERS[letter] - 3 for letter in axes])


def _opposite(axes: str) -> tuple[int, ...]:
    return tuple(i - 3 for i, letter in enumerate(axes) if letter in "IAR")


def activate(logits: F32, activation: Activation) -> F32:
    """Probabilities from logits (channels, ...); a new array."""
    if activation == "sigmoid":
        # exp overflows to infinity for logits under -88, which gives the 0 that is right.
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-logits)), np.float32)
    exponentials: F32 = np.exp(logits - logits.max(axis=0))
    exponentials /= exponentials.sum(axis=0)
    return exponentials


def window_probabilities(window: F32, member: Member, session: Session, activation: Activation) -> F32:
    """One window through one network: axes turned in and out, mean over all mirrored copies.

    Args:
        window: (z, y, x) of size `member.window_zyx`.
        member: says the axes and which of them to mirror.
        session: the member's network.
        activation: softmax or sigmoid over the channels.
    """
    mean: F32 | None = None
    for count, flip in enumerate(mirrorings(["zyx".index(axis) - 3 for axis in member.mirror_axes]), start=1):
        given = to_network_axes(np.flip(window, flip), member.axes)
        logits = session.run(np.ascontiguousarray(given)[None, None])[0]
        probabilities = np.flip(from_network_axes(activate(logits, activation), member.axes), flip)
        if mean is None:
            mean = probabilities
        else:
            update_mean(mean, probabilities, np.float32(1 / count))
    assert mean is not None
    return mean


def mirrorings(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """All combinations of flips over the axes, the unflipped first: [(), (0,), (1,), (0, 1)] for axes 0 and 1."""
    return list(chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1)))


def image_probabilities(image: F32, member: Member, session: Session, activation: Activation) -> F32:
    """One member on a whole image, by overlapping windows.

    Args:
        image: (z, y, x) on the member's grid, normalized.
        member: windows, overlap, importance, mirroring.
        session: the member's network.
        activation: see `activate`.
    """
    size = (image.shape[0], image.shape[1], image.shape[2])
    importance = importance_map(member.importance, member.window_zyx)
    fused: RunningMean | None = None
    for start in window_grid(size, member.window_zyx, member.overlap):
        window = read_window(image, start, member.window_zyx)
        probabilities = window_probabilities(window, member, session, activation)
        fused = fused or RunningMean(probabilities.shape[0], size)
        fused.add(probabilities, importance, start)
    assert fused is not None
    return fused.mean


def finest(members: Sequence[Member]) -> ZyxMm:
    """Spacing of the grid that members are fused on: of the member with the smallest voxels, the first of equals."""
    return min((member.spacing_zyx_mm for member in members), key=lambda spacing: float(np.prod(spacing)))


def fuse(results: Iterable[tuple[float, Callable[[], F32]]], size_zyx: Zyx) -> F32:
    """Weighted mean of the members' probabilities on the grid of the finest.

    Args:
        results: of each member its weight and a function that computes its probabilities, called one after another.
        size_zyx: of the grid to fuse on; others are interpolated to it.
    """
    mean: F32 | None = None
    total = 0.0
    for weight, compute in results:
        probabilities = interpolate(compute(), size_zyx)
        total += weight
        if mean is None:
            mean = probabilities
        else:
            for channel, value in zip(mean, probabilities, strict=True):
                update_mean(channel, value, np.float32(weight / total))
    assert mean is not None
    return mean
