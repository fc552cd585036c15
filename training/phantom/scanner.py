"""What the scanner adds: table, air, noise with a reconstruction kernel's grain, integer Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.phantom.canvas import Canvas, Field
from training.phantom.frame import FloatArray
from training.phantom.shapes import curve, tube
from training.phantom.torso import Torso

_CHUNK_SLICES = 16


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """Dose and kernel of one examination."""

    noise_hu: float
    """Standard deviation in soft tissue."""
    grain_mm: float
    """Correlation length of the noise in the plane: soft kernels have coarse grain."""
    blur_mm: float
    """Width over which the kernel averages in the plane."""
    padding_hu: int | None
    """Value outside the circle that was reconstructed, where the grid is a square around it; None fills the
    corners with air."""
    sharpen: float
    """Edge enhancement of a sharp kernel: overshoot as a share of the edge."""


def random_scanner(rng: np.random.Generator, slice_mm: float) -> Scanner:
    """Draw a protocol; thin slices are noisier."""
    noise = float(rng.uniform(5, 14) * np.clip(2.5 / slice_mm, 0.6, 2.2) ** 0.5)
    if rng.random() < 0.08:
        noise *= 2
    return Scanner(
        noise_hu=noise,
        grain_mm=float(rng.uniform(0.45, 0.95)),
        blur_mm=float(rng.uniform(0.7, 1.7)),
        padding_hu=int(rng.choice([-1024, -2000, -3024])) if rng.random() < 0.5 else None,
        sharpen=float(rng.choice([0.0, 0.0, 0.15, 0.35])),
    )


def paint_table(canvas: Canvas, torso: Torso, rng: np.random.Generator) -> None:
    """A curved table top with a foam core under the patient; sometimes an arm at the side."""
    frame = canvas.frame
    whole = frame.whole()
    x, y = frame.pose.to_scanner(np.array([0.0, 0.0, 0.0]))[:2]
    # The table is straight in the scanner, so it is drawn there and not in the warped patient.
    axes = [
        frame.origin_xyz_mm[i] + np.arange(n) * frame.step_mm
        for i, n in zip((2, 1, 0), frame.shape, strict=True)
    ]
    yy = axes[1][None, :, None].astype(np.float32)
    xx = axes[2][None, None, :].astype(np.float32)
    below = np.where(torso.skin < 0, yy, -np.inf).max()
    top = np.float32(below if np.isfinite(below) else y + 90) + np.float32(rng.uniform(2, 8))
    curved = top - ((xx - np.float32(x)) / 200) ** 2 * np.float32(rng.uniform(10, 40))
    shell = np.abs(yy - curved - 12) - np.float32(12)
    edge = np.abs(xx - np.float32(x)) - np.float32(215)
    table = np.broadcast_to(np.maximum(shell, edge), frame.shape).copy()
    table = np.maximum(table, -torso.skin + 1)
    shell_hu, foam_hu, shell_mm = rng.uniform(0, 400), rng.uniform(-960, -880), rng.uniform(2.5, 4.5)
    canvas.paint(Field(whole, table), float(shell_hu))
    canvas.paint(Field(whole, table + np.float32(shell_mm)), float(foam_hu))


def paint_arms(canvas: Canvas, rng: np.random.Generator, tissues_hu: dict[str, float]) -> None:
    """Arms beside the trunk, for patients who cannot raise them."""
    frame = canvas.frame
    whole = frame.whole()
    out = float(rng.uniform(188, 205))
    for side in (-1, 1):
        course = ((out, 10, 330), (out + 8, 10, 80), (out - 8, -20, -120), (out - 25, -50, -300))
        arm = tube(
            frame,
            whole,
            curve([(side * x, y, z, r) for (x, y, z), r in zip(course, (44, 40, 33, 28), strict=True)], 8.0),
        )
        bone = curve([(side * x, y, z, r) for (x, y, z), r in zip(course, (12, 11, 9, 8), strict=True)], 4.0)
        for inset, name in ((0.0, "skin"), (2.0, "fat"), (9.0, "muscle")):
            canvas.paint(Field(whole, arm + np.float32(inset)), tissues_hu[name])
        shaft = tube(frame, whole, bone)
        canvas.paint(Field(whole, shaft), tissues_hu["cortical bone"] * 1.5)
        canvas.paint(Field(whole, shaft + np.float32(4)), 20.0)


def finish(
    image: FloatArray, scanner: Scanner, spacing_zyx_mm: tuple[float, float, float], rng: np.random.Generator
) -> npt.NDArray[np.int16]:
    """Kernel, noise, rounding: float HU (z, y, x) to int16, a few slices at a time."""
    out = np.empty(image.shape, dtype=np.int16)
    sigma = [scanner.grain_mm / s for s in spacing_zyx_mm[1:]]
    # Filtering lowers the deviation by a known factor; measured once on a small patch instead of derived.
    probe = ndimage.gaussian_filter(
        rng.standard_normal((1, 128, 128), dtype=np.float32), (0, *sigma), truncate=2.5
    )
    gain = np.float32(scanner.noise_hu / max(float(probe.std()), 1e-3))
    for first in range(0, image.shape[0], _CHUNK_SLICES):
        part = image[first : first + _CHUNK_SLICES]
        if scanner.sharpen:
            smooth = ndimage.gaussian_filter(part, (0, *[1.3 / s for s in spacing_zyx_mm[1:]]), truncate=2.0)
            part = part + np.float32(scanner.sharpen) * (part - smooth)
        noise = rng.standard_normal(part.shape, dtype=np.float32)
        noise = ndimage.gaussian_filter(noise, (0, *sigma), truncate=2.5)
        # Few photons reach the detector behind bone and much tissue, hardly any are missing in air.
        weight = np.where(part < -900, np.float32(0.55), np.float32(1.0))
        out[first : first + _CHUNK_SLICES] = np.clip(np.rint(part + gain * noise * weight), -1024, 3071)
    if scanner.padding_hu is not None and image.shape[1] == image.shape[2]:
        axis = np.linspace(-1, 1, image.shape[1])
        out[:, np.hypot(axis[:, None], axis) > 1] = scanner.padding_hu
    return out
