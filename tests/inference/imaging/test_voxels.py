"""Voxels are collected, widened and mended within the memory of the image itself."""

import tracemalloc

import numpy as np
import pytest

from inference.errors import InputError
from inference.imaging.formats import voxels
from inference.imaging.formats.voxels import StoredVoxels, VoxelSink, read_voxels

SIZE = (8, 128, 128)
IMAGE_BYTES = 4 * 8 * 128 * 128
"""As float32."""


def stored(path, array):
    path.write_bytes(array.tobytes())
    return StoredVoxels(path=path, size_zyx=array.shape, dtype=array.dtype)


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 100])
def test_whole_numbers_become_float_where_one_does_not_fit(chunk, monkeypatch):
    monkeypatch.setattr(voxels, "CHUNK_VOXELS", chunk)
    sink = VoxelSink(7)
    sink.put(0, np.array([-32768, 1, 2, 32767, -5], np.int32))
    assert (sink.values.dtype, sink.values[:5].tolist()) == (np.int16, [-32768, 1, 2, 32767, -5])
    sink.put(5, np.array([32768, 7], np.int32))
    assert (sink.values.dtype, sink.values.tolist()) == (np.float32, [-32768, 1, 2, 32767, -5, 32768, 7])


def test_fractions_from_the_first_on():
    sink = VoxelSink(2)
    sink.put(0, np.array([3, 5], np.int16), slope=0.5)
    assert (sink.values.dtype, sink.values.tolist()) == (np.float32, [1.5, 2.5])


def test_what_is_not_finite_becomes_the_lowest_and_the_highest(tmp_path):
    """The second slice has nothing finite."""
    array = np.array([[[1.5, np.nan, -np.inf]], [[np.inf, np.nan, np.nan]], [[-2, 4, 0]]], np.float32)
    found, warnings = read_voxels(stored(tmp_path / "a", array))
    assert found.tolist() == [[[1.5, -2, -2]], [[4, -2, -2]], [[-2, 4, 0]]]
    assert warnings == ("5 of 9 voxels (55.6 %) are NaN or infinite; they were taken as -2 (+inf as 4)",)


def test_a_single_odd_voxel_is_less_than_a_tenth_of_a_percent(tmp_path):
    array = np.ones((10, 10, 11), np.float32)
    array[0, 0, 0] = np.nan
    _, (warning,) = read_voxels(stored(tmp_path / "a", array))
    assert warning.startswith("1 of 1,100 voxels (less than 0.1 %) are NaN")


def test_an_image_of_nothing_finite_is_refused(tmp_path):
    with pytest.raises(InputError, match="a: every voxel is NaN or infinite, there is no image in it"):
        read_voxels(stored(tmp_path / "a", np.array([[[np.nan, np.inf]]], np.float32)))


def one_nan():
    array = np.zeros(SIZE, np.float32)
    array[4, 5, 6] = np.nan
    return array


def last_too_high():
    array = np.zeros(SIZE, np.uint16)
    array[-1, -1, -1] = 40_000
    return array


@pytest.mark.parametrize("make", [one_nan, last_too_high])
def test_reading_takes_the_memory_of_the_image_and_a_few_planes(make, tmp_path, monkeypatch):
    """Lists of finite values, or int16 and float32 side by side, took 1.5 to 3 times as much."""
    monkeypatch.setattr(voxels, "CHUNK_VOXELS", 1 << 12)
    of_file = stored(tmp_path / "a", make())
    tracemalloc.start()
    try:
        read_voxels(of_file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert IMAGE_BYTES <= peak < 1.4 * IMAGE_BYTES
