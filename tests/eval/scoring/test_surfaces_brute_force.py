"""Neighbour codes, areas and nearest distances against the slow and obvious way, on tiny grids."""

import itertools
import math

import numpy as np
import pytest

from eval.scoring.metrics import surface_distances
from eval.scoring.nearest import distances_mm
from eval.scoring.surfels import neighbour_codes, surfel_areas_mm2

SPACINGS = [(1.0, 1.0, 1.0), (5.0, 0.7, 0.9), (0.3, 2.0, 1.1), (2.5, 2.5, 0.25)]
SHAPES = [(1, 1, 1), (1, 1, 7), (1, 6, 5), (4, 3, 5), (6, 6, 6)]


def slow_codes(mask: np.ndarray) -> np.ndarray:
    """Bit 4·bx + 2·by + bz: is the voxel before (1) or behind (0) the corner along x, y, z inside?"""
    codes = np.zeros([size + 2 for size in mask.shape], np.uint8)
    for corner in itertools.product(*(range(size + 1) for size in mask.shape)):
        for before in itertools.product((0, 1), repeat=3):
            voxel = tuple(place - step for place, step in zip(corner, before, strict=True))
            inside = all(0 <= place < size for place, size in zip(voxel, mask.shape, strict=True))
            if inside and mask[voxel]:
                bz, by, bx = before
                codes[corner] |= np.uint8(1 << (4 * bx + 2 * by + bz))
    return codes


def slow_distances(surface: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Distance of every place of the grid to the nearest one of the surface."""
    places = np.argwhere(np.ones_like(surface)) * spacing
    there = np.argwhere(surface) * spacing
    return np.sqrt(((places[:, None] - there[None]) ** 2).sum(axis=2)).min(axis=1)


def slow_surface(mask: np.ndarray) -> np.ndarray:
    """Corners whose eight voxels are neither all inside nor all outside."""
    codes = slow_codes(mask)
    return (codes > 0) & (codes < 255)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_codes_are_what_each_corner_sees(shape, share):
    generator = np.random.default_rng(sum(shape))
    for _ in range(3):
        mask = generator.random(shape) < share
        assert np.array_equal(neighbour_codes(mask), slow_codes(mask))


def test_every_neighbourhood_has_its_own_code():
    # A 2×2×2 mask is seen whole by the corner in its middle: all 256 masks give all 256 codes.
    seen = set()
    for bits in itertools.product((False, True), repeat=8):
        mask = np.array(bits).reshape(2, 2, 2)
        seen.add(int(neighbour_codes(mask)[1, 1, 1]))
    assert seen == set(range(256))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 2), (1, 3, 5), (4, 2, 3)])
def test_the_surface_of_a_block_is_its_faces_edges_and_corners(size, spacing):
    """A corner has an eighth of |(yz, xz, xy)|, a place on an edge half a diagonal, one on a face a face."""
    (nz, ny, nx), (sz, sy, sx) = size, spacing
    corners_mm2 = 8 * math.sqrt((sy * sz) ** 2 + (sx * sz) ** 2 + (sx * sy) ** 2) / 8
    edges_mm2 = 4 * (
        (nz - 1) * sz * math.hypot(sx, sy) / 2
        + (ny - 1) * sy * math.hypot(sx, sz) / 2
        + (nx - 1) * sx * math.hypot(sy, sz) / 2
    )
    faces_mm2 = 2 * (
        (ny - 1) * (nx - 1) * sy * sx + (nz - 1) * (nx - 1) * sz * sx + (nz - 1) * (ny - 1) * sz * sy
    )
    areas = surfel_areas_mm2(spacing)[neighbour_codes(np.ones(size, bool))]
    assert areas.sum() == pytest.approx(corners_mm2 + edges_mm2 + faces_mm2)


def test_only_what_is_all_inside_or_all_outside_has_no_area():
    areas = surfel_areas_mm2((1.0, 1.0, 1.0))
    assert np.flatnonzero(areas == 0).tolist() == [0, 255]
    assert areas.shape == (256,)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_areas_grow_with_the_square_of_the_voxels(spacing):
    larger = surfel_areas_mm2(tuple(3 * size for size in spacing))
    assert larger == pytest.approx(9 * surfel_areas_mm2(spacing))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("shape", SHAPES)
def test_nearest_distances_are_the_least_of_all(shape, spacing):
    generator = np.random.default_rng(1 + sum(shape))
    for share in (0.02, 0.3, 0.8):
        surface = generator.random(shape) < share
        surface.ravel()[generator.integers(surface.size)] = True
        found = distances_mm(np.arange(surface.size), surface, spacing)
        assert found == pytest.approx(slow_distances(surface, spacing), rel=1e-6)


@pytest.mark.parametrize("limit_mm", [0.0, 0.5, 1.0, 2.2, 7.0])
def test_a_limit_cuts_what_is_farther_and_nothing_else(limit_mm):
    generator = np.random.default_rng(8)
    surface = generator.random((5, 6, 7)) < 0.03
    expected = slow_distances(surface, (1.5, 1.0, 0.8))
    found = distances_mm(np.arange(surface.size), surface, (1.5, 1.0, 0.8), limit_mm)
    near = expected <= limit_mm
    assert found[near] == pytest.approx(expected[near])
    assert np.isinf(found[~near]).all()


def test_only_the_places_asked_for_are_answered_in_their_order():
    surface = np.zeros((1, 1, 10), bool)
    surface[0, 0, 4] = True
    assert distances_mm(np.array([9, 4, 0, 9]), surface, (1.0, 1.0, 2.0)).tolist() == [10.0, 0.0, 8.0, 10.0]


def test_a_surface_far_away_is_measured_exactly():
    # 200 voxels of 1 mm along x and 30 along z of 3 mm: beyond all rings and near trees.
    surface = np.zeros((31, 1, 201), bool)
    surface[30, 0, 200] = True
    assert distances_mm(np.array([0]), surface, (3.0, 1.0, 1.0))[0] == pytest.approx(math.hypot(90, 200))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_distances_between_surfaces_are_those_between_their_corners(spacing):
    generator = np.random.default_rng(3)
    for _ in range(4):
        prediction, truth = (generator.random((4, 5, 4)) < 0.3 for _ in range(2))
        here, there = slow_surface(prediction), slow_surface(truth)
        found = surface_distances(prediction, truth, spacing)
        assert found.prediction_mm == pytest.approx(slow_distances(there, spacing)[here.ravel()], rel=1e-6)
        assert found.truth_mm == pytest.approx(slow_distances(here, spacing)[there.ravel()], rel=1e-6)
        areas = surfel_areas_mm2(spacing)[slow_codes(truth)]
        assert found.truth_mm2 == pytest.approx(areas.ravel()[there.ravel()])
