"""Tumors: how many, how large, where."""

import numpy as np
import pytest

from model.labels import FLARE23
from tests.training.phantom.plain import plain_canvas
from training.phantom.canvas import Field
from training.phantom.organs import Site
from training.phantom.shapes import ellipsoid
from training.phantom.tissue import random_tissues
from training.phantom.torso import build_torso, random_habitus
from training.phantom.tumors import TUMOR, paint_tumors


@pytest.fixture(scope="module")
def liver_alone():
    """A ball of liver in the middle of a small scan, painted anew for each seed."""

    def make(seed):
        canvas = plain_canvas(half_mm=60.0)
        frame = canvas.frame
        rng = np.random.default_rng(seed)
        site = Site(frame, build_torso(frame, random_habitus(np.random.default_rng(0)), rng), rng)
        whole = frame.whole()
        liver = Field(whole, ellipsoid(whole, (0, -20, 0), (35, 30, 35)))
        canvas.paint(liver, 110.0, label=FLARE23.ids["liver"])
        tissues = random_tissues(np.random.default_rng(seed), "portal")
        return canvas, paint_tumors(canvas, site, {"liver": liver}, tissues), liver

    return make


@pytest.fixture(scope="module")
def drawn(liver_alone):
    return [liver_alone(seed) for seed in range(25)]


def test_what_is_recorded_was_painted(drawn):
    for canvas, tumors, _ in drawn:
        assert bool(tumors) == bool((canvas.labels == TUMOR).any())


def test_there_are_one_to_five_of_8_to_60_mm(drawn):
    counts = [len(tumors) for _, tumors, _ in drawn]
    assert max(counts) <= 5
    assert max(counts) > 1
    sizes = [tumor["diameter_mm"] for _, tumors, _ in drawn for tumor in tumors]
    assert 8 <= min(sizes) < 20 < max(sizes) <= 60


def test_only_sites_that_the_patient_has_are_taken(drawn):
    assert {tumor["site"] for _, tumors, _ in drawn for tumor in tumors} == {"liver", "belly"}


def test_a_single_tumor_has_about_the_volume_of_its_diameter(drawn):
    """Stretched to an ellipsoid of the same volume, roughened, and cut where it would leave the cavity."""
    checked = 0
    for canvas, tumors, _ in drawn:
        if len(tumors) == 1 and tumors[0]["site"] == "liver":
            ball = np.pi / 6 * tumors[0]["diameter_mm"] ** 3
            volume = (canvas.labels == TUMOR).sum() * 8
            assert 0.3 * ball < volume < 1.8 * ball
            checked += 1
    assert checked >= 3


def test_a_liver_tumor_takes_the_place_of_liver_and_is_darker(drawn):
    for canvas, tumors, liver in drawn:
        found = canvas.labels == TUMOR
        if tumors and all(tumor["site"] == "liver" for tumor in tumors):
            assert (liver.distance[found] < 8).mean() > 0.5
            healthy = canvas.image[(canvas.labels == FLARE23.ids["liver"]) & (liver.distance < -3)]
            assert np.median(canvas.image[found]) < np.median(healthy) + 30


def test_tumors_between_organs_do_not_start_inside_one(drawn):
    for canvas, tumors, liver in drawn:
        if len(tumors) == 1 and tumors[0]["site"] == "belly":
            found = canvas.labels == TUMOR
            assert (liver.distance[found] > 0).mean() > 0.3
