"""One phantom case from a random generator: image, truth and how they lie in the world."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from training.phantom.canvas import Canvas
from training.phantom.frame import Frame, Pose, random_pose
from training.phantom.maps import AnatomyMap
from training.phantom.organs import tilt
from training.phantom.patient import draw_missing, paint_patient
from training.phantom.scanner import finish, random_scanner
from training.phantom.tissue import random_tissues
from training.phantom.torso import Habitus, random_habitus

_FINEST_STEP_MM, _COARSEST_STEP_MM = 2.0, 4.0
_MARGIN_STEPS = 4

# Head-foot range of the scan in canonical mm: lower end, upper end (means), and how often each examination is
# drawn.
_COVERAGE = {
    "abdomen": (-135.0, 140.0, 0.42),
    "upper abdomen": (-75.0, 145.0, 0.16),
    "abdomen and pelvis": (-270.0, 140.0, 0.22),
    "chest to pelvis": (-270.0, 290.0, 0.1),
    "slab": (0.0, 0.0, 0.1),
}
COVERAGES = tuple(_COVERAGE)
"""Names of the examinations."""


@dataclass(frozen=True, kw_only=True)
class PhantomCase:
    """A synthetic CT with its truth. Arrays are (z, y, x).

    Spacing, origin and direction are in LPS world millimetres.
    """

    image: npt.NDArray[np.int16]
    """Hounsfield units."""
    labels: npt.NDArray[np.uint8]
    """FLARE23 ids."""
    spacing_xyz_mm: tuple[float, float, float]
    origin_xyz_mm: tuple[float, float, float]
    direction: npt.NDArray[np.float64]
    """3×3, columns are the directions of the x, y and z index in the world, as SimpleITK has it."""
    info: dict[str, object] = field(default_factory=dict)
    """Phase, coverage, what is missing, tumors, body size: everything a table of cases wants to show."""


def phantom_case(
    rng: np.random.Generator,
    *,
    shape: tuple[int, int, int] | None = None,
    spacing_zyx_mm: tuple[float, float, float] | None = None,
    coverage: str | None = None,
    phase: str | None = None,
    anatomy: AnatomyMap | None = None,
) -> PhantomCase:
    """Draw one patient and scan it.

    Args:
        rng: source of all randomness; the same state gives the same case.
        shape: number of voxels (z, y, x); by default what the coverage and the body need.
        spacing_zyx_mm: voxel spacing; by default 0.6–1.0 mm in the plane and 1–5 mm between slices.
        coverage: one of the examinations ("abdomen", "upper abdomen", "abdomen and pelvis", "chest to
            pelvis", "slab").
        phase: "unenhanced", "arterial" or "portal".
        anatomy: a body whose organs replace the procedural ones.

    Raises:
        ValueError: unknown coverage or phase.
    """
    if coverage is not None and coverage not in _COVERAGE:
        raise ValueError(f"unknown coverage {coverage!r}; known: {', '.join(_COVERAGE)}")
    pose, habitus, tissues = random_pose(rng), random_habitus(rng), random_tissues(rng, phase)
    spacing_zyx_mm = spacing_zyx_mm or _draw_spacing(rng)
    drawn = str(rng.choice(list(_COVERAGE), p=[row[2] for row in _COVERAGE.values()]))
    coverage = coverage or drawn
    if anatomy is not None:
        pose, habitus = anatomy.pose(pose), anatomy.habitus(habitus)
    low_mm, high_mm = _extent(
        rng, pose, habitus, coverage, anatomy.range_mm if anatomy else (-np.inf, np.inf)
    )
    shape, first_voxel = _grid(rng, low_mm, high_mm, spacing_zyx_mm, shape)
    scanner = random_scanner(rng, spacing_zyx_mm[0])
    canvas = _canvas(pose, shape, spacing_zyx_mm, first_voxel, scanner.blur_mm)
    missing = draw_missing(rng)
    tumors = paint_patient(canvas, habitus, tissues, rng, missing=missing, anatomy=anatomy)
    image = finish(canvas.image, scanner, spacing_zyx_mm, rng)
    oblique = rng.random() < 0.15
    direction = tilt(*rng.normal(0, 5, 3)) if oblique else np.eye(3)
    present = {int(i) for i in np.unique(canvas.labels)}
    return PhantomCase(
        image=image,
        labels=canvas.labels,
        spacing_xyz_mm=(spacing_zyx_mm[2], spacing_zyx_mm[1], spacing_zyx_mm[0]),
        origin_xyz_mm=tuple(float(v) for v in np.round(rng.uniform(-200, 200, 3), 1)),  # type: ignore[arg-type]
        direction=direction,
        info={
            "phase": tissues.phase,
            "coverage": coverage,
            "anatomy": anatomy.name if anatomy else "procedural",
            "missing": sorted({*missing, *(anatomy.missing() if anatomy else [])}),
            "absent_ids": [i for i in range(1, 14) if i not in present],
            "tumors": tumors,
            "oblique": bool(oblique),
            "noise_hu": round(scanner.noise_hu, 1),
            "body_size": [round(float(s), 3) for s in pose.size_xyz],
        },
    )


def _draw_spacing(rng: np.random.Generator) -> tuple[float, float, float]:
    plane = round(float(rng.uniform(0.6, 1.0)), 4)
    between = float(
        rng.choice(
            [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 3.75, 5.0], p=[0.06, 0.08, 0.08, 0.16, 0.22, 0.16, 0.08, 0.16]
        )
    )
    return between, plane, plane


def _extent(
    rng: np.random.Generator, pose: Pose, habitus: Habitus, coverage: str, range_mm: tuple[float, float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Scanner box (x, y, z) in mm that holds the body loosely, over the examined part of `range_mm`."""
    low, high = _COVERAGE[coverage][:2]
    if coverage == "slab":
        length = float(rng.uniform(45, 130))
        low = float(rng.uniform(-80, 105 - length / 2))
        high = low + length
    low, high = low + float(rng.normal(0, 12)), high + float(rng.normal(0, 10))
    if coverage in ("abdomen", "upper abdomen", "abdomen and pelvis"):
        high += habitus.dome_mm - 124
    low, high = max(low, range_mm[0]), min(high, range_mm[1])
    sx, sy, sz = pose.size_xyz
    fat = habitus.fat_mm
    half_x = (131 + 24 + 1.25 * fat) * sx
    front, back = (38 + 96 + 14 + fat) * sy, (82 + 1.4 * fat) * sy
    margin = rng.uniform(2, 32, 4)
    centre = pose.to_scanner(np.array([0.0, 0.0, (low + high) / 2]))
    lower = np.array([centre[0] - half_x - margin[0], centre[1] - front - margin[1], low * sz])
    upper = np.array([centre[0] + half_x + margin[2], centre[1] + back + margin[3] + 12, high * sz])
    return lower, upper


def _grid(
    rng: np.random.Generator,
    low_mm: npt.NDArray[np.float64],
    high_mm: npt.NDArray[np.float64],
    spacing_zyx_mm: tuple[float, float, float],
    shape: tuple[int, int, int] | None,
) -> tuple[tuple[int, int, int], npt.NDArray[np.float64]]:
    """Number of voxels (z, y, x) and scanner position (x, y, z) of the first one, centred on the box."""
    spacing = np.asarray(spacing_zyx_mm)[::-1]
    if shape is None:
        size = np.maximum(np.ceil((high_mm - low_mm) / spacing), 8).astype(int)
        # Scanners reconstruct squares; most of our grids only hold the body, which saves time and disk.
        if rng.random() < 0.1:
            size[:2] = size[:2].max()
    else:
        size = np.asarray(shape[::-1])
    first = (low_mm + high_mm) / 2 - (size - 1) * spacing / 2
    return (int(size[2]), int(size[1]), int(size[0])), first


def _canvas(
    pose: Pose,
    shape: tuple[int, int, int],
    spacing_zyx_mm: tuple[float, float, float],
    first_voxel: npt.NDArray[np.float64],
    blur_mm: float,
) -> Canvas:
    # Anatomy need not be drawn much finer than it is scanned.
    step = float(np.clip(0.8 * min(spacing_zyx_mm), _FINEST_STEP_MM, _COARSEST_STEP_MM))
    margin = _MARGIN_STEPS * step
    size = [
        int(np.ceil(((n - 1) * s + 2 * margin) / step)) + 1
        for n, s in zip(shape, spacing_zyx_mm, strict=True)
    ]
    frame = Frame(
        pose=pose, origin_xyz_mm=first_voxel - margin, step_mm=step, shape=(size[0], size[1], size[2])
    )
    plane = max(blur_mm, spacing_zyx_mm[1])
    return Canvas(
        frame=frame,
        shape=shape,
        spacing_zyx_mm=spacing_zyx_mm,
        blur_zyx_mm=(max(spacing_zyx_mm[0], 1.0), plane, plane),
        offset_zyx_mm=(margin, margin, margin),
    )
