"""What the header of any image file says, and the mending of grids that are not quite right-angled."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.errors import InputError
from inference.geometry import ORTHONORMAL_WITHIN, Geometry, as_direction, closest_orthonormal, skewness
from inference.imaging.formats.voxels import StoredVoxels
from model.arrays import F64, Zyx, ZyxMm

SHORTEST_MM, LONGEST_MM = 0.01, 1000.0
"""Voxels of a CT; what lies outside is a damaged header, not a scan."""
LONGEST_VIEW_MM = 3000.0
"""Field of view along one axis. Tables let scanners see 2.1 m of a body at most, bores 0.9 m across; the rest
is for what is padded. An abdomen's view of 350 mm or more whose spacing is ten times too large is longer."""
MOST_VOXELS = 32767
"""Along one axis: more cannot be said in the header of the label map, which is NIfTI-1."""


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """The grid, where the voxels lie, and what the user should know."""

    geometry: Geometry
    stored: StoredVoxels
    warnings: tuple[str, ...] = ()


def mended_geometry(
    path: Path,
    size: Zyx,
    spacing: ZyxMm,
    origin: F64,
    matrix: F64,
    warnings: list[str],
) -> tuple[Geometry, tuple[str, ...]]:
    """A grid whose direction is the orthonormal one next to `matrix`; warns if that is another one.

    Raises:
        InputError: no orthonormal matrix is near, or a number is not finite.
    """
    direction = closest_orthonormal(matrix)
    if direction is None or not np.isfinite(origin).all():
        raise InputError(
            f"{path}: its header has no usable orientation (axes are not independent); export it again"
        )
    if any(n * s > LONGEST_VIEW_MM for n, s in zip(size, spacing, strict=True) if n > 1):
        view = " × ".join(f"{n * s / 1000:.2g}" for n, s in zip(size[::-1], spacing[::-1], strict=True))
        raise InputError(
            f"{path}: its header has a field of view of {view} m, which no scanner has "
            f"({LONGEST_VIEW_MM / 1000:.0f} m at most); set the right spacing"
        )
    if skewness(matrix) > ORTHONORMAL_WITHIN:
        warnings.append(
            f"axes are not at right angles (by {skewness(matrix):.2g}); the closest right-angled grid was "
            "taken"
        )
    x, y, z = (float(value) for value in origin)
    geometry = Geometry(
        size_zyx=size, spacing_zyx_mm=spacing, origin_xyz_mm=(x, y, z), direction=as_direction(direction)
    )
    return geometry, tuple(warnings)


def sized(path: Path, sizes_xyz: F64) -> Zyx:
    """Three whole sizes above 0 (x, y, z) as (z, y, x).

    Raises:
        InputError: they are something else.
    """
    if sizes_xyz.shape != (3,) or not all(1 <= n <= MOST_VOXELS and n == int(n) for n in sizes_xyz):
        raise InputError(f"{path}: its header is damaged (size {sizes_xyz.tolist()}); export it again")
    x, y, z = (int(n) for n in sizes_xyz)
    return z, y, x


def spaced(path: Path, spacing_xyz_mm: F64) -> ZyxMm:
    """Three plausible spacings in mm (x, y, z) as (z, y, x).

    Raises:
        InputError: they are something else.
    """
    if spacing_xyz_mm.shape != (3,) or not all(SHORTEST_MM <= s <= LONGEST_MM for s in spacing_xyz_mm):
        stated = ", ".join(f"{spacing:g}" for spacing in spacing_xyz_mm)
        raise InputError(f"{path}: its header has spacing {stated} mm, which no scan has; set the right one")
    x, y, z = (float(s) for s in spacing_xyz_mm)
    return z, y, x


def file_beside(path: Path, name: str) -> Path:
    """The file that a header names as the one with its voxels, which must lie in the same folder.

    Raises:
        InputError: the name is another place, a list or a pattern, or there is no such file.
    """
    if name.upper().startswith("LIST") or "%" in name or not name.isprintable() or Path(name).name != name:
        raise InputError(
            f"{path}: its voxels lie in several files or in another folder ({name}); convert it to one "
            ".nii.gz file"
        )
    data = path.with_name(name)
    if not data.is_file():
        raise InputError(
            f"{path}: its voxels should lie in {name} beside it, which is not there; copy both files"
        )
    return data
