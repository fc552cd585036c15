"""Crura, loin muscles and vessels around a straight aorta; 1 voxel = 2 mm."""

from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest

from tests.training.phantom.bodies.blocks import PAD, SPACING, with_laid
from tests.training.phantom.plain import plain_pose
from training.phantom.bodies.body import STEPS_PER_MM, Body, prepare_body
from training.phantom.bodies.deforming import deform
from training.phantom.bodies.retroperitoneum import lay_retroperitoneum
from training.phantom.bodies.shape import random_shape
from training.phantom.frame import Frame

IDS = {
    "vertebrae_L1": 1,
    "vertebrae_L2": 2,
    "aorta": 3,
    "inferior_vena_cava": 4,
    "portal_vein_and_splenic_vein": 5,
    "pancreas": 6,
    "kidney_right": 7,
    "kidney_left": 8,
    "spleen": 9,
    "liver": 10,
    "autochthon_left": 11,
    "autochthon_right": 12,
}
ZERO = 70
"""Slice of the canonical origin, the middle of the first lumbar vertebra."""
AORTA, CAVA = np.index_exp[:, 38:46, 46:54], np.index_exp[:, 38:46, 32:40]


@cache
def columns(*without: str) -> Body:
    """Spine, aorta before it, vena cava to the right; organs as blocks where they belong."""
    labels = np.zeros((120, 80, 110), np.uint8)
    labels[:, 50:64, 42:58] = IDS["vertebrae_L2"]
    labels[60:80, 50:64, 42:58] = IDS["vertebrae_L1"]
    labels[AORTA] = IDS["aorta"]
    labels[CAVA] = IDS["inferior_vena_cava"]
    labels[45:75, 46:58, 8:22] = IDS["kidney_right"]
    labels[45:75, 46:58, 78:92] = IDS["kidney_left"]
    labels[75:95, 40:56, 88:104] = IDS["spleen"]
    labels[72:100, 6:34, 2:26] = IDS["liver"]
    labels[78:84, 24:28, 22:34] = IDS["portal_vein_and_splenic_vein"]
    labels[70:80, 22:30, 44:84] = IDS["pancreas"]
    labels[:, 66:76, 30:49] = IDS["autochthon_right"]
    labels[:, 66:76, 51:70] = IDS["autochthon_left"]
    for name in without:
        labels[labels == IDS[name]] = 0
    return prepare_body("columns", labels, SPACING, IDS)


with_retroperitoneum = partial(with_laid, lay_retroperitoneum)


def added(seed: int = 0, *without: str):
    """A function that gives the mask of a structure, without the padding."""
    body = with_retroperitoneum(columns(*without), seed)
    inner = body.labels[:, PAD:-PAD, PAD:-PAD]
    return lambda name: inner == body.ids[name]


seeds = pytest.mark.parametrize("seed", range(5))


@seeds
def test_only_fat_gives_way_and_the_body_itself_is_left_as_it_was(seed):
    body, before = columns(), columns().labels.copy()
    more = with_retroperitoneum(body, seed)
    np.testing.assert_array_equal(body.labels, before)
    np.testing.assert_array_equal(more.labels[before > 0], before[before > 0])
    new = (more.labels > 0) & (before == 0)
    # The loin muscles are at least 5 mm thick, so that some of them lies 2 mm deep.
    assert more.depth[new].max() >= 2 * STEPS_PER_MM
    np.testing.assert_array_equal(more.depth[~new], body.depth[~new])


@seeds
def test_the_left_renal_vein_crosses_before_the_aorta_and_the_right_artery_behind_the_cava(seed):
    mask = added(seed)
    z, y, _ = np.nonzero(mask("renal_vein_left")[:, :, 48:52])
    assert y.max() < AORTA[1].start
    # It reaches the cava 14 to 28 mm below the origin and is 6 to 12 mm wide.
    assert ZERO - 21 <= z.min() <= z.max() <= ZERO - 3
    _, y, _ = np.nonzero(mask("renal_artery_right")[:, :, CAVA[2]])
    assert y.size
    assert y.min() >= CAVA[1].stop
    assert mask("renal_artery_left")[:, :, 58:78].any()
    assert not mask("renal_artery_left")[:, :, :46].any()
    assert mask("renal_vein_right")[:, :, 22:32].any()
    assert not mask("renal_vein_right")[:, :, 40:].any()


