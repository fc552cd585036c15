"""Other parts of the body hold bone and air around them, and no organ."""

import numpy as np
import pytest

from training.phantom.bodies.elsewhere import PARTS, elsewhere_case


@pytest.mark.parametrize("part", PARTS)
def test_no_organ_is_labelled(part):
    case = elsewhere_case(np.random.default_rng(4), part)
    assert not case.labels.any()
    assert case.labels.shape == case.image.shape
    assert case.info["coverage"] == part
    assert case.image.max() > 200
    assert case.image.min() < -900


def test_the_same_generator_gives_the_same_case():
    one, two = (elsewhere_case(np.random.default_rng(5), "leg") for _ in range(2))
    assert np.array_equal(one.image, two.image)


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="unknown part 'tail'; known: head and neck"):
        elsewhere_case(np.random.default_rng(0), "tail")
