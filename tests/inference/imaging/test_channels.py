"""Images of several channels, read for the bundle that takes them."""

from dataclasses import replace

import numpy as np
import pytest

from inference.errors import InputError
from inference.imaging.channels import check_channels
from inference.imaging.reading import read_volume
from inference.predictor import Predictor
from tests.inference.bundles import CT, abdomen, hu, make_bundle
from tests.inference.images import voxels, write_nifti, write_series
from tests.inference.small_cases import volume_of

T1 = replace(CT, name="T1", modality="MR")
T2 = replace(CT, name="T2", modality="MR")


@pytest.fixture
def two(tmp_path):
    """A bundle of two channels."""
    return make_bundle(tmp_path / "two", inputs=(T1, T2))


def test_channels_are_read_in_their_order(two, tmp_path):
    first, second = np.zeros((4, 3, 2), np.int16), np.ones((4, 3, 2), np.int16)
    paths = [write_nifti(tmp_path / f"{i}.nii.gz", array) for i, array in enumerate((first, second))]
    for volume in (read_volume(*paths, bundle=two), read_volume(*map(str, paths))):
        assert [int(array.max()) for array in volume.channels] == [0, 1]
        assert volume.geometry.size_zyx == (4, 3, 2)


def test_of_several_series_the_one_of_the_channels_modality_is_read(tmp_path):
    """A folder with a CT of three slices and an MR of two: the CT is read unless the bundle is for MR."""
    for modality, count in (("CT", 3), ("MR", 2)):
        slices = [(0.0, 0.0, 3.0 * i) for i in range(count)]
        write_series(tmp_path / "in", slices, uid=f"1.2.3.{count}", number=count, modality=modality)
    bundle = make_bundle(tmp_path / "b", inputs=(T1,))
    assert read_volume(tmp_path / "in").modalities == ("CT",)
    assert read_volume(tmp_path / "in", bundle=bundle).modalities == ("MR",)


def test_a_volume_that_lacks_a_channel_is_refused(two, tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", voxels((4, 3, 2)))
    lacks = "its case lacks T2; this bundle takes 2 channels, T1 and T2: a file each, in this order"
    with pytest.raises(InputError, match=f"^{path}: {lacks}$"):
        read_volume(path, bundle=two)
    with pytest.raises(InputError, match=f"^{lacks}$"):
        Predictor(two, device="cpu", threads=1).predict(volume_of(hu(abdomen())))


def test_a_volume_of_too_many_channels_is_refused(two, tmp_path):
    image = hu(abdomen())
    predictor = Predictor(make_bundle(tmp_path / "one"), device="cpu", threads=1)
    with pytest.raises(InputError, match=r"^its case has 2 channels; this bundle takes one, CT$"):
        predictor.predict(volume_of(image, further=(image,)))
    with pytest.raises(
        InputError, match=r"^its case has 3 channels; this bundle takes 2 channels, T1 and T2"
    ):
        check_channels(3, two)


def test_channels_on_different_grids_are_refused(two, tmp_path):
    paths = [write_nifti(tmp_path / f"{i}.nii.gz", voxels((4, 3, 2 + i))) for i in range(2)]
    with pytest.raises(InputError, match=r"1\.nii\.gz: lies on another grid than 0\.nii\.gz"):
        read_volume(*paths, bundle=two)
