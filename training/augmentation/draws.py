"""Numbers that augmentation draws: each from a generator keyed by the patch and by what is drawn for.

A patch is known by the seed of the run and its number in it, so that the order of patches, the batch that
one is in, and the number of processes change nothing; and switching one change off leaves the others as they
are.
"""

from typing import Literal, get_args

import numpy as np

from model.arrays import F64
from training.random_streams import Stream
from training.recipes.augmentation_options import Augmentation

Key = tuple[int, int]
"""Seed of the run, or of its stage, and number of the patch in it, over all processes."""
Purpose = Literal[
    "rotation",
    "scaling",
    "elastic",
    "flips",
    "noise",
    "blur",
    "brightness",
    "contrast",
    "low_resolution",
    "inverted_gamma",
    "gamma",
    "histogram_shift",
]


def generator(key: Key, purpose: Purpose, channel: int = 0) -> np.random.Generator:
    """The generator of one patch, for one change of one of its channels."""
    seed, number = key
    of = get_args(Purpose).index(purpose)
    return np.random.default_rng((seed, Stream.AUGMENTATION, number, of, channel))


def around_one(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    """A factor between two ends, below 1 as often as above where both are possible."""
    low, high = ends
    if low < 1 < high:
        low, high = (low, 1.0) if rng.random() < 0.5 else (1.0, high)
    return float(rng.uniform(low, high))


def draw_matrix(options: Augmentation, key: Key) -> F64:
    """From offsets in the patch to offsets in the crop, both (z, y, x) from the middle; (3, 3)."""
    matrix = np.eye(3)
    if options.rotation is not None:
        rng = generator(key, "rotation")
        if rng.random() < options.rotation.chance:
            axial, other = options.rotation.axial_deg, options.rotation.other_deg
            angles = np.radians(rng.uniform(-1, 1, 3) * (axial, other, other))
            matrix = _turn(0, angles[0]) @ _turn(1, angles[1]) @ _turn(2, angles[2])
    if options.scaling is not None:
        rng = generator(key, "scaling")
        if rng.random() < options.scaling.chance:
            step = 1 / around_one(rng, options.scaling.size)
            matrix = matrix * ((1.0 if options.scaling.axes == "axial" else step), step, step)
    if options.flips is not None:
        rng = generator(key, "flips")
        drawn = rng.random(3) < options.flips.chance
        mirrored = [drawn[axis] and name in options.flips.axes for axis, name in enumerate("zyx")]
        matrix = matrix * np.where(mirrored, -1.0, 1.0)
    return matrix


def _turn(axis: int, angle: float) -> F64:
    """Rotation in the plane of the other two axes."""
    first, second = (other for other in range(3) if other != axis)
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = np.cos(angle)
    matrix[first, second], matrix[second, first] = -np.sin(angle), np.sin(angle)
    return matrix
