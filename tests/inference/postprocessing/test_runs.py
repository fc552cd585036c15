"""Runs of label maps that are checked by eye, and against cc3d and numpy on random ones."""

import tracemalloc

import cc3d
import numpy as np
import pytest

from inference.geometry import Geometry
from inference.postprocessing import runs as module
from inference.postprocessing.components import clean_up
from inference.postprocessing.laterality import split_noise, split_pairs
from inference.postprocessing.runs import (
    RUN_BYTES,
    RUNS_ALWAYS,
    RUNS_NEVER,
    VISIT_BYTES,
    VOXELS_AT_ONCE,
    ScatteredError,
    count_along,
    fill,
    find_runs,
    most_runs,
    number_parts,
    voxels_of,
)
from model.labels import FLARE23, KIDNEYS
from model.manifest.clean_up import LargestComponent
from tests.inference.splits import MERGE, OUTPUT


def random_maps(count: int):
    rng = np.random.default_rng(0)
    for _ in range(count):
        shape = tuple(rng.integers(1, 10, 3))
        held = rng.random(shape) < rng.choice([0.05, 0.2, 0.5, 1.0])
        yield np.where(held, rng.choice([1, 2, 255], shape), 0).astype(np.uint8)


def test_runs_of_one_row():
    runs = find_runs(np.array([[[0, 1, 1, 0, 2, 2, 2, 1]]], np.uint8))
    assert list(zip(runs.start, runs.stop, runs.label, strict=True)) == [(1, 3, 1), (4, 7, 2), (7, 8, 1)]
    assert runs.row.tolist() == [0, 0, 0]
    assert (runs.z.tolist(), runs.y.tolist(), runs.voxels.tolist()) == ([0] * 3, [0] * 3, [2, 3, 1])
    assert runs.of([1]).start.tolist() == [1, 7]


def test_a_run_ends_with_its_row():
    labels = np.zeros((2, 3, 4), np.uint8)
    labels[1, 1, 2:], labels[1, 2, :2] = 5, 5
    runs = find_runs(labels)
    assert list(zip(runs.z, runs.y, runs.start, runs.stop, strict=True)) == [(1, 1, 2, 4), (1, 2, 0, 2)]


def test_background_has_no_runs():
    runs = find_runs(np.zeros((2, 3, 4), np.uint8))
    assert len(runs) == 0
    part, sizes = number_parts(runs, touching=26)
    assert (part.size, sizes.size) == (0, 0)
    assert list(voxels_of(runs)) == []


def test_runs_are_the_map_and_count_as_numpy_does():
    for labels in random_maps(60):
        runs, back = find_runs(labels), np.zeros_like(labels)
        fill(back, runs, runs.label)
        assert np.array_equal(back, labels)
        for axis in (0, 1, 2):
            assert np.array_equal(count_along(runs, axis), np.count_nonzero(labels, axis=axis))


@pytest.mark.parametrize("touching", [6, 26])
@pytest.mark.parametrize("at_once", [3, 1 << 18])
def test_parts_are_those_of_cc3d(monkeypatch, touching, at_once):
    """In the same order too. cc3d fails on some of the smallest arrays: it sees them with a margin."""
    monkeypatch.setattr(module, "RUNS_AT_ONCE", at_once)
    monkeypatch.setattr(module, "VOXELS_AT_ONCE", at_once)
    for labels in random_maps(60):
        runs, numbered = find_runs(labels), np.zeros(labels.shape, int)
        part, sizes = number_parts(runs, touching)
        for index, number in voxels_of(runs):
            numbered[index] = 1 + part[number]
        expected = cc3d.connected_components(np.pad(labels > 0, 1), connectivity=touching)[1:-1, 1:-1, 1:-1]
        assert np.array_equal(numbered, expected)
        assert np.array_equal(sizes, np.bincount(expected.ravel())[1:])


def test_a_long_chain_is_one_part():
    """A staircase of 5 000 voxels, each touching the next with a corner alone."""
    labels = np.zeros((2, 5000, 4), np.uint8)
    step = np.arange(5000)
    labels[step % 2, step, np.abs(step % 6 - 3)] = 1
    assert number_parts(find_runs(labels), touching=26)[1].tolist() == [5000]
    assert number_parts(find_runs(labels), touching=6)[1].size == 5000


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 3, 1), (3, 1, 1), (1, 3, 3), (5, 1, 1)], ids=lambda s: "x".join(map(str, s))
)
def test_the_smallest_maps_are_cleaned_up(shape):
    """Two corners of a map that cc3d 4.1.1 cannot take."""
    labels = np.zeros(shape, np.uint8)
    labels.flat[[0, -1]] = FLARE23.ids["liver"]
    cleaned = clean_up(labels, (1, 1, 1), [LargestComponent(structures=("liver",))], FLARE23)
    assert np.flatnonzero(cleaned).tolist() == [0]


