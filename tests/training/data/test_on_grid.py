"""Training sees what the engine will see: the same input, to the bit, for every way to make it."""

from dataclasses import replace

import numpy as np
import pytest

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.preprocessing.intensity import nonzero_filled
from inference.preprocessing.model_grid import InputScheme
from inference.preprocessing.model_image import CaseStatistics, ModelImage
from inference.threads import Threads
from tests.training.tiny import tiny_recipe
from training.data.on_grid import network_input

INTENSITIES = (
    {"kind": "window", "lower": -250, "upper": 250},
    {"kind": "window_sigmoid", "lower": -200, "upper": 300},
    {"kind": "clip_zscore", "lower": -400, "upper": 400, "mean": 20, "std": 90},
    {"kind": "zscore"},
    {"kind": "zscore", "over": "nonzero"},
    {"kind": "zero_to_one"},
    {"kind": "divide", "by": 100},
    {"kind": "none"},
)
RESAMPLINGS = (
    {"kind": "linear"},
    {"kind": "area"},
    {"kind": "cubic"},
    {"kind": "separate_axis"},
    {"kind": "separate_axis", "in_plane": "linear", "along": "nearest"},
)


def volume():
    """Thick slices, with a hole of zeros inside and zeros around."""
    rng = np.random.default_rng(0)
    array = rng.integers(-900, 1200, (7, 20, 22)).astype(np.int16)
    array[:, :3], array[3, 10:12, 10:12] = 0, 0
    return Volume(array=array, geometry=Geometry(size_zyx=array.shape, spacing_zyx_mm=(5.0, 1.0, 1.2)))


def seen_by_the_engine(image, recipe):
    scheme = InputScheme(
        spacing_zyx_mm=recipe.spacing_zyx_mm,
        intensities=(recipe.intensity,),
        resampling=recipe.resampling,
        normalize_first=recipe.normalize == "before_resampling",
    )
    model_image = ModelImage(image, scheme, CaseStatistics(image), Threads(1))
    return model_image.slices(0, model_image.size_zyx[0])


@pytest.mark.parametrize("normalize", ["before_resampling", "after_resampling"])
@pytest.mark.parametrize("resampling", RESAMPLINGS, ids=lambda one: "-".join(map(str, one.values())))
@pytest.mark.parametrize("intensity", INTENSITIES, ids=lambda one: "-".join(map(str, one.values())))
def test_training_and_engine_make_the_same_input(intensity, resampling, normalize):
    recipe = tiny_recipe(
        intensity=intensity, resampling=resampling, normalize=normalize, spacing_zyx_mm=[2, 2, 2]
    )
    image = volume()
    made, expected = network_input(image, recipe), seen_by_the_engine(image, recipe)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, expected)


def test_filled_statistics_are_the_engines_too():
    recipe = tiny_recipe(
        intensity={"kind": "zscore", "over": "nonzero_filled"}, normalize="before_resampling"
    )
    image = volume()
    engine = replace(image, filled=nonzero_filled((image.array,)))
    np.testing.assert_array_equal(network_input(image, recipe), seen_by_the_engine(engine, recipe))


def test_the_grid_spans_the_image_edge_to_edge():
    # 7 · 5 / 2, 20 · 1 / 2 and 22 · 1.2 / 2 voxels of 2 mm.
    assert network_input(volume(), tiny_recipe()).shape == (1, 18, 10, 13)
