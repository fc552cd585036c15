"""A body made of blocks, 1 voxel = 2 mm: the answers can be counted."""

from collections.abc import Callable

import numpy as np

from training.phantom.bodies.additions import Additions
from training.phantom.bodies.body import Body, prepare_body

SPACING = (2.0, 2.0, 2.0)
PAD = 38
"""75 mm in voxels, rounded up: maps are padded to the sides by that."""
IDS = {"vertebrae_L1": 1, "liver": 2, "stomach": 3, "humerus_left": 4, "gallbladder": 5}


def block_labels() -> np.ndarray:
    """A vertebra in the middle, a liver to its right, a stomach 6 mm to the left of that, and an arm."""
    labels = np.zeros((60, 40, 60), dtype=np.uint8)
    labels[26:34, 26:34, 26:34] = IDS["vertebrae_L1"]
    labels[20:40, 10:24, 8:24] = IDS["liver"]
    labels[20:40, 10:24, 27:44] = IDS["stomach"]
    labels[28:32, 16:20, 14:18] = IDS["gallbladder"]
    labels[20:40, 20:24, 56:60] = IDS["humerus_left"]
    return labels


def block_body() -> Body:
    """The blocks, prepared."""
    return prepare_body("blocks", block_labels(), SPACING, IDS)


def with_laid(lay: Callable[[Additions, np.random.Generator], None], body: Body, seed: int = 0) -> Body:
    """A body with what is laid into its map."""
    additions = Additions(body)
    lay(additions, np.random.default_rng(seed))
    return additions.applied()
