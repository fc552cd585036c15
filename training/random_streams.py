"""Generators of random numbers: each is keyed by the seed, by what it is for, and by further numbers.

What is drawn is a function of its key alone: no order of steps, threads or processes changes it. A new use
takes a number of its own; those that are here stay, or a seed would give other folds, patches and cases.
"""

import zlib
from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What is drawn for, in keys (seed, stream, …).

    A key of less than four numbers is one with those that go on with zeros: (7, 1) with (7, 1, 0). So the
    first two below have keys in common with the seeds of stages (`Stage.seed_of`) and with the first cases of
    a folder of phantoms, which are keyed by (seed, number); nothing comes of it, as those draw other things.
    """

    HELD_OUT = 0
    """Cases that are held out; (seed, stream)."""
    FOLDS = 1
    """Cases of each fold; (seed, stream)."""
    EPOCH_ORDER = 1
    """Order of cases in an epoch; (seed, stream, epoch).

    It has the number of the folds by accident: folds of as many cases are dealt out in the first epoch's
    order."""
    PATCH = 2
    """Where a patch lies, and what else sampling draws; (seed, stream, step, index in the batch)."""
    ANY_CASE = 3
    """The case of a patch, where there are no epochs; (seed, stream, position)."""
    AUGMENTATION = 4
    """One change of one channel of a patch; (seed, stream, position, purpose, channel)."""
    FRESH_OR_STORED = 4
    """Whether a patch is of a case that is made for the run, and of which; (seed, stream, position).

    It has the number of the augmentation by accident, whose keys are all longer than four numbers."""
    FRESH_CASE = 5
    """A case that is made for the run; (seed, stream, number, 1): a folder of phantoms has no such key."""


def generator_of_name(name: str) -> np.random.Generator:
    """The generator for what is drawn of a case by itself, whatever the seed and the order of cases."""
    return np.random.default_rng(zlib.crc32(name.encode()))
