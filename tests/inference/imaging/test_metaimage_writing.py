"""Label maps as MetaImage, read by ITK."""

import numpy as np
import SimpleITK as sitk

from inference.geometry import Geometry, as_direction
from inference.imaging.metaimage_writing import write_metaimage
from inference.imaging.reading import read_volume


def test_itk_reads_what_was_written(tmp_path):
    """On a turned grid with three different spacings, whose slices fill two of the packer's pieces."""
    turn = np.radians(30)
    around_z = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, -1]])
    geometry = Geometry(
        size_zyx=(20, 4, 5),
        spacing_zyx_mm=(2.5, 1.5, 0.75),
        origin_xyz_mm=(-1.25, 10.0, 1e-7),
        direction=as_direction(around_z),
    )
    labels = np.arange(400, dtype=np.uint8).reshape(20, 4, 5)
    write_metaimage(tmp_path / "a.mha", labels, geometry)
    image = sitk.ReadImage(str(tmp_path / "a.mha"))
    assert (sitk.GetArrayFromImage(image) == labels).all()
    assert image.GetSpacing() == geometry.spacing_zyx_mm[::-1]
    assert image.GetOrigin() == geometry.origin_xyz_mm
    assert np.allclose(image.GetDirection(), geometry.direction)
    again = read_volume(tmp_path / "a.mha")
    assert again.geometry.origin_xyz_mm == geometry.origin_xyz_mm
    assert (again.array == labels).all()
