"""How many voxels each id has, in little memory."""

import tracemalloc

import numpy as np

from model.arrays import counts_of_ids


def test_each_id_is_counted_over_all_planes():
    ids = np.array([[[0, 3], [3, 255]], [[3, 0], [0, 0]]], np.uint8)
    counts = counts_of_ids(ids)
    assert (counts[0], counts[3], counts[255]) == (4, 3, 1)
    assert (len(counts), counts.sum()) == (256, 8)


def test_counting_takes_the_memory_of_a_plane():
    """4 MiB of ids; at once they would take 32 MiB, a plane takes 0.5."""
    ids = np.zeros((64, 256, 256), np.uint8)
    tracemalloc.start()
    counts_of_ids(ids)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20
