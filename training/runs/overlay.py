"""Pictures of a validation: the middle of a held-out case with its truth and the network's answer over it."""

import colorsys

import numpy as np

from model.arrays import F32, U8
from training.data.sampling import GridCase
from training.runs.watching import Seen

OPACITY = 0.5


class Middle:
    """Keeps the slice of the first case that holds most of its structures."""

    def __init__(self) -> None:
        self.seen: Seen | None = None

    def look(self, index: int, case: GridCase, prediction: U8) -> None:
        """Take note of a case's prediction, (z, y, x)."""
        if index == 0:
            truth = case.channels[:]
            slice_z = int((truth > 0).sum(axis=(1, 2)).argmax())
            self.seen = Seen(
                name=case.name,
                image=case.image[:, slice_z : slice_z + 1][0, 0].astype(np.float32),
                truth=truth[slice_z],
                prediction=prediction[slice_z],
            )


def overlay(seen: Seen) -> U8:
    """Truth on the left, prediction on the right, each over the image; (y, 2·x, 3)."""
    low, high = float(seen.image.min()), float(seen.image.max())
    grey = (seen.image - low) / max(high - low, 1e-6)
    return np.concatenate([_tinted(grey, seen.truth), _tinted(grey, seen.prediction)], axis=1)


def _tinted(grey: F32, channels: U8) -> U8:
    colours = _colours(int(channels.max()) + 1)[channels]
    opacity = OPACITY * (channels > 0)[..., None]
    mixed = (1 - opacity) * grey[..., None] + opacity * colours
    return np.round(255 * mixed).astype(np.uint8)


def _colours(count: int) -> F32:
    """A colour for each channel, far from those of its neighbours; (count, 3), 0 to 1."""
    golden = 0.618034  # Hues by the golden ratio never come close to one another soon.
    return np.array([colorsys.hsv_to_rgb(golden * i % 1, 0.9, 1) for i in range(count)], np.float32)
