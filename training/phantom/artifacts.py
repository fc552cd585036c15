"""Metal, beam hardening and photon starvation, by projecting the patient and reconstructing what goes wrong.

A scanner corrects its rays as if all were water. Through bone, contrast and metal the beam hardens more, so
that a ray's line integral comes out too small, by a share of (dense part) × (whole); and few photons pass
long or dense paths, so that their noise grows with the exponential of half the line integral (Barrett and
Keat 2004, Artifacts in CT, doi 10.1148/rg.246045065). Filtered back-projection of these errors is the
artifact: dark bands between bones, stars around metal, stripes across shoulders and pelvis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.phantom.frame import FloatArray

METAL_HU = 8000.0
_ANGLES = 40
_COARSE_MM = 5.0
_WATER_PER_MM = 0.02
"""Attenuation of water at 70 keV, 1/mm."""
_DENSE_HU = 180.0
_MOST_HU = 400.0


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    """How strong the artifacts of one examination are: standard deviations within the body, HU."""

    hardening_hu: float
    starvation_hu: float
    metal_count: int
    """Clips, screws and implants in the patient."""


def random_artifacts(rng: np.random.Generator) -> Artifacts | None:
    """Draw artifacts for three patients in ten, one in three of these with metal; None: not visible."""
    lot, metal = rng.random(2)
    hardening, starvation = rng.uniform(0.5, 5), rng.uniform(0.5, 5)
    count = int(rng.integers(1, 5))
    if lot >= 0.3:
        return None
    has_metal = metal < 1 / 3
    return Artifacts(
        hardening_hu=float(hardening * (3 if has_metal else 1)),
        starvation_hu=float(starvation),
        metal_count=count if has_metal else 0,
    )


def paint_artifacts(
    image: FloatArray,
    spacing_zyx_mm: tuple[float, float, float],
    artifacts: Artifacts,
    rng: np.random.Generator,
) -> None:
    """Put metal into an image and add the artifacts, in place.

    Args:
        image: (z, y, x) in HU, before noise.
        spacing_zyx_mm: voxel spacing.
        artifacts: how strong.
        rng: source of all randomness.
    """
    body = image > -300
    if not body.any():
        return
    for _ in range(artifacts.metal_count):
        _paint_metal(image, body, spacing_zyx_mm, rng)
    stride = [max(1, round(_COARSE_MM / s)) for s in spacing_zyx_mm[1:]]
    coarse = image[:, :: stride[0], :: stride[1]]
    found = _errors(coarse, spacing_zyx_mm[1] * stride[0], rng)
    shown = coarse > -300
    zoom = [1.0, image.shape[1] / coarse.shape[1], image.shape[2] / coarse.shape[2]]
    total = np.zeros_like(coarse)
    for error, wanted_hu in zip(found, (artifacts.hardening_hu, artifacts.starvation_hu), strict=True):
        spread = float(error[shown].std()) if shown.any() else 0.0
        if spread > 0:
            total += error * np.float32(wanted_hu / spread)
    np.clip(total, -_MOST_HU, _MOST_HU, out=total)
    image += ndimage.zoom(total, zoom, order=1, grid_mode=True, mode="nearest")


def _paint_metal(
    image: FloatArray,
    body: npt.NDArray[np.bool_],
    spacing_zyx_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    """A rod of 3 to 16 mm across and up to 60 mm long, somewhere in the body, lying anyhow."""
    places = np.flatnonzero(body)
    centre = np.array(np.unravel_index(int(places[rng.integers(places.size)]), body.shape))
    half_mm, radius_mm = float(rng.uniform(2, 30)), float(rng.uniform(1.5, 8))
    axis = rng.normal(size=3)
    axis /= np.linalg.norm(axis)
    spacing = np.asarray(spacing_zyx_mm)
    reach = np.ceil((half_mm + radius_mm) / spacing).astype(int)
    box = tuple(slice(max(0, int(c - r)), int(c + r) + 1) for c, r in zip(centre, reach, strict=True))
    part = image[box]
    offset = [
        (index + float(cut.start - c)) * mm
        for index, c, cut, mm in zip(np.indices(part.shape), centre, box, spacing, strict=True)
    ]
    along = sum(o * a for o, a in zip(offset, axis, strict=True))
    across = np.sqrt(np.maximum(sum(o**2 for o in offset) - along**2, 0))
    part[(np.abs(along) <= half_mm) & (across <= radius_mm)] = METAL_HU


def _errors(image: FloatArray, step_mm: float, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Reconstructed errors of hardening and of photon noise, in units of their own; (z, y, x) each."""
    size = int(np.ceil(np.hypot(*image.shape[1:])))
    before = [(size - n) // 2 for n in image.shape[1:]]
    inner = (slice(None), *(slice(b, b + n) for b, n in zip(before, image.shape[1:], strict=True)))
    attenuation = np.zeros((image.shape[0], size, size), dtype=np.float32)
    dense = attenuation.copy()
    per_step = np.float32(_WATER_PER_MM * step_mm)
    attenuation[inner] = np.maximum(image / 1000 + 1, 0) * per_step
    dense[inner] = np.maximum(image - _DENSE_HU, 0) / 1000 * per_step
    ramp = np.abs(np.fft.rfftfreq(2 * size)).astype(np.float32)
    hardening, starvation = np.zeros_like(attenuation), np.zeros_like(attenuation)
    for angle in np.arange(_ANGLES) * 180.0 / _ANGLES:
        whole, bone = (_turned(volume, angle).sum(1) for volume in (attenuation, dense))
        noise = rng.standard_normal(whole.shape, dtype=np.float32) * np.exp(np.minimum(whole, 12) / 2)
        for total, error in ((hardening, -bone * whole), (starvation, noise)):
            filtered = np.fft.irfft(np.fft.rfft(error, 2 * size) * ramp, 2 * size)[:, :size]
            smeared = np.broadcast_to(filtered[:, None].astype(np.float32), attenuation.shape)
            total += _turned(smeared, -angle)
    return hardening[inner], starvation[inner]


def _turned(volume: FloatArray, angle_deg: float) -> FloatArray:
    """A volume turned in its slices, on the same grid."""
    turned = ndimage.rotate(volume, angle_deg, axes=(1, 2), reshape=False, order=1, prefilter=False)
    return np.asarray(turned, dtype=np.float32)
