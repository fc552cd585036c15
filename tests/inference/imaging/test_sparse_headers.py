"""MetaImage and NRRD headers that say less than a grid: read as SimpleITK reads them, or refused.

Each image has 4×3×2 voxels (x, y, z).
"""

import numpy as np
import pytest
import SimpleITK as sitk

from inference.errors import InputError
from inference.imaging.reading import open_image

VOXELS = np.zeros((2, 3, 4), np.int16).tobytes()
SPACINGS, MINS = "spacings: 0.7 0.7 5", "axis mins: 1 2 3"


def metaimage(folder, *lines):
    head = ["ObjectType = Image", "NDims = 3", "DimSize = 4 3 2", *lines]
    path = folder / "image.mha"
    text = "\n".join([*head, "ElementType = MET_SHORT", "ElementDataFile = LOCAL", ""])
    path.write_bytes(text.encode() + VOXELS)
    return path


def nrrd(folder, *lines):
    head = ["NRRD0004", "type: int16", "dimension: 3", "sizes: 4 3 2", "endian: little", "encoding: raw"]
    path = folder / "image.nrrd"
    path.write_bytes("\n".join([*head, *lines, "", ""]).encode() + VOXELS)
    return path


def assert_grid(path, spacing_xyz, origin_xyz):
    """Ours is the expected one, and SimpleITK's too."""
    image, found = sitk.ReadImage(str(path)), open_image(path).geometry
    assert found.spacing_zyx_mm[::-1] == image.GetSpacing() == pytest.approx(spacing_xyz)
    assert found.origin_xyz_mm == pytest.approx(image.GetOrigin())
    assert found.origin_xyz_mm == pytest.approx(origin_xyz)
    assert found.direction == image.GetDirection()


def warnings_of(path):
    return open_image(path).read().warnings


def test_the_size_of_voxels_stands_for_their_distance(tmp_path):
    path = metaimage(
        tmp_path, "Offset = 1 2 3", "TransformMatrix = 1 0 0 0 1 0 0 0 1", "ElementSize = 0.7 0.7 5"
    )
    assert_grid(path, (0.7, 0.7, 5), (1, 2, 3))
    assert warnings_of(path) == ("no ElementSpacing in the header; ElementSize was taken, as ITK does",)


def test_the_distance_of_voxels_is_not_their_size(tmp_path):
    assert_grid(
        metaimage(tmp_path, "ElementSize = 0.7 0.7 5", "ElementSpacing = 1 2 3"), (1, 2, 3), (0, 0, 0)
    )


def test_what_a_metaimage_does_not_say_is_told(tmp_path):
    path = metaimage(tmp_path)
    assert_grid(path, (1, 1, 1), (0, 0, 0))
    assert warnings_of(path) == (
        "no ElementSpacing nor TransformMatrix nor Offset in the header; taken instead: 1 mm along each axis "
        "and axes to left, posterior, superior and an origin of 0",
    )


def test_a_size_of_two_voxels_is_damage(tmp_path):
    with pytest.raises(
        InputError, match=r"image\.mha: its header is damaged \(ElementSize = 0\.7 5\); export"
    ):
        open_image(metaimage(tmp_path, "ElementSize = 0.7 5"))


@pytest.mark.parametrize(
    ("lines", "origin_xyz"),
    [
        ([SPACINGS], (0, 0, 0)),
        ([SPACINGS, MINS], (1.35, 2.35, 5.5)),
        ([SPACINGS, "axismins: 1 2 3"], (1.35, 2.35, 5.5)),
        ([SPACINGS, MINS, "centers: cell cell cell"], (1.35, 2.35, 5.5)),
        ([SPACINGS, MINS, "centers: node node node"], (1, 2, 3)),
        ([SPACINGS, MINS, "centerings: node cell ???"], (1, 2.35, 5.5)),
        ([SPACINGS, MINS, "axis maxs: 3.8 4.1 13"], (1.35, 2.35, 5.5)),
        ([SPACINGS, "axis maxs: 3.8 4.1 13"], (0, 0, 0)),
        ([SPACINGS, "axis mins: nan nan nan"], (0, 0, 0)),
    ],
)
def test_where_the_axes_of_an_nrrd_begin(tmp_path, lines, origin_xyz):
    path = nrrd(tmp_path, *lines)
    assert_grid(path, (0.7, 0.7, 5), origin_xyz)
    assert warnings_of(path) == (
        "no orientation in the header; axes were taken for left, posterior, superior",
    )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            [MINS, "axis maxs: 3.8 4.1 13"],
            "says axis mins and maxs without spacings, which is not read; convert",
        ),
        ([SPACINGS, "axis mins: 1 2"], r"is damaged \(axis mins: 1 2; centers: None\); export it again"),
        ([SPACINGS, MINS, "centers: cell"], r"is damaged \(axis mins: 1 2 3; centers: cell\); export"),
        ([SPACINGS, "axis mins: 1 nan 3"], "has no usable orientation"),
    ],
)
def test_axes_of_an_nrrd_that_are_refused(tmp_path, lines, message):
    with pytest.raises(InputError, match=rf"image\.nrrd: its header {message}"):
        open_image(nrrd(tmp_path, *lines))
