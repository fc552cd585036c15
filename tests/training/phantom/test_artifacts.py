"""Metal, hardening and starvation on a cylinder of water with two rods of bone."""

import numpy as np
import pytest

from training.phantom.artifacts import METAL_HU, Artifacts, paint_artifacts, random_artifacts

SPACING = (5.0, 4.0, 4.0)


def cylinder() -> np.ndarray:
    """Water of 200 mm across in air, with a rod of 900 HU left and one right of its middle."""
    axis = (np.arange(64) - 31.5) * 4
    y, x = axis[:, None], axis[None]
    plane = np.where(np.hypot(y, x) < 100, 0.0, -1000.0)
    for side in (-60, 60):
        plane[np.hypot(y, x - side) < 14] = 900.0
    return np.repeat(plane[None], 3, axis=0).astype(np.float32)


def painted(artifacts: Artifacts, seed: int = 0) -> np.ndarray:
    image = cylinder()
    paint_artifacts(image, SPACING, artifacts, np.random.default_rng(seed))
    return image


def test_a_dark_band_lies_between_two_bones():
    """Rays through both bones harden most: the middle gets darker than water off their line."""
    image = painted(Artifacts(hardening_hu=20, starvation_hu=0, metal_count=0))
    between = image[1, 30:34, 28:36].mean()
    beside = np.concatenate([image[1, 12:16, 28:36], image[1, 48:52, 28:36]]).mean()
    assert between < beside - 2


def test_artifacts_have_the_deviation_that_was_asked_for():
    body = cylinder() > -300
    for hardening, starvation in ((8.0, 0.0), (0.0, 8.0)):
        added = (
            painted(Artifacts(hardening_hu=hardening, starvation_hu=starvation, metal_count=0)) - cylinder()
        )
        assert added[body].std() == pytest.approx(8, rel=0.25)


def test_a_patient_without_bone_and_noise_keeps_its_values():
    water = np.where(cylinder() > -300, 0, -1000).astype(np.float32)
    image = water.copy()
    paint_artifacts(
        image, SPACING, Artifacts(hardening_hu=20, starvation_hu=0, metal_count=0), np.random.default_rng(0)
    )
    assert np.array_equal(image, water)


def test_metal_lies_in_the_body():
    body = cylinder() > -300
    image = painted(Artifacts(hardening_hu=0, starvation_hu=0, metal_count=4), seed=3)
    assert 0 < (image == METAL_HU).sum() < 0.2 * body.sum()


def test_air_alone_stays_air():
    image = np.full((2, 8, 8), -1000, np.float32)
    paint_artifacts(
        image, SPACING, Artifacts(hardening_hu=5, starvation_hu=5, metal_count=2), np.random.default_rng(0)
    )
    assert (image == -1000).all()


def test_three_patients_in_ten_show_artifacts_and_one_in_ten_metal():
    drawn = [random_artifacts(np.random.default_rng(seed)) for seed in range(1000)]
    shown = [a for a in drawn if a is not None]
    assert len(shown) == pytest.approx(300, abs=45)
    assert sum(a.metal_count > 0 for a in shown) == pytest.approx(100, abs=30)
