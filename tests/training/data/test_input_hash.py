"""An input is known again by all that a step will read of it, behind links and where a datalist says."""

import json
import shutil

import pytest

from tests.training.data.detached import write_detached
from tests.training.plans.made_plans import write_names
from training.data.input_hash import input_sha256
from training.data.quick_hash import folder_sha256
from training.training_errors import DataError


def datalist(folder, images, labels):
    """A datalist of one case whose files lie elsewhere."""
    folder.mkdir()
    path = folder / "mine.json"
    path.write_text(json.dumps({"training": [{"image": images, "label": labels}]}))
    return path


def test_a_folder_without_links_has_the_hash_of_all_its_files(tmp_path):
    data = write_names(tmp_path / "data", ["a", "b"], annotated={"a": ["liver"]})
    images = write_names(tmp_path / "images", ["a", "b"], images_only=True)
    assert input_sha256(data, is_data=True) == folder_sha256(data)
    assert input_sha256(images, is_images=True) == folder_sha256(images)
    assert input_sha256(images) == folder_sha256(images)


@pytest.mark.parametrize("place", ["imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"])
def test_files_behind_links_to_folders_count(tmp_path, place):
    disk = write_names(tmp_path / "disk", ["a", "b"])
    data = tmp_path / "data"
    data.mkdir()
    for name in ("imagesTr", "labelsTr"):
        (data / name).symlink_to(disk / name)
    before = input_sha256(data, is_data=True)
    copy = shutil.copytree(data, tmp_path / "copy", symlinks=True)
    assert input_sha256(copy, is_data=True) == before
    (disk / place).write_text("exchanged")
    assert input_sha256(data, is_data=True) != before


def test_images_behind_a_link_count(tmp_path):
    disk = write_names(tmp_path / "disk", ["a", "b"], images_only=True)
    (tmp_path / "images").mkdir()
    (tmp_path / "images/imagesTr").symlink_to(disk / "imagesTr")
    before = input_sha256(tmp_path / "images", is_images=True)
    (disk / "imagesTr/b_0000.nii.gz").write_text("exchanged")
    assert input_sha256(tmp_path / "images", is_images=True) != before


def test_what_a_data_set_is_not_read_from_does_not_count(tmp_path):
    data = write_names(tmp_path / "data", ["a"])
    before = input_sha256(data, is_data=True)
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/scan").touch()
    (data / "raw").symlink_to(tmp_path / "raw")
    assert input_sha256(data, is_data=True) == before


@pytest.mark.parametrize(
    "changed",
    [
        "disk/imagesTr/a_0000.nii.gz",
        "disk/labelsTr/a.nii.gz",
        "disk/imagesTr/voxels.raw",
        "disk/series/2.dcm",
        "list/mine.json",
        "list/annotated.json",
        "list/given.json",
        "list/labels.json",
        "list/fingerprint.json",
        "list/splits_final.json",
    ],
)
def test_a_datalist_counts_with_all_that_it_names_and_that_lies_beside_it(tmp_path, changed):
    disk = write_names(tmp_path / "disk", ["a"])
    write_detached(disk / "imagesTr/t2.mhd", b"12", "voxels.raw")
    (disk / "series").mkdir()
    for name in ("series/1.dcm", "series/2.dcm"):
        (disk / name).touch()
    images = [f"../disk/{name}" for name in ("imagesTr/a_0000.nii.gz", "imagesTr/t2.mhd", "series")]
    path = datalist(tmp_path / "list", images, "../disk/labelsTr/a.nii.gz")
    before = input_sha256(path, is_data=True)
    with (tmp_path / changed).open("a") as file:
        file.write("{}" if changed != "list/mine.json" else " ")
    assert input_sha256(path, is_data=True) != before


def test_a_datalist_may_be_moved_with_its_files(tmp_path):
    write_names(tmp_path / "here/disk", ["a"])
    path = datalist(tmp_path / "here/list", "../disk/imagesTr/a_0000.nii.gz", "../disk/labelsTr/a.nii.gz")
    before = input_sha256(path, is_data=True)
    (tmp_path / "here").rename(tmp_path / "there")
    assert input_sha256(tmp_path / "there/list/mine.json", is_data=True) == before


def test_the_arrays_of_a_store_behind_a_link_count(tmp_path):
    disk, store = tmp_path / "disk", tmp_path / "store"
    disk.mkdir()
    store.mkdir()
    for name in ("a.json", "a.image.b2nd", "a.labels.b2nd"):
        (disk / name).touch()
    (store / "store.json").write_text(json.dumps({"cases": ["a"]}))
    (store / "cases").symlink_to(disk)
    before = input_sha256(store, is_data=True)
    (disk / "a.image.b2nd").write_text("exchanged")
    assert input_sha256(store, is_data=True) != before


def test_what_is_no_data_set_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="no data set here"):
        input_sha256(tmp_path, is_data=True)
    with pytest.raises(DataError, match="holds no image"):
        input_sha256(tmp_path, is_images=True)
