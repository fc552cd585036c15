"""The stomach of a body of blocks, emptied; 1 voxel = 2 mm."""

import numpy as np
from scipy import ndimage

from tests.training.phantom.bodies.blocks import IDS, block_body
from training.phantom.bodies.body_filling import Deformed
from training.phantom.bodies.emptying import empty_stomach

SHAPE = (40, 40, 60)


def patient(half_mm):
    """A liver, and a stomach that is a slab of this half thickness."""
    structures = np.zeros(SHAPE, np.uint8)
    structures[:, 4:36, 2:6] = IDS["liver"]
    half = half_mm // 2
    structures[:, :, 30 - half : 30 + half] = IDS["stomach"]
    depth = 2 * ndimage.distance_transform_cdt(structures == IDS["stomach"], "taxicab").astype(np.float32)
    flat = np.zeros(SHAPE, np.float32)
    return Deformed(structures, depth, flat, flat)


def test_a_thick_stomach_loses_four_tenths_at_most_and_nothing_else_changes():
    """At a depth of d mm 0.4 of d + 16 mm go, which is there within 16 mm: d = 2, 4, 6, 8, 10."""
    deformed, before = patient(40), patient(40)
    assert empty_stomach(deformed, block_body(), 2.0, np.random.default_rng(0))
    middle = deformed.structures[20, 20] == IDS["stomach"]
    assert np.flatnonzero(middle).tolist() == list(range(15, 45))
    np.testing.assert_allclose(deformed.depth_mm[20, 20, 30], 0.6 * 40)
    others = before.structures != IDS["stomach"]
    assert np.array_equal(deformed.structures[others], before.structures[others])
    assert set(np.unique(deformed.structures[~others])) == {0, IDS["stomach"]}


def test_a_thin_one_is_empty_already():
    deformed, before = patient(8), patient(8)
    assert empty_stomach(deformed, block_body(), 2.0, np.random.default_rng(0))
    assert np.array_equal(deformed.structures, before.structures)
    assert np.array_equal(deformed.depth_mm, before.depth_mm)


def test_without_a_stomach_in_view_there_is_nothing_to_do():
    deformed = patient(8)
    deformed.structures[deformed.structures == IDS["stomach"]] = 0
    assert not empty_stomach(deformed, block_body(), 2.0, np.random.default_rng(0))
