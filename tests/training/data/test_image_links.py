"""Links to images under the names that the engine understands."""

import pytest

from training.data.image_links import link_images, refuse_series
from training.training_errors import DataError


def test_images_are_linked_under_the_names_of_channels_and_again(tmp_path):
    """Links are relative: a tree with both may be moved."""
    images = [tmp_path / "raw" / name for name in ("one.nii.gz", "two.mha")]
    images[0].parent.mkdir()
    for image in images:
        image.write_bytes(b"")
    for _ in range(2):
        link_images("amos_0001", images, tmp_path / "linked")
    found = {link.name: link.resolve() for link in (tmp_path / "linked").iterdir()}
    assert found == {"amos_0001_0000.nii.gz": images[0], "amos_0001_0001.mha": images[1]}
    (tmp_path / "linked").joinpath("amos_0001_0000.nii.gz").readlink().relative_to("../raw")


def test_a_header_with_its_voxels_elsewhere_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.mhd: keeps its voxels in another file; convert it"):
        link_images("a", [tmp_path / "a.mhd"], tmp_path)


def test_a_series_is_no_file_of_a_data_set(tmp_path):
    (tmp_path / "a.mha").touch()
    (tmp_path / "ct").mkdir()
    refuse_series([tmp_path / "a.mha"])
    with pytest.raises(DataError, match=r"ct: is a folder with a DICOM series; convert it to \.nii\.gz or"):
        refuse_series([tmp_path / "a.mha", tmp_path / "ct"])
