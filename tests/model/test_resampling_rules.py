"""Which axis nnU-Net resamples apart, and what is done along each."""

import pytest

from model.manifest.resampling import (
    AreaResampling,
    CubicResampling,
    LinearResampling,
    SeparateAxisResampling,
    along_axes,
    separate_axis,
)

ISOTROPIC = (1.5, 1.5, 1.5)


@pytest.mark.parametrize(
    ("given", "wanted", "above", "axis"),
    [
        ((5.0, 0.8, 0.8), ISOTROPIC, 3.0, 0),  # 5 / 0.8 is 6.25
        ((0.8, 0.8, 5.0), ISOTROPIC, 3.0, 2),
        ((3.0, 1.0, 1.0), ISOTROPIC, 3.0, None),  # 3 is not more than 3
        ((3.1, 1.0, 1.0), ISOTROPIC, 3.0, 0),
        (ISOTROPIC, (5.0, 0.8, 0.8), 3.0, 0),  # the grid that is resampled to is looked at second
        ((0.8, 5.0, 0.8), (5.0, 0.8, 0.8), 3.0, 1),  # and only where the first is not anisotropic
        ((5.0, 5.0, 0.8), ISOTROPIC, 3.0, None),  # two axes are the coarsest
        ((5.0, 5.0, 0.8), (5.0, 0.8, 0.8), 3.0, None),  # which settles it, whatever the other grid is
        ((2.0, 1.0, 1.0), ISOTROPIC, 0.0, 0),  # 0 forces it
        (ISOTROPIC, (2.0, 1.0, 1.0), 0.0, None),  # three axes are the coarsest of the first
        ((2.0, 1.0, 1.0), ISOTROPIC, 1.5, 0),
    ],
)
def test_the_axis_apart(given, wanted, above, axis):
    assert separate_axis(given, wanted, above) == axis


@pytest.mark.parametrize(
    ("resampling", "given", "along"),
    [
        (LinearResampling(), (5.0, 0.8, 0.8), ("linear", "linear", "linear")),
        (AreaResampling(), (5.0, 0.8, 0.8), ("area", "area", "area")),
        (CubicResampling(), (5.0, 0.8, 0.8), ("cubic", "cubic", "cubic")),
        (SeparateAxisResampling(), (5.0, 0.8, 0.8), ("nearest", "cubic", "cubic")),
        (SeparateAxisResampling(), (0.8, 5.0, 0.8), ("cubic", "nearest", "cubic")),
        (SeparateAxisResampling(), (1.0, 0.8, 0.8), ("cubic", "cubic", "cubic")),
        (
            SeparateAxisResampling(in_plane="linear", along="nearest"),
            (0.8, 0.8, 5.0),
            ("linear", "linear", "nearest"),
        ),
        (
            SeparateAxisResampling(in_plane="nearest", along="cubic"),
            (5.0, 1.0, 1.0),
            ("cubic", "nearest", "nearest"),
        ),
    ],
)
def test_what_is_done_along_each_axis(resampling, given, along):
    assert along_axes(resampling, given, ISOTROPIC) == along


def test_the_grid_that_is_resampled_from_is_looked_at_first():
    """Both have a coarse axis, and not the same one."""
    assert separate_axis((1.0, 1.0, 5.0), (5.0, 1.0, 1.0), 3.0) == 2
    assert separate_axis((5.0, 1.0, 1.0), (1.0, 1.0, 5.0), 3.0) == 0
