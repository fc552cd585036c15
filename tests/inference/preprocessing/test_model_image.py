"""Slices made when they are asked for are those of the image made at once, however they are grouped."""

import numpy as np
import pytest

from inference.geometry import Geometry
from inference.imaging.volume import Volume
from inference.preprocessing.intensity import channel_statistics, nonzero_filled, normalize
from inference.preprocessing.model_grid import InputScheme, input_scheme
from inference.preprocessing.model_image import AIR_HU, CaseStatistics, ModelImage
from inference.preprocessing.resampling import resample_image
from inference.threads import ONE_THREAD, Threads
from model.manifest.document import Input, Preprocessing
from model.manifest.intensity import (
    ClipZscoreIntensity,
    WindowIntensity,
    ZeroToOneIntensity,
    ZscoreIntensity,
)
from model.manifest.resampling import (
    AreaResampling,
    CubicResampling,
    LinearResampling,
    SeparateAxisResampling,
    along_axes,
)
from tests.inference.bundles import CT
from tests.inference.fakes import member
from tests.inference.manifests import manifest

WINDOW = WindowIntensity(lower=-250, upper=250)
CLIP = ClipZscoreIntensity(lower=-900, upper=300, mean=100, std=100)
RESAMPLINGS = [
    LinearResampling(),
    AreaResampling(),
    CubicResampling(),
    SeparateAxisResampling(above_ratio=1.2),
]
SPACING, TARGET = (1.0, 1.5, 1.5), (2.0, 2.0, 2.0)
GROUPINGS = ((0, 5), (0, 5), (2, 7), (7, 12), (0, 3), (5, 6), (4, 12))


@pytest.fixture
def volume():
    arrays = np.random.default_rng(0).integers(-1000, 1000, (2, 24, 20, 18)).astype(np.int16)
    arrays[:, :, :3] = 0
    return Volume(
        array=arrays[0],
        geometry=Geometry(size_zyx=arrays.shape[1:], spacing_zyx_mm=SPACING),
        further=(arrays[1],),
        filled=nonzero_filled(tuple(arrays)),
    )


def image_of(volume, intensities, resampling=None, *, normalize_first=False, threads=ONE_THREAD):
    scheme = InputScheme(
        spacing_zyx_mm=TARGET,
        intensities=intensities,
        resampling=resampling or LinearResampling(),
        normalize_first=normalize_first,
    )
    return ModelImage(volume, scheme, CaseStatistics(volume), threads)


@pytest.mark.parametrize("resampling", RESAMPLINGS, ids=lambda r: r.kind)
@pytest.mark.parametrize("intensity", [WINDOW, ZscoreIntensity()], ids=lambda i: i.kind)
@pytest.mark.parametrize("threads", [1, 3])
def test_resampled_then_normalized(volume, resampling, intensity, threads):
    image = image_of(volume, (intensity, CLIP), resampling, threads=Threads(threads))
    assert image.size_zyx == (12, 15, 14)
    along = along_axes(resampling, SPACING, TARGET)
    whole = [
        normalize(resample_image(array, image.size_zyx, along), each, channel_statistics(array))
        for array, each in zip(volume.channels, (intensity, CLIP), strict=True)
    ]
    for first, stop in GROUPINGS:
        np.testing.assert_array_equal(image.slices(first, stop), np.stack(whole)[:, first:stop])


@pytest.mark.parametrize("resampling", RESAMPLINGS, ids=lambda r: r.kind)
@pytest.mark.parametrize(
    "intensity",
    [
        WINDOW,
        ZeroToOneIntensity(),
        *(ZscoreIntensity(over=over) for over in ("image", "nonzero", "nonzero_filled")),
    ],
    ids=lambda i: getattr(i, "over", i.kind),
)
@pytest.mark.parametrize("threads", [1, 3])
def test_normalized_then_resampled(volume, resampling, intensity, threads):
    image = image_of(volume, (intensity, CLIP), resampling, normalize_first=True, threads=Threads(threads))
    along = along_axes(resampling, SPACING, TARGET)
    over = getattr(intensity, "over", "image")
    whole = []
    for array, each in zip(volume.channels, (intensity, CLIP), strict=True):
        statistics = channel_statistics(array, over, volume.filled)
        whole.append(resample_image(normalize(array, each, statistics, volume.filled), image.size_zyx, along))
    for first, stop in GROUPINGS:
        np.testing.assert_array_equal(image.slices(first, stop), np.stack(whole)[:, first:stop])


