"""Bodies on the frames of scans."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.phantom.bodies.blocks import IDS, block_body
from tests.training.phantom.plain import plain_pose
from training.phantom.bodies.body_filling import Painter
from training.phantom.bodies.deforming import deform
from training.phantom.bodies.shape import move_organs, random_shape
from training.phantom.frame import Frame
from training.phantom.tissue import random_tissues


@pytest.fixture(scope="module")
def body():
    return block_body()


def plain_shape(body, **fields):
    shape = random_shape(np.random.default_rng(0), body)
    return replace(shape, pose=plain_pose(), **{"growth_mm": 0.0} | fields)


def frame_around(body):
    return Frame(pose=plain_pose(), origin_xyz_mm=np.array([-60.0] * 3), step_mm=2.0, shape=(61, 61, 61))


class Still(np.random.Generator):
    """Draws no change at all."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def normal(self, loc=0.0, scale=1.0, size=None):
        return loc if size is None else np.full(size, loc)


def test_an_undeformed_body_has_its_own_volumes(body):
    """The liver is 20 × 14 × 16 voxels less the gallbladder's 4 × 4 × 4, on a grid as fine as the map's."""
    deformed = deform(frame_around(body), body, plain_shape(body), Still())
    assert (deformed.structures == IDS["liver"]).sum() == pytest.approx(20 * 14 * 16 - 64, rel=0.06)
    assert (deformed.structures == IDS["gallbladder"]).sum() == pytest.approx(64, rel=0.3)


def test_growing_organs_meet_in_the_lean(body):
    """Liver and stomach are 6 mm apart: growing by 3 mm each they touch, and the vertebra stays as it is."""
    lean, own = (
        deform(frame_around(body), body, plain_shape(body, growth_mm=growth), Still())
        for growth in (6.0, 0.0)
    )
    for organ in ("liver", "stomach"):
        assert (lean.structures == IDS[organ]).sum() > 1.15 * (own.structures == IDS[organ]).sum()
    vertebra = IDS["vertebrae_L1"]
    assert np.array_equal(lean.structures == vertebra, own.structures == vertebra)


def test_the_skin_of_the_stout_ends_beside_the_map(body):
    """The map ends 97 mm behind the vertebra, the frame 118: with every voxel the body is farther away."""
    frame = Frame(
        pose=plain_pose(), origin_xyz_mm=np.array([-60.0, 58.0, -60.0]), step_mm=2.0, shape=(61,) * 3
    )
    deformed = deform(frame, body, plain_shape(body), Still())
    assert np.diff(deformed.hull_mm[:, 20:], axis=1).min() > 1


def test_a_missing_organ_leaves_nothing(body):
    deformed = deform(frame_around(body), body, plain_shape(body), Still(), ["gallbladder"])
    assert not (deformed.structures == IDS["gallbladder"]).any()
    assert (deformed.structures == IDS["liver"]).any()


def test_moving_organs_never_folds_space(body):
    """Along any line of points the map's coordinates still rise."""
    for seed in range(5):
        axis = np.arange(-60, 60, 2, dtype=np.float32)
        coordinates = [c.copy() for c in np.meshgrid(axis, axis, axis, indexing="ij")]
        move_organs(coordinates, body, np.random.default_rng(seed))
        for direction, values in enumerate(coordinates):
            assert np.diff(values, axis=direction).min() > 0


def test_the_skin_of_the_stout_is_smooth(body):
    """Fat of 50 mm is about as thick everywhere at one height and depth; muscle below makes no waves."""
    rng, frame = np.random.default_rng(0), frame_around(body)
    shape = plain_shape(body, fat_mm=50.0, wall_mm=8.0)
    deformed = deform(frame, body, shape, Still())
    painter = Painter(frame, body, deformed, shape, random_tissues(rng, "portal"), rng)
    image = painter.paint()
    beyond_muscle = deformed.hull_mm - painter.skin_mm
    assert np.ptp(beyond_muscle, axis=2).max() < 10
    assert np.ptp(beyond_muscle, axis=(0, 1)).max() > 10  # thicker behind than in front
    inside = (painter.skin_mm < -2) & (deformed.hull_mm > 0) & (deformed.structures == 0)
    assert np.ptp(image[inside & (deformed.hull_mm > 20)]) < 100  # fat alone
