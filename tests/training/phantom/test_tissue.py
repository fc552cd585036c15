"""Hounsfield units of tissues."""

import numpy as np
import pytest

from training.phantom.tissue import PHASES, Tissues, random_tissues, with_fatty_pancreas


def drawn(phase, count=300):
    return [random_tissues(np.random.default_rng(seed), phase) for seed in range(count)]


def mean(tissues, name):
    return float(np.mean([one[name] for one in tissues]))


def test_a_phase_that_is_asked_for_is_the_phase():
    assert {one.phase for phase in PHASES for one in drawn(phase, 3)} == set(PHASES)


def test_without_one_each_phase_is_drawn():
    phases = [random_tissues(np.random.default_rng(seed)).phase for seed in range(300)]
    assert {phase: phases.count(phase) > 30 for phase in PHASES} == dict.fromkeys(PHASES, True)


def test_contrast_reaches_arteries_first_and_organs_later():
    plain, arterial, portal = (drawn(phase) for phase in PHASES)
    assert mean(plain, "aorta") < mean(portal, "aorta") < mean(arterial, "aorta")
    assert mean(plain, "liver") < mean(arterial, "liver") < mean(portal, "liver")
    assert mean(arterial, "portal vein") < mean(portal, "portal vein")
    assert mean(arterial, "renal cortex") > 2 * mean(arterial, "renal medulla")


@pytest.mark.parametrize("phase", PHASES)
def test_fat_lung_and_bone_do_not_take_up_contrast(phase):
    tissues = drawn(phase)
    assert mean(tissues, "fat") == pytest.approx(-104, abs=4)
    assert mean(tissues, "lung") == pytest.approx(-847, abs=10)
    assert mean(tissues, "cortical bone") == pytest.approx(620, abs=25)


def test_patients_differ():
    liver = [one["liver"] for one in drawn("portal")]
    assert 8 < np.std(liver) < 30
    assert min(liver) < 70  # fatty livers among them


def test_the_same_generator_gives_the_same_patient():
    one, same = (random_tissues(np.random.default_rng(5)) for _ in range(2))
    assert (one.phase, one["liver"], one["fat"]) == (same.phase, same["liver"], same["fat"])


def test_an_unknown_phase_is_refused():
    with pytest.raises(ValueError, match="unknown phase 'late'; known: unenhanced"):
        random_tissues(np.random.default_rng(0), "late")


def test_fat_in_the_pancreas_lowers_it_towards_fat_and_nothing_else():
    before = Tissues({"pancreas": 90.0, "fat": -110.0, "liver": 100.0}, "portal")
    after = with_fatty_pancreas(before, np.random.default_rng(1))
    # 20 to 70 % of the way of 200 HU.
    assert -50 <= after["pancreas"] <= 50
    assert (after["fat"], after["liver"], after.phase) == (-110.0, 100.0, "portal")
    assert before["pancreas"] == 90.0
