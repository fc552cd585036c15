"""Data-set folders: cases are found and split; what is missing is named."""

import pytest

from tests.training.tiny import write_dataset
from training.data.folders import data_name, labelled_cases, split_cases
from training.training_errors import DataError


def a_case(folder):
    return folder / "imagesTr" / "case0_0000.nii.gz", folder / "labelsTr" / "case0.nii.gz"


def test_cases_are_found_in_the_order_of_their_names(tmp_path):
    cases = labelled_cases(write_dataset(tmp_path, cases=3))
    assert [case.name for case in cases] == ["case0", "case1", "case2"]


def test_folders_that_are_no_data_set_are_refused(tmp_path):
    with pytest.raises(DataError, match="imagesTr is missing"):
        labelled_cases(tmp_path)
    (tmp_path / "imagesTr").mkdir()
    with pytest.raises(DataError, match="holds no"):
        labelled_cases(tmp_path)


def test_an_image_without_labels_is_refused(tmp_path):
    _, labels = a_case(write_dataset(tmp_path))
    labels.unlink()
    with pytest.raises(DataError, match=r"case0\.nii\.gz: missing"):
        labelled_cases(tmp_path)


def test_a_split_is_disjoint_complete_and_the_same_each_time(tmp_path):
    cases = labelled_cases(write_dataset(tmp_path, cases=5, side=18))
    train, held_out = split_cases(cases, 0.4, seed=1)
    assert len(held_out) == 2
    assert sorted(case.name for case in (*train, *held_out)) == [case.name for case in cases]
    assert split_cases(cases, 0.4, seed=1) == (train, held_out)
    assert split_cases(cases, 0, seed=1) == (cases, ())
    with pytest.raises(DataError, match="too few"):
        split_cases(cases[:1], 0.5, seed=1)


def test_further_channels_are_no_cases_of_their_own(tmp_path):
    write_dataset(tmp_path, cases=1)
    image = tmp_path / "imagesTr" / "case0_0000.nii.gz"
    image.with_name("case0_0001.nii.gz").write_bytes(image.read_bytes())
    (case,) = labelled_cases(tmp_path)
    assert [path.name for path in case.images] == ["case0_0000.nii.gz", "case0_0001.nii.gz"]


def test_at_least_one_case_is_held_out(tmp_path):
    cases = labelled_cases(write_dataset(tmp_path, cases=3, side=18))
    assert len(split_cases(cases, 0.01, seed=0)[1]) == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [('{"name": "cubes"}', "cubes"), ("{}", "folder"), ("[1]", "folder"), ("{", "folder"), (None, "folder")],
)
def test_a_data_set_is_called_what_it_calls_itself_or_its_folder(tmp_path, text, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    if text is not None:
        (folder / "dataset.json").write_text(text)
    assert data_name(folder) == name
