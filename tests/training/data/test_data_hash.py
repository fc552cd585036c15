"""Data of a run are known again by their files, or by those that a store was prepared from."""

import json
import shutil
from dataclasses import replace

import pytest

from tests.training.data.detached import write_detached
from tests.training.tiny import recipe_file, write_dataset
from training.__main__ import main
from training.data.data_hash import DataHash, are_other_data, data_hash
from training.data.folders import labelled_cases
from training.training_errors import DataError


def hash_of(folder):
    return str(data_hash(labelled_cases(folder)))


def prepared(data, folder, store):
    words = ["prepare", str(data), "--recipe", recipe_file(folder), "--output", str(store)]
    assert main(words) == 0
    return store


def test_the_same_files_elsewhere_are_the_same_data(tmp_path):
    data = write_dataset(tmp_path / "data")
    assert hash_of(data) == hash_of(shutil.copytree(data, tmp_path / "copy"))


@pytest.mark.parametrize("place", ["imagesTr/case1_0000.nii.gz", "labelsTr/case1.nii.gz"])
def test_files_exchanged_under_their_names_are_other_data(tmp_path, place):
    data = write_dataset(tmp_path / "data")
    before = hash_of(data)
    shutil.copy(data / place.replace("case1", "case0"), data / place)
    assert are_other_data(before, hash_of(data))


def test_other_annotations_are_other_data(tmp_path):
    cases = labelled_cases(write_dataset(tmp_path / "data"))
    before = str(data_hash(cases))
    for changed in (replace(cases[0], annotated=("liver",)), replace(cases[0], given=("liver",))):
        assert are_other_data(before, str(data_hash([changed, *cases[1:]])))


@pytest.mark.parametrize("voxels", ["case0_0000.raw", "voxels.raw"])
def test_voxels_beside_their_header_count(tmp_path, voxels):
    (case,) = labelled_cases(write_dataset(tmp_path / "data", cases=1))
    case = replace(case, images=(write_detached(tmp_path / "case0_0000.mhd", b"12", voxels),))
    before = str(data_hash([case]))
    (tmp_path / voxels).write_bytes(b"13")
    assert are_other_data(before, str(data_hash([case])))


def test_a_store_is_known_by_what_it_was_prepared_from(tmp_path):
    data = write_dataset(tmp_path / "data")
    store = prepared(data, tmp_path, tmp_path / "store")
    before = hash_of(store)
    assert before == hash_of(prepared(data, tmp_path, tmp_path / "again"))
    assert not are_other_data(before, hash_of(data))  # nobody can tell
    shutil.copy(data / "imagesTr/case1_0000.nii.gz", data / "imagesTr/case0_0000.nii.gz")
    assert are_other_data(before, hash_of(prepared(data, tmp_path, store)))


def test_a_damaged_case_of_a_store_is_named(tmp_path):
    store = prepared(write_dataset(tmp_path / "data"), tmp_path, tmp_path / "store")
    (store / "cases" / "case0.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match=r"case0\S*: its case is damaged; run prepare again"):
        hash_of(store)


def test_a_hash_is_read_from_its_text():
    found = DataHash(form="files", sha256="1f3a")
    assert str(found) == "files 1f3a"
    assert DataHash.read("files 1f3a") == found


def test_older_runs_are_taken_at_their_word():
    assert not are_other_data(None, "files 1f")
