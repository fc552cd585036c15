"""Where a network's grid lies over an image when both begin at the centre of the same voxel."""

import numpy as np
import pytest

from inference.geometry import EDGES, Line
from inference.preprocessing.model_grid import InputScheme, model_grid
from inference.preprocessing.resampling import resample_slices
from inference.restoration.interpolation import axis_positions
from model.manifest.intensity import NoIntensity
from model.manifest.resampling import LinearResampling

FIRST, LAST = (False, False, False), (False, False, True)


def scheme(spacing, from_end=FIRST):
    return InputScheme(
        spacing_zyx_mm=spacing,
        intensities=(NoIntensity(),),
        resampling=LinearResampling(),
        normalize_first=False,
        from_end_zyx=from_end,
    )


@pytest.mark.parametrize(
    ("size", "spacing", "target", "voxels"),
    [(5, 1.0, 2.0, 3), (5, 1.0, 3.0, 2), (20, 3.0, 2.0, 30), (10, 1.5, 1.5, 10), (1, 5.0, 1.0, 1)],
)
def test_voxels_are_counted_between_centres(size, spacing, target, voxels):
    """4 mm are 3 voxels of 2 mm; 57 mm are 29.5 of 2 mm, which NumPy and MONAI round to 30."""
    grid = model_grid((size, 1, 1), (spacing, 1.0, 1.0), scheme((target, 1.0, 1.0)))
    assert grid.size_zyx == (voxels, 1, 1)


def test_both_begin_at_the_first_voxel_or_the_last():
    image = np.arange(6, dtype=np.float32).reshape(1, 1, 6)
    for from_end, expected in ((FIRST, [0, 2, 4]), (LAST, [1, 3, 5])):
        grid = model_grid(image.shape, (1.0, 1.0, 1.0), scheme((1.0, 1.0, 2.0), from_end))
        assert grid.size_zyx == (1, 1, 4)
        made = resample_slices(image, grid.size_zyx, 0, 1, lines=grid.lines)[0, 0]
        # 3.5 voxels are rounded to 4, of which the outermost lies outside and takes the edge's value.
        inner = made[:3] if from_end is FIRST else made[1:]
        assert inner.tolist() == expected


def test_the_way_back_is_the_inverse():
    line = Line(1.0, 2.0)
    assert line.inverse == Line(-0.5, 0.5)
    back = axis_positions(3, 6, line=line.inverse)
    assert back.low.tolist() == [0, 0, 0, 1, 1, 2]
    assert back.share.tolist() == [0, 0, 0.5, 0, 0.5, 0]


@pytest.mark.parametrize("spacing", [0.7805, 0.78, 0.7795])
def test_spacings_that_hardly_differ_are_the_same(spacing):
    grid = model_grid((9, 9, 9), (spacing,) * 3, scheme((0.78, 0.78, 0.78)))
    assert (grid.size_zyx, grid.lines) == ((9, 9, 9), EDGES)
