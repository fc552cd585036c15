"""Cases over whole-body maps."""

import numpy as np
import pytest

from tests.training.phantom.bodies.blocks import IDS, SPACING, block_body, block_labels
from training.phantom.bodies import body_case as body_case_module
from training.phantom.bodies.body import Body, prepare_body
from training.phantom.bodies.body_case import STEP_MM, body_case


@pytest.fixture(scope="module")
def body():
    return block_body()


class DeformingError(Exception):
    """Where drawing ends, with the body that was to be deformed."""

    body: Body


def test_cases_are_of_bodies_with_what_maps_lack(monkeypatch):
    """Crura beside the aorta and vessels before it, which the map does not hold."""

    def deforming(frame, body, *_):
        error = DeformingError()
        error.body = body
        raise error

    monkeypatch.setattr(body_case_module, "deform", deforming)
    labels = block_labels()
    labels[:, 22:26, 28:32] = aorta = 6
    body = prepare_body("blocks", labels, SPACING, IDS | {"aorta": aorta})
    with pytest.raises(DeformingError) as stopped:
        body_case(np.random.default_rng(3), body)
    shown = set(np.unique(stopped.value.body.labels))
    assert {body.ids["diaphragm_crura"], body.ids["superior_mesenteric_vein"]} <= shown
    assert body.ids["superior_mesenteric_vein"] not in body.labels


def test_a_case_is_made_from_its_seed_alone(body):
    one, two = (body_case(np.random.default_rng(3), body, coverage="slab") for _ in range(2))
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.labels, two.labels)
    other = body_case(np.random.default_rng(4), body, coverage="slab")
    assert other.image.shape != one.image.shape or not np.array_equal(other.image, one.image)


def test_labels_are_flare_ids_and_lie_in_soft_tissue(body):
    case = body_case(np.random.default_rng(13), body, coverage="abdomen", phase="portal")
    assert set(np.unique(case.labels)) <= {0, 1, 9, 11, 14}
    assert case.spacing_xyz_mm[:2] == (STEP_MM, STEP_MM)
    liver = case.image[case.labels == 1]
    assert 40 < np.median(liver) < 190


def test_unknown_coverage_is_named(body):
    with pytest.raises(ValueError, match="unknown coverage 'tail'; known: abdomen"):
        body_case(np.random.default_rng(0), body, coverage="tail")