@seeds
def test_celiac_branches_leave_forward_to_spleen_and_liver_above_the_mesenteric_artery(seed):
    branches = added(seed)("celiac_branches")
    trunk = branches[:, 32:38, 46:54]
    # 14 to 24 mm above the origin, up to 8 mm wide, its end 3 mm lower.
    assert trunk.any()
    z = np.flatnonzero(trunk.any((1, 2)))
    assert ZERO + 3 <= z.min() <= z.max() <= ZERO + 15
    assert branches[:, :36, 84:].any()
    assert branches[:, :36, 34:44].any()
    assert not branches[:, 46:, :60].any()


@seeds
def test_crura_lie_on_both_sides_and_meet_before_the_aorta_above_the_celiac_trunk_alone(seed):
    crura = added(seed)("diaphragm_crura")
    for beside in (crura[:, 40:50, 40:46], crura[:, 40:50, 54:60]):
        z = np.flatnonzero(beside.any((1, 2)))
        # Muscle from 40 to 75 mm below on, or up to 35 mm higher, to 65 mm above.
        assert ZERO - 38 <= z.min() <= ZERO + 6
        assert ZERO + 8 <= z.max() <= ZERO + 33
    z = np.flatnonzero(crura[:, :38, 48:52].any((1, 2)))
    assert z.min() >= ZERO + 8
    # Behind the front of the spine they end: 28 mm behind the aorta's middle at the latest.
    assert not crura[:, 57:].any()


def test_the_right_crus_reaches_farther_down():
    """Where both are thick, which seed 0 draws."""
    crura = added(0)("diaphragm_crura")
    right, left = (np.flatnonzero(side.any((1, 2))).min() for side in (crura[..., :46], crura[..., 54:]))
    assert right < left


@seeds
def test_loin_muscles_lie_before_and_beside_those_of_the_back_from_rib_to_pelvis(seed):
    plates = added(seed)("quadratus_lumborum")
    z, y, x = np.nonzero(plates)
    assert ZERO - 50 <= z.min() <= ZERO - 35
    assert ZERO <= z.max() <= ZERO + 8
    assert y.min() >= 66 - 8
    assert y.max() <= 71
    # 28 mm from the middle on, to both sides.
    assert x.min() < 36
    assert x.max() > 63
    assert np.abs(x - 49.5).min() > 13


@pytest.mark.parametrize(
    ("lacking", "left_out"),
    [
        ("kidney_left", ("renal_artery_left", "renal_vein_left")),
        ("inferior_vena_cava", ("renal_vein_left", "renal_vein_right")),
        (
            "aorta",
            (
                "celiac_branches",
                "diaphragm_crura",
                "renal_artery_right",
                "renal_vein_left",
                "renal_vein_right",
            ),
        ),
    ],
)
def test_what_has_no_place_is_left_out_and_the_rest_is_not(lacking, left_out):
    mask = added(0, lacking)
    names = {"celiac_branches", "diaphragm_crura", "quadratus_lumborum", "renal_artery_right"}
    for name in names | {"renal_artery_left", "renal_vein_left", "renal_vein_right"}:
        assert mask(name).any() == (name not in left_out and not (lacking == "aorta" and "renal" in name)), (
            name
        )


def test_without_muscles_of_the_back_there_are_no_quadrati():
    mask = added(0, "autochthon_left", "autochthon_right")
    assert not mask("quadratus_lumborum").any()
    assert mask("diaphragm_crura").any()


def test_without_a_pancreas_the_splenic_artery_goes_straight_to_the_spleen():
    assert added(0, "pancreas")("celiac_branches")[..., 84:].any()


def test_vessels_of_a_kidney_that_was_taken_out_are_not_there():
    body = with_retroperitoneum(columns())
    frame = Frame(
        pose=plain_pose(), origin_xyz_mm=np.array([-110.0, -80, -100]), step_mm=2.0, shape=(90, 80, 110)
    )
    shape = replace(random_shape(np.random.default_rng(0), body), pose=plain_pose(), growth_mm=0.0)
    deformed = deform(frame, body, shape, np.random.default_rng(1), ["left kidney"])
    shown = set(np.unique(deformed.structures))
    of_right, of_left = (
        {body.ids[f"{what}_{side}"] for what in ("renal_artery", "renal_vein")} for side in ("right", "left")
    )
    assert of_right <= shown
    assert not of_left & shown
