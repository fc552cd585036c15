"""Lesions painted into bodies."""

import numpy as np
import pytest

from model.labels import FLARE23
from training.phantom.bodies.body_lesions import TUMOR, paint_lesions

LIVER, SPACING_ZYX_MM, LIVER_HU = FLARE23.ids["liver"], (5.0, 2.5, 2.5), 100.0


def liver_in_fat():
    """A block of liver, 150×150×150 mm, in fat; a plate of gas and one of bone cross it."""
    image = np.full((36, 72, 72), -100, dtype=np.float32)
    labels = np.zeros(image.shape, dtype=np.uint8)
    image[3:33, 6:66, 6:66], labels[3:33, 6:66, 6:66] = LIVER_HU, LIVER
    image[:, 30], labels[:, 30] = -900, 0
    image[:, 42], labels[:, 42] = 900, 0
    return image, labels


def painted(seed):
    image, labels = liver_in_fat()
    return image, labels, paint_lesions(image, labels, SPACING_ZYX_MM, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(6))
def test_a_lesion_differs_from_its_organ_and_leaves_all_else(seed):
    image, labels, lesions = painted(seed)
    before, labels_before = liver_in_fat()
    tumor = labels == TUMOR
    assert lesions
    assert {lesion["site"] for lesion in lesions} == {"liver"}
    assert np.array_equal(labels[~tumor], labels_before[~tumor])
    # Gas and bone are neither labelled nor changed.
    assert set(np.unique(before[tumor])) <= {-100.0, LIVER_HU}
    assert np.array_equal(image[:, [30, 42]], before[:, [30, 42]])
    # The middle of each differs by at least 15 HU; edges are mixed with the liver.
    assert np.abs(image[tumor] - LIVER_HU).max() >= 15


def test_a_lesion_is_about_as_large_as_it_says():
    """A ball of d mm holds πd³/6; a rough surface, a cut by a plate and the organ's edge change it."""
    shares = []
    for seed in range(12):
        _, labels, lesions = painted(seed)
        if len(lesions) == 1 and float(lesions[0]["diameter_mm"]) > 15:
            ml = (labels == TUMOR).sum() * np.prod(SPACING_ZYX_MM) / 1000
            shares.append(ml / (np.pi * float(lesions[0]["diameter_mm"]) ** 3 / 6000))
    assert len(shares) > 2
    assert min(shares) > 0.5
    assert max(shares) < 1.5


def test_noise_goes_on_inside_a_lesion():
    image, labels, _ = painted(2)
    noisy, noisy_labels = liver_in_fat()
    noise = np.random.default_rng(1).normal(0, 10, image.shape).astype(np.float32)
    noisy += noise
    paint_lesions(noisy, noisy_labels, SPACING_ZYX_MM, np.random.default_rng(2))
    tumor = (labels == TUMOR) & (noisy_labels == TUMOR)
    assert np.corrcoef((noisy - image)[tumor], noise[tumor])[0, 1] > 0.8


def test_where_no_organ_is_nothing_is_painted():
    image = np.full((10, 20, 20), 40, dtype=np.float32)
    labels = np.zeros(image.shape, dtype=np.uint8)
    assert paint_lesions(image, labels, SPACING_ZYX_MM, np.random.default_rng(0)) == []
    assert (image == 40).all()
    assert not labels.any()
