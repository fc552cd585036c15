"""Slices made when they are asked for are those of the image made at once."""

import numpy as np
import pytest

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.preprocessing.intensity import image_statistics, normalize
from inference.preprocessing.model_image import ModelImage
from inference.preprocessing.resampling import resample_image
from model.manifest import Intensity
from tests.inference.fakes import member

WINDOW = Intensity(scheme="window", lower=-250, upper=250)


@pytest.fixture
def volume():
    array = np.random.default_rng(0).integers(-1000, 1000, (24, 20, 18)).astype(np.int16)
    return Volume(array=array, geometry=Geometry(size_zyx=array.shape, spacing_zyx_mm=(1.0, 1.5, 1.5)))


@pytest.mark.parametrize("interpolation", ["linear", "area", "cubic"])
@pytest.mark.parametrize("intensity", [WINDOW, Intensity(scheme="zscore")])
def test_slices_are_those_of_the_whole(volume, interpolation, intensity):
    network = member(spacing_zyx_mm=(2.0, 2.0, 2.0), interpolation=interpolation, intensity=intensity)
    statistics = image_statistics(volume.array)
    image = ModelImage(volume, network, statistics)
    assert image.size_zyx == (12, 15, 14)
    whole = normalize(resample_image(volume.array, image.size_zyx, interpolation), intensity, statistics)
    for first, stop in ((0, 5), (0, 5), (2, 7), (7, 12), (0, 3), (5, 6), (4, 12)):
        np.testing.assert_array_equal(image.slices(first, stop), whole[first:stop])


def test_air():
    grid = Geometry(size_zyx=(1, 1, 1), spacing_zyx_mm=(1.0, 1.0, 1.0))
    volume = Volume(array=np.zeros((1, 1, 1), np.int16), geometry=grid)
    assert ModelImage(volume, member(intensity=WINDOW)).air() == 0
    scheme = Intensity(scheme="clip_zscore", lower=-900, upper=300, mean=100, std=100)
    assert ModelImage(volume, member(intensity=scheme)).air() == -6
