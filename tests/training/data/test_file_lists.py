"""Which files an image consists of: a detached header names the one with its voxels."""

import pytest

from tests.training.data.detached import write_detached
from training.data.file_lists import files_of, with_data_beside
from training.data.prepared import image_sha256, stamp_of


@pytest.mark.parametrize("name", ["ct.mhd", "ct.nhdr", "ct[1].mhd"])
@pytest.mark.parametrize("voxels", ["ct.raw", "voxels.raw"])
def test_the_header_says_where_its_voxels_lie(tmp_path, name, voxels):
    header = write_detached(tmp_path / name, b"12", voxels)
    (tmp_path / "ct.txt").write_text("notes on the image")
    assert with_data_beside(header) == [header, tmp_path / voxels]
    assert files_of(header) == [header, tmp_path / voxels]


def test_a_header_with_an_ending_of_whole_files_may_name_another(tmp_path):
    for detached, whole in ((".mhd", ".mha"), (".nhdr", ".nrrd")):
        header = write_detached(tmp_path / f"ct{detached}", b"12").rename(tmp_path / f"ct{whole}")
        assert with_data_beside(header) == [header, tmp_path / "voxels.raw"]


def test_an_image_with_its_voxels_in_it_stands_alone(tmp_path):
    image = write_detached(tmp_path / "ct.mhd", b"12", "LOCAL").rename(tmp_path / "ct.mha")
    assert with_data_beside(image) == [image]


@pytest.mark.parametrize("name", ["elsewhere/voxels.raw", "LIST", "gone.raw"])
def test_a_header_whose_voxels_are_not_read_stands_alone(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    header = write_detached(tmp_path / "ct.mhd", b"12", name)
    if name == "gone.raw":
        (tmp_path / name).unlink()
    assert with_data_beside(header) == [header]


def test_a_damaged_header_stands_alone(tmp_path):
    header = tmp_path / "ct.mhd"
    header.write_bytes(b"\x00\xff")
    assert with_data_beside(header) == [header]


def test_a_case_is_prepared_from_the_voxels_as_well(tmp_path):
    header = write_detached(tmp_path / "ct.mhd", b"12")
    before = image_sha256(header)
    assert stamp_of(header)[0] == len(header.read_bytes()) + 2
    write_detached(header, b"13")
    assert image_sha256(header) != before
