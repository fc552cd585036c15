"""One window through one network: axes turned in and out, mirrored copies averaged, logits made probabilities.

Shapes: windows (z, y, x) in canonical orientation, probabilities (channels, z, y, x), all float32.
"""

from collections.abc import Sequence
from itertools import chain, combinations

import numpy as np
from numpy.typing import NDArray

from inference.restoration.boundaries import Activation
from inference.runtime.session import Session
from inference.sliding_window.placement import update_mean
from inference.threads import spread
from model.manifest import AXIS_LETTERS, Member

F32 = NDArray[np.float32]


def to_network_axes(window: F32, axes: str) -> F32:
    """Turn a canonical array's last three axes (running to S, P, L) to a network's, e.g. RAS; a view."""
    turned = np.moveaxis(window, [AXIS_LETTERS[letter] - 3 for letter in axes], [-3, -2, -1])
    return np.flip(turned, _opposite(axes))


def from_network_axes(window: F32, axes: str) -> F32:
    """Undo `to_network_axes`; a view."""
    return np.moveaxis(
        np.flip(window, _opposite(axes)), [-3, -2, -1], [AXIS_LETTERS[letter] - 3 for letter in axes]
    )


def _opposite(axes: str) -> tuple[int, ...]:
    return tuple(i - 3 for i, letter in enumerate(axes) if letter in "IAR")


def activate(logits: F32, activation: Activation) -> F32:
    """Turn logits (channels, z, y, x) into probabilities, in place and slice by slice, which stays in the processor's cache."""

    def slices(first: int, stop: int) -> None:
        # exp overflows to infinity for logits under -88, which gives the 0 that is right.
        with np.errstate(over="ignore"):
            for k in range(first, stop):
                plane = logits[:, k]
                if activation == "sigmoid":
                    np.exp(np.negative(plane, out=plane), out=plane)
                    plane += 1
                    np.reciprocal(plane, out=plane)
                else:
                    plane -= plane.max(axis=0)
                    np.exp(plane, out=plane)
                    plane *= np.reciprocal(plane.sum(axis=0))

    spread(slices, logits.shape[1])
    return logits


def mirrorings(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """All combinations of flips over the axes, the unflipped first: [(), (0,), (1,), (0, 1)] for axes 0 and 1."""
    return list(chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1)))


def window_probabilities(window: F32, member: Member, session: Session, activation: Activation) -> F32:
    """Mean probabilities over all mirrored copies of a window.

    The array may be overwritten by the session's next run.

    Args:
        window: (z, y, x) of size `member.window_zyx`.
        member: says the axes and which of them to mirror.
        session: the member's network.
        activation: softmax or sigmoid over the channels.
    """
    flips = mirrorings(["zyx".index(axis) - 3 for axis in member.mirror_axes])
    mean: F32 | None = None
    for count, flip in enumerate(flips, start=1):
        given = to_network_axes(np.flip(window, flip), member.axes)
        logits = session.run(np.ascontiguousarray(given)[None, None])[0]
        logits = np.ascontiguousarray(np.flip(from_network_axes(logits, member.axes), flip))
        probabilities = activate(logits, activation)
        if mean is None:
            mean = probabilities.copy() if len(flips) > 1 else probabilities
        else:
            update_mean(mean, probabilities, np.float32(1 / count))
    assert mean is not None
    return mean
