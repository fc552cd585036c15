"""The most probable channel of each voxel of a case, from windows that overlap.

Windows lie and weigh as MONAI's `sliding_window_inference` has them: with Gaussian importance, the last of
each axis moved back to its end. Only the rows that a window can still reach are held as scores, a window high
instead of as high as the case: with 118 channels a whole body would take tens of GB. Weights are not divided
by their sum, since that changes no argmax.
"""

from collections.abc import Sequence

import numpy as np
import torch
from monai.data.utils import compute_importance_map, dense_patch_slices
from torch import Tensor, nn
from torch.nn import functional

from model.arrays import U8, Zyx
from model.manifest.tiling import Padding
from training.data.sampling import GridCase


class _Rows:
    """Weighted scores of the rows that windows still add to, and the channels of those above them."""

    def __init__(self, size_zyx: Zyx, window_zyx: Zyx) -> None:
        self._size_zyx = size_zyx
        self._weights = compute_importance_map(window_zyx, mode="gaussian")
        self._first = 0
        self._scores: Tensor | None = None
        self._channels = np.zeros(size_zyx, np.uint8)

    def add(self, logits: Tensor, at: Sequence[slice]) -> None:
        """Add a window's logits, (channels, z, y, x); windows come from the first row to the last."""
        z, y, x = at
        if self._scores is None:
            height, (_, *plane) = len(self._weights), self._size_zyx
            self._scores = torch.zeros((len(logits), height, *plane))
        self._finish(self._scores, z.start)
        self._scores[:, :, y, x].addcmul_(logits.cpu().float(), self._weights)

    def _finish(self, scores: Tensor, first: int) -> None:
        """Settle the rows above `first`, and make room for as many below."""
        done = first - self._first
        if not done:
            return
        self._channels[self._first : first] = scores[:, :done].argmax(0).to(torch.uint8).numpy()
        for row in range(scores.shape[1]):
            # Row by row, so that nothing is copied twice: memory is what this class saves.
            if row + done < scores.shape[1]:
                scores[:, row] = scores[:, row + done]
            else:
                scores[:, row] = 0
        self._first = first

    def channels(self) -> U8:
        """The channels of all rows, when every window was added."""
        if self._scores is not None:
            self._channels[self._first :] = self._scores.argmax(0).to(torch.uint8).numpy()
        return self._channels


def predict_channels(
    network: nn.Module,
    case: GridCase,
    window_zyx: Zyx,
    overlap: float,
    device: torch.device,
    windows_at_a_time: int = 1,
    padding: Padding = "zeros",
) -> U8:
    """The most probable channel of each voxel; (z, y, x).

    Args:
        network: gives logits, (windows, channels, z, y, x).
        case: image and size, on the network's grid.
        window_zyx: voxels; a case that is smaller is centred in it.
        overlap: share of a window that the next one covers as well, 0 up to 1.
        device: where the network runs.
        windows_at_a_time: how many the network is given together.
        padding: what a window shows above and below a case that is shorter than it; beside it are zeros.
    """
    image = torch.from_numpy(case.image[:].astype(np.float32))
    lacking = [max(0, window - size) for window, size in zip(window_zyx, image.shape[1:], strict=True)]
    margins = [(voxels // 2, voxels - voxels // 2) for voxels in lacking]
    inside = tuple(
        slice(before, before + size) for (before, _), size in zip(margins, image.shape[1:], strict=True)
    )
    image = _grown(image, margins, padding)
    z, y, x = image.shape[1:]
    grown_zyx = (z, y, x)
    places = _places(grown_zyx, window_zyx, overlap)
    rows = _Rows(grown_zyx, window_zyx)
    for first in range(0, len(places), windows_at_a_time):
        together = places[first : first + windows_at_a_time]
        windows = torch.stack([image[(slice(None), *place)] for place in together]).to(device)
        for logits, place in zip(network(windows), together, strict=True):
            rows.add(logits, place)
    return rows.channels()[inside]


def _grown(image: Tensor, margins: Sequence[tuple[int, int]], padding: Padding) -> Tensor:
    """An image with voxels before and behind it on each axis."""
    z, y, x = margins
    if padding == "end_slices":
        image = functional.pad(image[None], (0, 0, 0, 0, *z), mode="replicate")[0]
        z = (0, 0)
    return functional.pad(image, (*x, *y, *z))


def _places(size_zyx: Zyx, window_zyx: Zyx, overlap: float) -> list[tuple[slice, ...]]:
    """Where windows lie, the first row first."""
    steps = [
        window if window == size else max(1, int(window * (1 - overlap)))
        for window, size in zip(window_zyx, size_zyx, strict=True)
    ]
    places: list[tuple[slice, ...]] = dense_patch_slices(size_zyx, window_zyx, steps)
    return places
