"""Networks given as functions, and members to go with them."""

from dataclasses import fields
from itertools import product

import numpy as np

from inference.restoration.winners import Rule
from inference.sliding_window.placement import window_starts
from model.manifest.network import Member
from model.manifest.tiling import Tiling

WINDOW = (8, 10, 12)
TILING = {field.name for field in fields(Tiling)}
SCORES = ("probabilities", "logits")


def rule_for(activation="softmax", channels=3, scores="probabilities", order=None):
    """How the scores of so many channels become a class."""
    return Rule(scores=scores, softmax=activation == "softmax", order=order or tuple(range(channels)))


def with_tiling(changes):
    """Changes of a member in which those of its tiling are gathered."""
    tiling = {name: value for name, value in changes.items() if name in TILING}
    others = {name: value for name, value in changes.items() if name not in TILING}
    return others | ({"tiling": Tiling(**tiling)} if tiling else {})


def member(**changes):
    """A member; fields of its tiling may be given like its own."""
    common = {"file": "a.onnx", "spacing_zyx_mm": (2.0, 1.0, 1.0), "window_zyx": WINDOW}
    return Member(**(common | with_tiling(changes)))


def all_starts(size, window, overlap):
    """Starts of all windows of the full grid."""
    return product(*(window_starts(n, w, overlap) for n, w in zip(size, window, strict=True)))


class FakeImage:
    """An array (z, y, x), or (channels, z, y, x), as a network's input."""

    def __init__(self, array):
        self.array = array if array.ndim == 4 else array[None]
        self.size_zyx = self.array.shape[1:]

    def slices(self, first, stop):
        return self.array[:, first:stop]


class FakeSession:
    """A network given as a function from a window (z, y, x) in its axes to logits (channels, z, y, x)."""

    def __init__(self, function):
        self.function = function
        self.shapes = []

    def run(self, window):
        assert window.dtype == np.float32
        assert window.flags.c_contiguous
        assert window.shape[:2] == (1, 1)
        self.shapes.append(window.shape[2:])
        return self.function(window[0, 0])[None]

    def close(self):
        pass


def constant(*logits):
    return FakeSession(lambda window: np.stack([np.full_like(window, value) for value in logits]))


def pointwise():
    """Sees each voxel alone, so that it commutes with every flip and turn."""
    return FakeSession(lambda window: np.stack([np.zeros_like(window), window]))


def lopsided(seed=0, channels=3):
    """Depends on where in the window a voxel lies and on its neighbours, as real networks do."""
    weights = np.random.default_rng(seed).normal(size=channels)

    def network(window):
        ramp = np.linspace(0, 1, window.size, dtype=np.float32).reshape(window.shape)
        blurred = window + np.roll(window, 1, 0) - np.roll(window, 1, 2)
        return np.stack([weight * blurred + ramp * i for i, weight in enumerate(weights)]).astype(np.float32)

    return FakeSession(network)
