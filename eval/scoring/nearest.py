"""Exact distances from places of a grid to the nearest place of a surface on the same grid.

There are three ways, each for the places that the one before has left over:

    rings    look around every place, nearest neighbours first; a good segmentation needs little more
    tree     a k-d tree over the surface, up to some millimetres
    far      the tree without a bound, or, where too many places are far away for a tree, a distance map of
             the whole grid

Where the places fill much of the grid, as in a noisy label map, the distance map comes first and only what it
finds near the surface is looked at again. The map has single precision, so near distances, to which
tolerances apply, are never taken from it.

Grids are (z, y, x); a place is a flat index into the grid.
"""

import itertools
import math
from collections import defaultdict
from functools import lru_cache

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from model.arrays import F32, F64, Mask, ZyxMm

Places = NDArray[np.intp]
Step = tuple[int, int, int]

REACH = 3
"""Rings reach at most this many voxels along each axis."""
RING_STEPS = 120
"""Number of neighbours that the rings look at before the tree takes over."""
NEAR_VOXELS, NEAR_MM = 8, 10.0
"""The tree searches up to this many voxels and at least this many mm first; no tolerance is larger."""
PLACES_PER_VOXEL = 0.25
"""If the places left are more than this share of the grid, the distance map comes first."""
SINGLE_PRECISION = 1e-5
"""Bound of the relative error of distances from the map."""
PAIRS_PER_VOXEL = 10
"""For a place far away a tree may have to look at most of the surface. Beyond this many pairs of place and
surface place per voxel of the grid, the map is faster."""


def distances_mm(places: Places, surface: Mask, spacing_zyx_mm: ZyxMm, limit_mm: float = math.inf) -> F64:
    """Distance in mm of each place to the nearest one on a surface; infinite if the surface is empty.

    Args:
        places: flat indices into `surface`.
        surface: True on the surface; shape (z, y, x).
        spacing_zyx_mm: distance between neighbours of the grid.
        limit_mm: larger distances are given as infinity; a low limit is faster.
    """
    found = np.where(surface.ravel()[places], 0.0, np.inf)
    left = np.flatnonzero(np.isinf(found))
    if left.size == 0 or not surface.any():
        return found
    near_mm = min(limit_mm, max(NEAR_VOXELS * max(spacing_zyx_mm), NEAR_MM))
    if left.size > PLACES_PER_VOXEL * surface.size:
        rough = _distance_map(surface, spacing_zyx_mm)[places[left]]
        found[left] = np.where(rough <= limit_mm, rough, np.inf)
        left = left[rough <= near_mm * (1 + SINGLE_PRECISION)]
    rings = _rings(spacing_zyx_mm)
    found[left] = _by_rings(places[left], surface, [ring for ring in rings if ring[0] <= limit_mm])
    left = left[np.isinf(found[left])]
    if left.size and limit_mm > rings[-1][0]:
        found[left] = _by_tree(places[left], surface, spacing_zyx_mm, near_mm)
        left = left[np.isinf(found[left])]
    if left.size and limit_mm > near_mm:
        found[left] = _far(places[left], surface, spacing_zyx_mm)
        found[found > limit_mm] = math.inf
    return found


@lru_cache(maxsize=64)
def _rings(spacing_zyx_mm: ZyxMm) -> tuple[tuple[float, tuple[Step, ...]], ...]:
    """Steps to neighbours by length in mm, shortest first, complete up to the longest one."""
    complete_mm = (REACH + 1) * min(spacing_zyx_mm)
    steps_of: dict[float, list[Step]] = defaultdict(list)
    reach = range(-REACH, REACH + 1)
    for z, y, x in itertools.product(reach, reach, reach):
        length_mm = float(_lengths(np.array([(z, y, x)]), spacing_zyx_mm)[0])
        if 0 < length_mm < complete_mm:
            steps_of[length_mm].append((z, y, x))
    rings, steps = [], 0
    for length_mm in sorted(steps_of):
        if steps >= RING_STEPS:
            break
        rings.append((length_mm, tuple(steps_of[length_mm])))
        steps += len(steps_of[length_mm])
    return tuple(rings)


def _by_rings(places: Places, surface: Mask, rings: list[tuple[float, tuple[Step, ...]]]) -> F64:
    """Distances in mm of the places that the rings find, infinity for the others."""
    padded = np.pad(surface, REACH)
    row, plane = padded.shape[2], padded.shape[1] * padded.shape[2]
    z, y, x = np.unravel_index(places, surface.shape)
    here = (z + REACH) * plane + (y + REACH) * row + (x + REACH)
    flat = padded.ravel()
    found = np.full(places.size, np.inf)
    left = np.arange(places.size)
    for length_mm, steps in rings:
        hit = np.zeros(here.size, np.bool_)
        for dz, dy, dx in steps:
            hit |= flat[here + (dz * plane + dy * row + dx)]
        found[left[hit]] = length_mm
        here, left = here[~hit], left[~hit]
    return found


def _by_tree(places: Places, surface: Mask, spacing_zyx_mm: ZyxMm, limit_mm: float) -> F64:
    """Distances in mm up to the limit, infinity beyond it."""
    there, here = (
        np.stack(np.unravel_index(flat, surface.shape), axis=1) for flat in (np.flatnonzero(surface), places)
    )
    tree = cKDTree(there * spacing_zyx_mm, leafsize=32, balanced_tree=False)
    nearest = np.asarray(
        tree.query(here * spacing_zyx_mm, distance_upper_bound=limit_mm * (1 + SINGLE_PRECISION))[1]
    )
    hit = nearest < len(there)
    found = np.full(len(here), np.inf)
    found[hit] = _lengths(here[hit] - there[nearest[hit]], spacing_zyx_mm)
    found[found > limit_mm] = math.inf
    return found


def _far(places: Places, surface: Mask, spacing_zyx_mm: ZyxMm) -> F64:
    if places.size * np.count_nonzero(surface) > PAIRS_PER_VOXEL * surface.size:
        return _distance_map(surface, spacing_zyx_mm)[places].astype(np.float64)
    return _by_tree(places, surface, spacing_zyx_mm, math.inf)


def _lengths(steps: NDArray[np.signedinteger], spacing_zyx_mm: ZyxMm) -> F64:
    """Lengths in mm of steps of whole voxels; shape (n, 3).

    Computed from steps and not from coordinates, whose rounding could move a length across a tolerance; and
    summed x first, so that the last bit is that of the organisers' programs.
    """
    lengths: F64 = np.sqrt(((steps * spacing_zyx_mm)[:, ::-1] ** 2).sum(axis=1))
    return lengths


def _distance_map(surface: Mask, spacing_zyx_mm: ZyxMm) -> F32:
    """Distance in mm of every place of the grid to the surface, as a flat array.

    This is slow, but does not become slower with the distances.
    """
    image = sitk.GetImageFromArray(surface.view(np.uint8))
    image.SetSpacing(spacing_zyx_mm[::-1])
    distances: F32 = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, True)).ravel()
    return np.abs(distances)
