"""Mesenteric vessels in front of a straight aorta; 1 voxel = 2 mm."""

from functools import cache, partial

import numpy as np
import pytest

from tests.training.phantom.bodies.blocks import PAD, SPACING, with_laid
from training.phantom.bodies.body import STEPS_PER_MM, Body, prepare_body
from training.phantom.bodies.mesenteric import ARTERY, VEIN, lay_mesenteric_vessels

IDS = {"vertebrae_L1": 1, "aorta": 2, "pancreas": 3, "duodenum": 4}
SHAPE = (100, 60, 60)
AORTA_YX = (40, 30)


@cache
def straight(fill: str = "", aorta: bool = True) -> Body:
    """An aorta 10 mm wide from foot to head, in something; the first lumbar vertebra is at slice 80."""
    labels = np.full(SHAPE, IDS.get(fill, 0), np.uint8)
    labels[78:83, 50:55, 28:33] = IDS["vertebrae_L1"]
    if aorta:
        labels[:, 38:43, 28:33] = IDS["aorta"]
    return prepare_body("straight", labels, SPACING, IDS)


with_vessels = partial(with_laid, lay_mesenteric_vessels)


def mask(body: Body, name: str) -> np.ndarray:
    """Where a structure is, without the padding."""
    return body.labels[:, PAD:-PAD, PAD:-PAD] == body.ids[name]


def middle(body: Body, name: str, z: int) -> tuple[float, float]:
    """Where a vessel is cut, mm in front of the aorta and to its right."""
    y, x = np.nonzero(mask(body, name)[z])
    return 2 * (AORTA_YX[0] - y.mean()), 2 * (AORTA_YX[1] - x.mean())


@pytest.mark.parametrize("seed", range(4))
def test_the_vein_lies_in_front_and_on_the_right_and_the_artery_to_its_left(seed):
    body = with_vessels(straight(), seed)
    vein, artery = (middle(body, name, 60) for name in (VEIN, ARTERY))
    assert 15 < vein[0] < 43
    assert -4 < vein[1] < 18
    assert 9 < vein[1] - artery[1] < 19
    # At 60 mm from its origin the vein is between half of and all of 9 to 13 mm wide.
    width_mm = 2 * mask(body, VEIN)[50].any(0).sum()
    assert 4 <= width_mm <= 14
    # 4.5 to 6.5 mm thick at its beginning, the middle of a sphere at most 1 mm from that of a voxel.
    deepest = body.depth[:, PAD:-PAD, PAD:-PAD][mask(body, VEIN)].max() / STEPS_PER_MM
    assert 2.5 < deepest <= 6.5
    # It has ended 130 mm below at the latest, and both begin at most 8 mm above the origin.
    for vessel in (VEIN, ARTERY):
        z = np.flatnonzero(mask(body, vessel).any((1, 2)))
        assert 80 - 66 <= z.min() <= 80 - 32
        assert 80 - 5 <= z.max() <= 80 + 8


def test_pancreas_gives_way_and_duodenum_does_not():
    for name, gives_way in (("pancreas", True), ("duodenum", False)):
        body = with_vessels(straight(name))
        assert mask(body, VEIN).any() == gives_way
        assert mask(body, ARTERY).any() == gives_way
        assert mask(body, "aorta").sum() == 100 * 25


def test_a_vessel_in_an_organ_is_as_deep_as_it_is_thick_however_deep_the_organ_was():
    """The vein is 13 mm wide at most, the pancreas around it 76 mm and more."""
    before, after = straight("pancreas"), with_vessels(straight("pancreas"))
    vein = after.labels == after.ids[VEIN]
    assert before.depth[vein].max() > 65
    assert after.depth[vein].max() <= 65


def test_without_an_aorta_there_is_no_telling_where_they_are():
    body = straight(aorta=False)
    np.testing.assert_array_equal(with_vessels(body).labels, body.labels)


def test_they_end_with_the_aorta():
    """A map that ends 40 mm below the origin."""
    labels = straight().labels[60:, PAD:-PAD, PAD:-PAD]
    body = with_vessels(prepare_body("short", labels, SPACING, IDS))
    assert mask(body, VEIN)[0].any()
    assert (mask(body, VEIN).sum((1, 2)) < 6**2).all()
