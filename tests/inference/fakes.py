"""Networks given as functions, and members to go with them."""

from itertools import product

import numpy as np

from inference.sliding_window.placement import window_starts
from model.manifest import Intensity, Member

WINDOW = (8, 10, 12)


def member(**changes):
    common = {
        "file": "a.onnx",
        "spacing_zyx_mm": (2.0, 1.0, 1.0),
        "window_zyx": WINDOW,
        "intensity": Intensity(scheme="zscore"),
    }
    return Member(**(common | changes))


def all_starts(size, window, overlap):
    """Starts of all windows of the full grid."""
    return product(*(window_starts(n, w, overlap) for n, w in zip(size, window, strict=True)))


class FakeImage:
    """An array as a network's input."""

    def __init__(self, array):
        self.array = array
        self.size_zyx = array.shape

    def slices(self, first, stop):
        return self.array[first:stop]


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