def test_the_order_of_both_matters_where_values_are_clipped():
    """-1000 and 100 become one voxel: of -450, which is clipped to 0; or of 0 and 0.7, whose mean is 0.35."""
    geometry = Geometry(size_zyx=(1, 1, 2), spacing_zyx_mm=(2.0, 2.0, 1.0))
    volume = Volume(array=np.array([[[-1000, 100]]], np.int16), geometry=geometry)
    assert image_of(volume, (WINDOW,)).slices(0, 1).item() == 0  # -450, below the window
    first = image_of(volume, (WINDOW,), normalize_first=True).slices(0, 1).item()
    assert first == pytest.approx(0.35)  # the mean of 0 and 0.7


def test_statistics_are_of_the_case_and_not_of_the_region(volume):
    """Taken once for each channel and way to count, when a scheme first asks for them."""
    statistics = CaseStatistics(volume)
    region = Volume(array=volume.array[:2], geometry=Geometry(size_zyx=(2, 20, 18), spacing_zyx_mm=TARGET))
    scheme = InputScheme(
        spacing_zyx_mm=TARGET,
        intensities=(ZscoreIntensity(),),
        resampling=LinearResampling(),
        normalize_first=False,
    )
    whole = channel_statistics(volume.array)
    found = ModelImage(region, scheme, statistics, ONE_THREAD).slices(0, 2)[0]
    np.testing.assert_array_equal(found, normalize(volume.array[:2], ZscoreIntensity(), whole))
    assert statistics.of(0, ZscoreIntensity()) is statistics.of(0, ZeroToOneIntensity())
    assert statistics.of(1, ZscoreIntensity()) != statistics.of(0, ZscoreIntensity())
    assert statistics.of(0, ZscoreIntensity(over="nonzero")) == channel_statistics(volume.array, "nonzero")
    assert statistics.of(0, WINDOW) is None


def test_schemes_follow_the_manifest():
    cubic = CubicResampling()
    document = manifest(
        inputs=(CT, Input(name="PET", modality="PET", intensity=ZscoreIntensity())),
        preprocessing=Preprocessing(normalize="before_resampling", resampling=AreaResampling()),
        members=(member(file="member.onnx"),),
    )
    scheme = input_scheme(document, member())
    assert scheme == InputScheme(
        spacing_zyx_mm=member().spacing_zyx_mm,
        intensities=(CT.intensity, ZscoreIntensity()),
        resampling=AreaResampling(),
        normalize_first=True,
    )
    own = input_scheme(document, member(resampling=cubic, intensities=(WINDOW, WINDOW)))
    assert (own.resampling, own.intensities) == (cubic, (WINDOW, WINDOW))


def test_air():
    grid = Geometry(size_zyx=(1, 1, 1), spacing_zyx_mm=(1.0, 1.0, 1.0))
    volume = Volume(array=np.zeros((1, 1, 1), np.int16), geometry=grid)
    assert image_of(volume, (WINDOW,)).air(0) == 0
    assert image_of(volume, (CLIP,)).air(0) == -6


def test_air_by_the_images_own_figures():
    grid = Geometry(size_zyx=(1, 1, 2), spacing_zyx_mm=(1.0, 1.0, 1.0))
    volume = Volume(array=np.array([[[-1000, 500]]], np.int16), geometry=grid)  # Mean -250, deviation 750.
    assert AIR_HU == -500
    assert image_of(volume, (ZscoreIntensity(),)).air(0) == pytest.approx(-250 / 750)
    assert image_of(volume, (ZscoreIntensity(over="nonzero"),)).air(0) == pytest.approx(-250 / 750)
    assert image_of(volume, (ZeroToOneIntensity(),)).air(0) == pytest.approx(500 / 1500)
