"""What structures are made of."""

import numpy as np
import pytest

from training.phantom.bodies.structures import BONE_SHELL, ORGANS, hu_of, organ_id, tissue_of
from training.phantom.tissue import random_tissues


def test_every_flare_organ_is_some_structure():
    assert {organ_id(structure) for structure in ORGANS} == set(range(1, 14))


@pytest.mark.parametrize(
    ("structure", "label"), [("kidney_right", 2), ("kidney_cyst_left", 13), ("rib_left_7", 0), ("liver", 1)]
)
def test_structures_get_their_organs_ids(structure, label):
    assert organ_id(structure) == label


def test_air_is_darker_than_fluid_and_fluid_than_vessels_of_the_portal_phase():
    tissues = random_tissues(np.random.default_rng(0), "portal")
    values = [
        hu_of(name, tissues) for name in ("trachea", "lung_upper_lobe_left", "urinary_bladder", "aorta")
    ]
    assert values == sorted(values)


def test_bones_are_of_marrow_inside():
    for start in BONE_SHELL:
        assert tissue_of(f"{start}_left_1") == "marrow"


def test_an_unknown_structure_is_named():
    with pytest.raises(ValueError, match="no tissue is known for structure tail"):
        tissue_of("tail")
