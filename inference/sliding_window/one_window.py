"""One window through one network: axes turned in and out, mirrored copies averaged, logits made scores.

Shapes: windows (channels, z, y, x) in the orientation of the image, scores (classes, z, y, x), all float32.
"""

from collections.abc import Sequence
from itertools import chain, combinations

import numpy as np

from inference.errors import NetworkError
from inference.restoration.winners import Rule
from inference.runtime.session import Session
from inference.sliding_window.running_mean import update_mean
from inference.threads import Threads
from model.arrays import F32
from model.manifest.network import AXIS_LETTERS, Member


def to_network_axes(window: F32, axes: str) -> F32:
    """Turn an array's last three axes (running to S, P, L) to a network's, e.g. RAS; a view."""
    turned = np.moveaxis(window, [AXIS_LETTERS[letter] - 3 for letter in axes], [-3, -2, -1])
    return np.flip(turned, _opposite(axes))


def from_network_axes(window: F32, axes: str) -> F32:
    """Undo `to_network_axes`; a view."""
    return np.moveaxis(
        np.flip(window, _opposite(axes)), [-3, -2, -1], [AXIS_LETTERS[letter] - 3 for letter in axes]
    )


def _opposite(axes: str) -> tuple[int, ...]:
    return tuple(i - 3 for i, letter in enumerate(axes) if letter in "IAR")


def activate(logits: F32, softmax: bool, threads: Threads) -> F32:
    """Turn logits (classes, z, y, x) into probabilities in place, by softmax or sigmoid.

    A slice at a time stays in the processor's cache.
    """

    def slices(first: int, stop: int) -> None:
        for k in range(first, stop):
            _activate_slice(logits[:, k], softmax)

    threads.spread(slices, logits.shape[1])
    return logits


def _activate_slice(plane: F32, softmax: bool) -> None:
    # exp overflows to infinity for logits under -88, which gives the 0 that is right.
    with np.errstate(over="ignore"):
        if softmax:
            plane -= plane.max(axis=0)
            np.exp(plane, out=plane)
            plane *= np.reciprocal(plane.sum(axis=0))
        else:
            np.exp(np.negative(plane, out=plane), out=plane)
            plane += 1
            np.reciprocal(plane, out=plane)


def mirrorings(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """All combinations of flips over the axes, the unflipped first.

    >>> mirrorings([0, 1])
    [(), (0,), (1,), (0, 1)]
    """
    return list(chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1)))


def window_scores(window: F32, member: Member, session: Session, rule: Rule, threads: Threads) -> F32:
    """Mean scores over all mirrored copies of a window.

    The array may be overwritten by the session's next run.

    Args:
        window: (channels, *member.window_zyx).
        member: says the axes and which of them to mirror.
        session: the member's network.
        rule: whether scores are probabilities or logits, and of which kind.
        threads: work on slices.

    Raises:
        NetworkError: a value is not finite; all its classes would else count as background.
    """
    flips = mirrorings(["zyx".index(axis) - 3 for axis in member.tiling.mirror_axes])
    mean: F32 | None = None
    for count, flip in enumerate(flips, start=1):
        given = to_network_axes(np.flip(window, flip), member.axes)
        logits = session.run(np.ascontiguousarray(given)[None])[0]
        scores = np.flip(from_network_axes(logits, member.axes), flip)
        if mean is None:  # The memory that the network wrote to serves where no other copy follows.
            own = len(flips) > 1 or not scores.flags.c_contiguous
            mean = np.empty(scores.shape, np.float32) if own else scores
        if not _add_copy(mean, scores, rule, count, threads):
            raise NetworkError(
                f"network {member.file} gives values that are not finite; try --precision fp32, "
                "and look at the image's values"
            )
    assert mean is not None, "the unflipped copy is always among them"
    return mean


def _add_copy(mean: F32, logits: F32, rule: Rule, count: int, threads: Threads) -> bool:
    """Make the mean over one copy less that over `count` copies; say whether all logits are finite.

    All is done to one slice of all classes while it is in the processor's cache: a pass over a window of 15
    classes takes about a tenth of the time of a small network.

    Args:
        mean: (classes, z, y, x), over `count - 1` copies; overwritten. For the first it may be `logits`.
        logits: likewise, a view that runs in the image's directions.
        rule: whether scores are probabilities or logits, and of which kind.
        count: which copy this is, from 1.
        threads: work on slices.
    """
    share = np.float32(1 / count)

    def slices(first: int, stop: int) -> bool:
        for k in range(first, stop):
            plane = logits[:, k] if mean is logits else np.ascontiguousarray(logits[:, k])
            with np.errstate(invalid="ignore"):  # Infinities of both signs are what is looked for.
                if not np.isfinite(plane.sum()):
                    return False
            if rule.scores == "probabilities":
                _activate_slice(plane, rule.softmax)
            if count > 1:
                update_mean(mean[:, k], plane, share)
            elif mean is not logits:
                mean[:, k] = plane
        return True

    return all(threads.spread(slices, mean.shape[1]))
