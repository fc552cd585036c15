"""Crura, loin muscles and vessels around a straight aorta; 1 voxel = 2 mm."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.phantom.bodies.blocks import block_body
from training.phantom.bodies.body_filling import Deformed
from training.phantom.bodies.retroperitoneum import ARTERY, MUSCLE, VEIN, paint_retroperitoneum

IDS = {
    "vertebrae_L1": 1,
    "aorta": 2,
    "inferior_vena_cava": 3,
    ARTERY: 4,
    VEIN: 5,
    MUSCLE: 6,
    "kidney_right": 7,
    "kidney_left": 8,
    "spleen": 9,
    "liver": 10,
    "autochthon_left": 11,
}
SHAPE = (100, 80, 100)
ZERO = 50
"""Slice of the canonical origin."""


def body(ids=IDS):
    return replace(block_body(), ids=ids)


def patient():
    """Columns: spine, aorta before it, vena cava 20 mm to the right; kidneys and others as blocks."""
    structures = np.zeros(SHAPE, np.uint8)
    structures[:, 50:64, 42:58] = IDS["vertebrae_L1"]
    structures[:, 38:46, 46:54] = IDS["aorta"]
    structures[:, 38:46, 34:42] = IDS["inferior_vena_cava"]
    structures[30:60, 46:58, 10:24] = IDS["kidney_right"]
    structures[30:60, 46:58, 76:90] = IDS["kidney_left"]
    structures[60:80, 40:56, 80:94] = IDS["spleen"]
    structures[60:80, 10:40, 8:30] = IDS["liver"]
    structures[:, 66:76, 30:70] = IDS["autochthon_left"]
    flat = np.zeros(SHAPE, np.float32)
    height_mm = np.broadcast_to((np.arange(100, dtype=np.float32)[:, None, None] - ZERO) * 2, SHAPE)
    return Deformed(structures, flat.copy(), flat, height_mm)


def painted(seed=0, deformed=None, ids=IDS):
    deformed = deformed or patient()
    before = deformed.structures.copy()
    names = paint_retroperitoneum(deformed, body(ids), 2.0, np.random.default_rng(seed))
    return names, before, deformed.structures


@pytest.mark.parametrize("seed", range(4))
def test_only_fat_gives_way(seed):
    names, before, after = painted(seed)
    assert names == ["renal vessels", "celiac branches", "crura", "quadrati lumborum"]
    np.testing.assert_array_equal(after[before > 0], before[before > 0])
    assert set(np.unique(after[before == 0])) == {0, IDS[ARTERY], IDS[VEIN], IDS[MUSCLE]}


@pytest.mark.parametrize("seed", range(4))
def test_the_left_renal_vein_crosses_before_the_aorta_and_the_right_artery_behind_the_cava(seed):
    _, _, after = painted(seed)
    assert (after[:, :38, 49:51] == IDS[VEIN]).any()
    assert not (after[:, 46:, 46:54] == IDS[VEIN]).any()
    assert (after[:, 46:, 34:42] == IDS[ARTERY]).any()


@pytest.mark.parametrize("seed", range(4))
def test_crura_lie_beside_the_aorta_and_meet_before_it_above_the_arch_alone(seed):
    _, _, after = painted(seed)
    before_the_aorta = (after[:, 36:38, 48:52] == IDS[MUSCLE]).any((1, 2))
    # The arch lies 12 to 28 mm above the origin, and the right crus ends 35 to 75 mm below it.
    assert not before_the_aorta[: ZERO + 6].any()
    assert before_the_aorta[ZERO + 14 : ZERO + 20].any()
    between = (after[:, 46:50, 46:54] == IDS[MUSCLE]).any((1, 2))
    assert between[ZERO]
    assert not between[: ZERO - 38].any()


def test_loin_muscles_lie_beside_the_spine_before_the_muscles_of_the_back():
    _, _, after = painted()
    plate = after[ZERO - 20, 60:66] == IDS[MUSCLE]
    assert plate[:, :34].any()
    assert plate[:, 66:].any()
    # Not above the lowest rib, 15 mm above the origin.
    assert not (after[ZERO + 8 :, 60:66, :34] == IDS[MUSCLE]).any()


def test_a_kidney_that_was_taken_out_has_no_vessels():
    deformed = patient()
    deformed.structures[deformed.structures == IDS["kidney_left"]] = 0
    _, _, after = painted(deformed=deformed)
    assert not (after[:, :, 56:] == IDS[VEIN]).any()


def test_what_is_not_in_view_or_not_in_the_map_is_not_painted():
    deformed = patient()
    deformed.structures[deformed.structures == IDS["aorta"]] = 0
    names, before, after = painted(deformed=deformed)
    assert names == []
    np.testing.assert_array_equal(after, before)
    few = {name: IDS[name] for name in ("vertebrae_L1", "aorta")}
    assert painted(ids=few)[0] == []
