"""Slices of all thicknesses, overlapping or with gaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.phantom.frame import FloatArray


@dataclass(frozen=True)
class SliceGeometry:
    """How a scan is cut into slices, mm."""

    thickness_mm: float
    spacing_mm: float
    """Distance of slice centres: below the thickness slices overlap, above it there are gaps."""

    def length_of(self, slices: int) -> float:
        """Length of a stack, mm."""
        return (slices - 1) * self.spacing_mm + self.thickness_mm


def random_slices(rng: np.random.Generator) -> SliceGeometry:
    """Draw slices of 0.6 to 10 mm, thick ones as often as thin ones."""
    thickness = float(
        rng.choice(
            [0.6, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0],
            p=[0.04, 0.08, 0.08, 0.14, 0.14, 0.14, 0.1, 0.18, 0.05, 0.05],
        )
    )
    ratio = float(rng.choice([0.5, 0.8, 1.0, 1.25], p=[0.08, 0.12, 0.7, 0.1]))
    return SliceGeometry(thickness, round(max(1.5, thickness * ratio), 3))


def scan(
    image: FloatArray, labels: npt.NDArray[np.uint8], step_mm: float, slices: SliceGeometry
) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
    """Average planes `step_mm` apart over each slice; labels are those at its centre.

    The first slice begins where the first plane does. A stack too short for one slice becomes one.
    """
    planes = image.shape[0]
    length = planes * step_mm
    count = max(1, int((length - slices.thickness_mm) / slices.spacing_mm) + 1)
    centres = slices.thickness_mm / 2 + np.arange(count) * slices.spacing_mm
    # Integral of the image over z, from which the mean over any slice is a difference.
    total = np.concatenate(
        [np.zeros((1, *image.shape[1:]), dtype=np.float64), image.cumsum(0, dtype=np.float64)]
    )
    out = np.empty((count, *image.shape[1:]), dtype=np.float32)
    for number, centre in enumerate(centres):
        ends = (
            np.clip([centre - slices.thickness_mm / 2, centre + slices.thickness_mm / 2], 0, length) / step_mm
        )
        low, high = (_at(total, float(end)) for end in ends)
        out[number] = (high - low) / max(float(ends[1] - ends[0]), 1e-6)
    nearest = np.clip((centres / step_mm).astype(int), 0, planes - 1)
    return out, labels[nearest]


def _at(total: npt.NDArray[np.float64], position: float) -> npt.NDArray[np.float64]:
    """The integral up to a position between planes."""
    below = min(int(position), len(total) - 2)
    share = position - below
    return np.asarray(total[below] * (1 - share) + total[below + 1] * share)