# Memory and noise
# ----------------------------------------------------------------------------------------------------

FAR = (400, 200, 200)
"""16 million voxels."""


def kidneys_and_strays() -> np.ndarray:
    """Two kidneys as one structure, and a stray voxel of it in two far corners of the scan."""
    labels = np.zeros(FAR, np.uint8)
    labels[100:130, 80:120, 20:60] = labels[100:130, 80:120, 140:180] = FLARE23.ids[KIDNEYS.right]
    labels[0, 0, 0] = labels[-1, -1, -1] = FLARE23.ids[KIDNEYS.right]
    return labels


def test_stray_voxels_at_the_ends_of_a_scan_cost_nothing():
    """A mask in the box around them would be the whole scan: 15 MiB, and four times that for its parts."""
    channels = MERGE[kidneys_and_strays()]
    geometry = Geometry(size_zyx=FAR, spacing_zyx_mm=(2.0, 1.5, 1.5))
    tracemalloc.start()
    labels = split_pairs(channels, geometry, OUTPUT)
    split_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    clean_up(labels, (2.0, 1.5, 1.5), [LargestComponent(structures=("right kidney",))], FLARE23)
    clean_peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    planned = most_runs(labels.size, 14) * RUN_BYTES + VOXELS_AT_ONCE * VISIT_BYTES
    assert split_peak < labels.nbytes + planned
    assert clean_peak < 2 * labels.nbytes + planned
    assert [np.count_nonzero(labels == FLARE23.ids[side]) for side in (KIDNEYS.right, KIDNEYS.left)] == [
        30 * 40 * 40 + 1
    ] * 2


@pytest.mark.parametrize("touching", [6, 26])
def test_a_run_takes_what_is_planned(touching):
    """As many runs as are let through, in a map of noise."""
    labels = (np.random.default_rng(0).random((100, 100, 100)) < 0.3).astype(np.uint8)
    tracemalloc.start()
    runs = find_runs(labels)
    found_peak = tracemalloc.get_traced_memory()[1]
    number_parts(runs, touching)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.7 * RUNS_ALWAYS < len(runs) <= RUNS_ALWAYS
    assert found_peak < len(runs) * RUN_BYTES
    assert peak < RUNS_ALWAYS * RUN_BYTES


@pytest.mark.parametrize(
    ("voxels", "structures", "most"),
    [
        (1000, 13, RUNS_ALWAYS),
        (512 * 512 * 300, 13, 512 * 512 * 300 // 64),
        (512 * 512 * 100, 117, 512 * 512 * 100 // 16),
        (512 * 512 * 300, 32, 512 * 512 * 300 // 32),
        (512 * 512 * 2000, 117, RUNS_NEVER),
    ],
)
def test_many_structures_have_many_runs(voxels, structures, most):
    assert most_runs(voxels, structures) == most


def test_noise_is_named_and_left_as_it_is():
    """A checkerboard of kidneys, 432 000 voxels that do not touch: each goes to its own side."""
    z, y, x = np.ogrid[:60, :120, :120]
    channels = np.where((z + y + x) % 2 == 0, MERGE[FLARE23.ids[KIDNEYS.right]], 0).astype(np.uint8)
    assert np.count_nonzero(channels) == 432_000 > most_runs(channels.size, 14)
    geometry = Geometry(size_zyx=channels.shape, spacing_zyx_mm=(1.0, 1.0, 1.0))
    with pytest.raises(ScatteredError, match="scattered like noise"):
        split_pairs(channels, geometry, OUTPUT)
    labels = split_noise(channels, geometry, OUTPUT)
    assert set(np.unique(labels[:, :, :60])) == {0, FLARE23.ids[KIDNEYS.right]}
    assert set(np.unique(labels[:, :, 60:])) == {0, FLARE23.ids[KIDNEYS.left]}
    with pytest.raises(ScatteredError):
        clean_up(labels, (1, 1, 1), [LargestComponent(structures=("liver",))], FLARE23)
