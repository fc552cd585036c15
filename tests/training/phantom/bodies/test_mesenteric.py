"""Mesenteric vessels in front of a straight aorta; 1 voxel = 2 mm."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.phantom.bodies.blocks import block_body
from training.phantom.bodies.body_filling import Deformed
from training.phantom.bodies.mesenteric import ARTERY, VEIN, paint_mesenteric_vessels

IDS = {"vertebrae_L1": 1, "aorta": 2, VEIN: 3, ARTERY: 4, "pancreas": 5, "duodenum": 6}
SHAPE = (100, 60, 60)
AORTA_YX = (40, 30)


def body(ids):
    return replace(block_body(), ids=ids)


def patient(fill=0):
    """An aorta 10 mm wide from foot to head, in something; the first lumbar vertebra is at slice 80."""
    structures = np.full(SHAPE, fill, np.uint8)
    structures[:, 38:43, 28:33] = IDS["aorta"]
    flat = np.zeros(SHAPE, np.float32)
    height_mm = np.broadcast_to((np.arange(100, dtype=np.float32)[:, None, None] - 80) * 2, SHAPE)
    return Deformed(structures, flat.copy(), flat, height_mm)


def middle(deformed, name, z):
    """Where a vessel is cut, mm in front of the aorta and to its right."""
    y, x = np.nonzero(deformed.structures[z] == IDS[name])
    return 2 * (AORTA_YX[0] - y.mean()), 2 * (AORTA_YX[1] - x.mean())


@pytest.mark.parametrize("seed", range(4))
def test_the_vein_lies_in_front_and_on_the_right_and_the_artery_to_its_left(seed):
    deformed = patient()
    painted = paint_mesenteric_vessels(deformed, body(IDS), 2.0, np.random.default_rng(seed))
    assert painted == [VEIN, ARTERY]
    vein, artery = (middle(deformed, name, 60) for name in (VEIN, ARTERY))
    assert 15 < vein[0] < 43
    assert -4 < vein[1] < 18
    assert 9 < vein[1] - artery[1] < 19
    # At 60 mm from its origin the vein is between half of and all of 9 to 13 mm wide.
    width_mm = 2 * (deformed.structures[50] == IDS[VEIN]).any(0).sum()
    assert 4 <= width_mm <= 14
    assert deformed.depth_mm[deformed.structures == IDS[VEIN]].max() > 2
    # It has ended 130 mm below at the latest.
    assert not np.isin(deformed.structures[:14], [IDS[VEIN], IDS[ARTERY]]).any()


def test_pancreas_gives_way_and_duodenum_does_not():
    for name, gives_way in (("pancreas", True), ("duodenum", False)):
        deformed = patient(IDS[name])
        painted = paint_mesenteric_vessels(deformed, body(IDS), 2.0, np.random.default_rng(0))
        assert bool(painted) == gives_way
        assert (deformed.structures == IDS["aorta"]).sum() == 100 * 25


def test_without_an_aorta_in_view_there_is_no_telling_where_they_are():
    deformed = patient()
    deformed.structures[deformed.structures == IDS["aorta"]] = 0
    assert paint_mesenteric_vessels(deformed, body(IDS), 2.0, np.random.default_rng(0)) == []
    few = {name: IDS[name] for name in ("vertebrae_L1", "aorta")}
    assert paint_mesenteric_vessels(patient(), body(few), 2.0, np.random.default_rng(0)) == []
