import math

import numpy as np
import pytest
from scipy import ndimage

from eval.scoring import nearest
from eval.scoring.nearest import distances_mm
from tests.eval.made import blob

SPACINGS = [(1.0, 1.0, 1.0), (5.0, 0.7, 0.9), (0.5, 3.0, 0.8)]


def everywhere(surface: np.ndarray) -> np.ndarray:
    return np.arange(surface.size)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("share", [0.3, 0.02, 0.0005])
def test_distances_are_those_of_scipys_distance_transform(spacing, share):
    surface = blob(np.random.default_rng(3), (17, 22, 25), 0.5, share)
    expected = ndimage.distance_transform_edt(~surface, sampling=spacing).ravel()
    found = distances_mm(everywhere(surface), surface, spacing)
    near = expected <= nearest.NEAR_MM
    assert found[near] == pytest.approx(expected[near], abs=1e-9)
    assert found == pytest.approx(expected, rel=1e-6)
    for limit in (0.7, 2.0, 7.5):
        limited = distances_mm(everywhere(surface), surface, spacing, limit)
        assert np.array_equal(limited, np.where(found <= limit, found, np.inf))


def test_a_distance_of_just_the_limit_is_within_it():
    surface = np.zeros((1, 1, 40), bool)
    surface[0, 0, 0] = True
    for spacing in (0.1, 0.3, 0.7, float(np.float32(0.7))):
        limits = np.arange(40) * spacing
        assert [
            distances_mm(np.array([i]), surface, (1.0, 1.0, spacing), limit)[0]
            for i, limit in enumerate(limits)
        ] == list(limits)


def test_nothing_is_infinitely_far_and_a_surface_is_no_distance_from_itself():
    surface = np.zeros((3, 4, 5), bool)
    assert np.isinf(distances_mm(everywhere(surface), surface, SPACINGS[0])).all()
    assert not distances_mm(everywhere(surface), ~surface, SPACINGS[0]).any()
    assert distances_mm(np.empty(0, np.intp), surface, SPACINGS[0]).size == 0


def test_rows_do_not_wrap_around():
    surface = np.zeros((2, 2, 9), bool)
    surface[0, 0, 8] = True
    assert distances_mm(np.array([9]), surface, SPACINGS[0])[0] == pytest.approx(math.sqrt(65))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_map_and_a_tree_give_the_same_distances(spacing, monkeypatch):
    surface = np.zeros((30, 40, 50), bool)
    surface[25:, 20:35, 30:] = blob(np.random.default_rng(0), (5, 15, 20), 0.5, 0.3)
    by_tree = distances_mm(everywhere(surface), surface, spacing)
    monkeypatch.setattr(nearest, "PAIRS_PER_VOXEL", 0)
    by_map = distances_mm(everywhere(surface), surface, spacing)
    assert by_map == pytest.approx(by_tree, rel=1e-6)
    assert by_tree.max() > nearest.NEAR_MM


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_map_first_gives_the_same_distances(spacing, monkeypatch):
    surface = blob(np.random.default_rng(1), (12, 20, 25), 0.5, 0.01)
    monkeypatch.setattr(nearest, "PLACES_PER_VOXEL", math.inf)
    expected = [distances_mm(everywhere(surface), surface, spacing, limit) for limit in (math.inf, 3.0)]
    monkeypatch.setattr(nearest, "PLACES_PER_VOXEL", 0.0)
    for limit, without in zip((math.inf, 3.0), expected, strict=True):
        found = distances_mm(everywhere(surface), surface, spacing, limit)
        near = without <= nearest.NEAR_MM
        assert np.array_equal(found[near], without[near])
        assert found == pytest.approx(without, rel=1e-6)
