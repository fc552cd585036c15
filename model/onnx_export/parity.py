"""How closely two ways to compute a network agree, and windows to compare them on.

Shapes: windows (1, in_channels, z, y, x) float32; logits (1, channels, z, y, x) float32.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage
from torch import nn

from model.arrays import F32, Zyx
from model.manifest.intensity import ClipZscoreIntensity, Intensity, NoIntensity, ZscoreIntensity
from model.manifest.window import AnyWindow

INPUT, OUTPUT = "image", "logits"
LOGIT_TOLERANCE = 1e-3
"""Largest difference of a logit, relative to the largest logit or to 1."""
ARGMAX_AGREEMENT = 0.999
"""Smallest share of voxels with the same most probable channel, onnxruntime against torch."""

Windows = Iterable[F32]
Predict = Callable[[F32], F32]


class ParityError(ValueError):
    """An exported network does not compute what the original computes. One line; the file was removed."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """How closely two ways to compute a network agree, over all windows compared."""

    largest_difference: float
    """Largest difference of any logit, relative to the largest logit or to 1."""
    agreement: float
    """Share of voxels whose most probable channel is the same, 0 to 1; of the worst window."""


def compare(one: Predict, other: Predict, windows: Windows) -> Parity:
    """How closely two ways to compute logits agree over some windows, not at all where sides differ.

    Raises:
        ValueError: there is no window.
    """
    differences, agreements = [], []
    for window in windows:
        a, b = one(window), other(window)
        if a.shape != b.shape or a.shape[2:] != window.shape[2:]:
            return Parity(largest_difference=float("inf"), agreement=0.0)
        with np.errstate(invalid="ignore"):
            differences.append(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())))
        agreements.append(float((a.argmax(1) == b.argmax(1)).mean()))
    if not agreements:
        raise ValueError("no window to compare on")
    # np.max and not max: a NaN anywhere must come out.
    return Parity(largest_difference=float(np.max(differences)), agreement=float(np.min(agreements)))


def verify_onnx(path: Path, network: nn.Module, windows: Windows) -> Parity:
    """Compare an ONNX file under onnxruntime with a network under torch.

    Raises:
        ParityError: logits or most probable channels differ by more than the tolerances of this module.
    """
    parity = compare(onnxruntime_predict(path), torch_predict(network), windows)
    # Written so that NaN fails.
    if not (parity.largest_difference <= LOGIT_TOLERANCE and parity.agreement >= ARGMAX_AGREEMENT):
        raise ParityError(
            f"{path.name}: onnxruntime and torch disagree (logits by {parity.largest_difference:.2g}, "
            f"{1 - parity.agreement:.2%} of voxels get another channel); not exported"
        )
    return parity


def torch_predict(network: nn.Module) -> Predict:
    """Logits of a window, computed by torch; the network must be in evaluation mode."""

    def predict(window: F32) -> F32:
        with torch.inference_mode():
            logits: F32 = network(torch.from_numpy(window)).float().numpy()
        return logits

    return predict


def onnxruntime_predict(path: Path) -> Predict:
    """Logits of a window, computed by onnxruntime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])

    def predict(window: F32) -> F32:
        try:
            logits: F32 = session.run([OUTPUT], {INPUT: window})[0]
        except Exception as error:  # onnxruntime's exceptions share no other base.
            said = " ".join(str(error).split())[-120:]
            raise ParityError(f"{path.name}: onnxruntime cannot run it ({said}); not exported") from error
        return logits

    return predict


def synthetic_windows(window_zyx: Zyx, in_channels: int = 1, seed: int = 0) -> tuple[F32, F32]:
    """Windows to compare on when no image is at hand: noise, and something like a body with organs in air.

    Both lie in [0, 1].
    """
    rng = np.random.default_rng(seed)
    shape = (1, in_channels, *window_zyx)
    noise = rng.random(shape, np.float32)
    _, y, x = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in window_zyx), indexing="ij")
    body = (y / 0.7) ** 2 + (x / 0.9) ** 2 < 1
    smooth = ndimage.gaussian_filter(
        rng.standard_normal(window_zyx, np.float32), [max(1, side / 12) for side in window_zyx]
    )
    organs = 0.5 + 0.1 * np.round(2 * smooth / smooth.std())
    image = np.where(body, np.clip(organs, 0, 1), 0) + 0.02 * rng.standard_normal(window_zyx, np.float32)
    bodylike = np.tile(np.clip(image, 0, 1).astype(np.float32), (1, in_channels, 1, 1, 1))
    return noise, bodylike


def synthetic_inputs(window_zyx: Zyx, intensities: Sequence[Intensity]) -> tuple[F32, F32]:
    """`synthetic_windows` with values spread over what each channel's scheme makes of an image.

    Args:
        window_zyx: in the network's own axis order.
        intensities: one for each channel.
    """
    noise, body = (window.copy() for window in synthetic_windows(window_zyx, len(intensities)))
    for window in (noise, body):
        for index, intensity in enumerate(intensities):
            if isinstance(intensity, ClipZscoreIntensity | ZscoreIntensity):
                window[:, index] = 4 * window[:, index] - 2
            elif isinstance(intensity, NoIntensity):
                window[:, index] = 500 * window[:, index] - 250
    return noise, body


def other_sizes(own_zyx: Zyx, sizes: AnyWindow) -> list[Zyx]:
    """Windows that a network of any is compared on besides its own: of other shapes, smaller and larger.

    The smallest; one that is longer along z and shorter along x, one the other way round; one twice as long
    along x. For 64 cubed in steps of 16 from 32 on: 32×32×32, 80×96×32, 32×80×96, 64×64×128.
    """
    steps, least = sizes.multiple_of_zyx, sizes.smallest_zyx
    step_z, step_y, _ = steps
    z, y, x = own_zyx
    wanted = [
        least,
        (z + step_z, 1.5 * y, 0.5 * x),
        (0.5 * z, y + step_y, 1.5 * x),
        (z, y, 2 * x),
    ]
    found = []
    for window in wanted:
        a, b, c = (
            max(low, ceil(side / step) * step) for side, step, low in zip(window, steps, least, strict=True)
        )
        found.append((a, b, c))
    return list(dict.fromkeys(size for size in found if size != own_zyx))
