"""Small label maps for the tests of the judges, and the organisers' procedure as a reference."""

import gzip
import math
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from tests.places import real_data

SPACING_ZYX_MM = (2.5, 0.8, 0.9)
ORGANISERS_TOLERANCES_MM = (5, 3, 3, 5, 2, 2, 2, 2, 2, 3, 5, 7, 3, 2)


def real(name: str) -> Path:
    return real_data(name)


def surface_distance():
    """The reference package, without the warnings about scipy names that it uses."""
    package = pytest.importorskip(
        "surface_distance", reason="surface-distance is not installed (pip install surface-distance)"
    )
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*scipy.ndimage.*")
    return package


def blob(
    generator: np.random.Generator, shape: tuple[int, ...], smooth: float = 1.5, share: float = 0.5
) -> NDArray[np.bool_]:
    noise = ndimage.gaussian_filter(generator.normal(size=shape), smooth)
    return noise > np.quantile(noise, 1 - share)


def organs(
    generator: np.random.Generator, labels: int, shape: tuple[int, int, int] = (20, 26, 28)
) -> NDArray[np.uint8]:
    """A label map of touching blobs, one per label."""
    noise = np.stack([ndimage.gaussian_filter(generator.normal(size=shape), 2.0) for _ in range(labels + 1)])
    return np.argmax(noise, axis=0).astype(np.uint8)


def disturbed(generator: np.random.Generator, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The label map with some of its voxels taken from one voxel further on."""
    moved = np.roll(labels, (1, 1), axis=(1, 2))
    return np.where(blob(generator, labels.shape, 1.0, 0.4), moved, labels).astype(np.uint8)


def write(
    path: Path,
    labels: NDArray[np.generic],
    spacing_zyx_mm: tuple[float, float, float] = SPACING_ZYX_MM,
    origin_xyz_mm: tuple[float, float, float] = (-100.0, -80.0, 40.0),
    direction: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(spacing_zyx_mm[::-1])
    image.SetOrigin(origin_xyz_mm)
    image.SetDirection(direction)
    sitk.WriteImage(image, str(path))
    return path


def write_claim(path: Path, size_xyz: tuple[int, int, int], held: int | None = None) -> Path:
    """A NIfTI file of zeros, 8 bits a voxel, 1 mm, whose header states this size; `held` bytes of voxels."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<4h", header, 40, 3, *size_xyz)
    struct.pack_into("<2h", header, 70, 2, 8)
    struct.pack_into("<4f", header, 76, 1.0, 1.0, 1.0, 1.0)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:347] = b"n+1"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(bytes(header) + bytes(math.prod(size_xyz) if held is None else held)))
    return path


def organisers_scores(
    prediction: NDArray[np.uint8], truth: NDArray[np.uint8], spacing_zyx_mm, labels: int
) -> list[tuple[float, float]]:
    """Rounded DSC and NSD of labels 1 to `labels`, by the procedure of the FLARE22-24 programs."""
    package = surface_distance()
    prediction, truth, spacing = prediction.transpose(2, 1, 0), truth.transpose(2, 1, 0), spacing_zyx_mm[::-1]
    scores = []
    for label in range(1, labels + 1):
        mask, true = prediction == label, truth == label
        if not mask.any() or not true.any():
            same = float(mask.any() == true.any())
            scores.append((same, same))
            continue
        if label in (5, 6, 10):
            slices = np.flatnonzero(true.any(axis=(0, 1)))
            true, mask = (volume[:, :, slices.min() : slices.max()] for volume in (true, mask))
        overlap = package.compute_dice_coefficient(true, mask)
        distances = None if overlap < 0.2 else package.compute_surface_distances(true, mask, spacing)
        near = (
            0.0
            if distances is None
            else package.compute_surface_dice_at_tolerance(distances, ORGANISERS_TOLERANCES_MM[label - 1])
        )
        scores.append((round(float(overlap), 4), round(float(near), 4)))
    return scores
