"""Organs exchanged between bodies of blocks; 1 voxel = 2 mm."""

import numpy as np
import pytest

from tests.training.phantom.plain import plain_pose
from training.phantom.bodies.body import prepare_body
from training.phantom.bodies.body_filling import Deformed
from training.phantom.bodies.exchange import exchange_organs
from training.phantom.frame import Frame

IDS = {"vertebrae_L1": 1, "liver": 2, "spleen": 3, "small_bowel": 4, "pancreas": 5}
OTHER_IDS = {"vertebrae_L1": 9, "spleen": 7}
SHAPE = (40, 40, 40)
FRAME = Frame(pose=plain_pose(), origin_xyz_mm=np.array([-40.0] * 3), step_mm=2.0, shape=SHAPE)


class Always(np.random.Generator):
    """Every lot falls, and nothing is moved."""

    def __init__(self):
        super().__init__(np.random.PCG64(0))

    def random(self, size=None, dtype=np.float64, out=None):
        return 0.0 if size is None else np.zeros(size)

    def normal(self, loc=0.0, scale=1.0, size=None):
        return loc if size is None else np.full(size, loc)


def body_of(ids):
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[18:22, 18:22, 18:22] = ids["vertebrae_L1"]
    for name in set(ids) & {"spleen", "liver"}:
        labels[10:14, 10:14, 4 if name == "spleen" else 30 :][:, :, :4] = ids[name]
    return prepare_body("x", labels, (2.0, 2.0, 2.0), ids)


def patient(**boxes):
    """Structures by their boxes, each one millimetre deep."""
    structures = np.zeros(SHAPE, dtype=np.uint8)
    for name, box in boxes.items():
        structures[box] = (IDS | {"donated": OTHER_IDS["spleen"]})[name]
    depth = np.where(structures > 0, 1.0, 0.0).astype(np.float32)
    return Deformed(structures, depth, np.zeros(SHAPE, np.float32), np.zeros(SHAPE, np.float32))


def cube(start, size):
    return tuple(slice(s, s + size) for s in start)


def exchange(deformed, donated_size):
    donor = patient(donated=cube((5, 5, 5), donated_size))
    donor.depth_mm[donor.structures > 0] = 3.0
    return exchange_organs(deformed, body_of(IDS), FRAME, Always(), (donor, body_of(OTHER_IDS)))


def test_another_bodys_organ_takes_the_place_of_the_patients():
    """A cube of 4 around (21.5, …) becomes one of 6 around the same point, as deep as in the donor."""
    deformed = patient(spleen=cube((20, 20, 20), 4))
    assert exchange(deformed, 6) == ["spleen"]
    expected = np.zeros(SHAPE, dtype=bool)
    expected[cube((19, 19, 19), 6)] = True
    assert np.array_equal(deformed.structures == IDS["spleen"], expected)
    assert (deformed.depth_mm[expected] == 3.0).all()


def test_a_smaller_organ_leaves_nothing_of_the_old_one():
    deformed = patient(spleen=cube((20, 20, 20), 8))
    exchange(deformed, 4)
    assert (deformed.structures == IDS["spleen"]).sum() == 64


def test_bowel_gives_way_and_the_liver_does_not():
    """The cube of 6 reaches one voxel into what lies at either side of the cube of 4."""
    deformed = patient(
        small_bowel=cube((14, 14, 8), 12),
        liver=(slice(14, 28), slice(14, 28), slice(24, 30)),
        spleen=cube((20, 20, 20), 4),
    )
    exchange(deformed, 6)
    spleen = deformed.structures == IDS["spleen"]
    assert spleen.sum() == 6 * 6 * 5
    assert not spleen[:, :, 24:].any()
    assert spleen[:, :, 19].any()


@pytest.mark.parametrize(("name", "stays"), [("superior_mesenteric_vein", True), ("diaphragm_crura", False)])
def test_mesenteric_vessels_stay_and_crura_give_way(name, stays):
    """A sheet beside the cube of 4, into which the cube of 6 reaches."""
    deformed, own = patient(spleen=cube((20, 20, 20), 4)), body_of(IDS).ids[name]
    sheet = np.index_exp[19:25, 19:25, 24]
    deformed.structures[sheet] = own
    assert exchange(deformed, 6) == ["spleen"]
    expected = own if stays else IDS["spleen"]
    assert (deformed.structures[sheet] == expected).all()


def test_an_organ_without_room_stays_as_it_was():
    """Walled in by the liver, a cube of 2 cannot become one of 6."""
    deformed = patient(liver=cube((10, 10, 10), 20), spleen=cube((20, 20, 20), 2))
    before = deformed.structures.copy()
    assert exchange(deformed, 6) == []
    assert np.array_equal(deformed.structures, before)


def test_what_the_first_slice_cuts_goes_on_being_cut():
    deformed = patient(spleen=cube((0, 20, 20), 4))
    donor = patient(donated=cube((0, 5, 5), 8))
    exchange_organs(deformed, body_of(IDS), FRAME, Always(), (donor, body_of(OTHER_IDS)))
    assert (deformed.structures[0] == IDS["spleen"]).sum() == 64


def test_an_organ_that_the_patient_lacks_is_not_given():
    deformed = patient(liver=cube((20, 20, 20), 4))
    assert exchange(deformed, 6) == []
    assert not (deformed.structures == IDS["spleen"]).any()


def test_without_a_donor_organs_are_drawn():
    """A drawn pancreas holds 20 to 150 mL; the patient's own one here 0.5 mL."""
    frame = Frame(pose=plain_pose(), origin_xyz_mm=np.array([-120.0] * 3), step_mm=4.0, shape=(60, 60, 60))
    structures = np.zeros((60, 60, 60), dtype=np.uint8)
    structures[cube((29, 20, 29), 2)] = IDS["pancreas"]
    flat = np.zeros((60, 60, 60), np.float32)
    deformed = Deformed(structures, flat.copy(), flat, flat)
    assert exchange_organs(deformed, body_of(IDS), frame, np.random.default_rng(2)) in (["pancreas"], [])
    names = [exchange_organs(deformed, body_of(IDS), frame, np.random.default_rng(seed)) for seed in range(8)]
    assert ["pancreas"] in names
    volume_ml = (deformed.structures == IDS["pancreas"]).sum() * 0.064
    assert 20 < volume_ml < 150
    assert deformed.depth_mm.max() == pytest.approx(12, abs=6)
