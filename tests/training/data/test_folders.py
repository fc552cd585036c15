"""Data-set folders: cases are found and split; what is missing is named."""

import pytest

from tests.training.tiny import write_dataset, write_files
from training.data.folders import find_cases, labelled_cases
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


def test_further_channels_are_no_cases_of_their_own(tmp_path):
    write_dataset(tmp_path, cases=1)
    image = tmp_path / "imagesTr" / "case0_0000.nii.gz"
    image.with_name("case0_0001.nii.gz").write_bytes(image.read_bytes())
    (case,) = labelled_cases(tmp_path)
    assert [path.name for path in case.images] == ["case0_0000.nii.gz", "case0_0001.nii.gz"]


def found(folder):
    return [
        (case.name, [str(path.relative_to(folder)) for path in case.images], case.labels.name)
        for case in labelled_cases(folder)
    ]


def test_flares_names(tmp_path):
    write_files(tmp_path, "images/FLARE22_Tr_0001_0000.nii.gz", "labels/FLARE22_Tr_0001.nii.gz")
    name = "FLARE22_Tr_0001"
    assert found(tmp_path) == [(name, [f"images/{name}_0000.nii.gz"], f"{name}.nii.gz")]


def test_amos_names_end_in_a_number_that_is_no_channel(tmp_path):
    stems = ("amos_0001", "amos_0004")
    write_files(tmp_path, *(f"{place}/{stem}.nii.gz" for stem in stems for place in ("imagesTr", "labelsTr")))
    assert found(tmp_path) == [(stem, [f"imagesTr/{stem}.nii.gz"], f"{stem}.nii.gz") for stem in stems]


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd"])
def test_other_formats(tmp_path, suffix):
    write_files(tmp_path, f"imagesTr/a_0000{suffix}", f"labelsTr/a{suffix}", "imagesTr/notes.txt")
    assert found(tmp_path) == [("a", [f"imagesTr/a_0000{suffix}"], f"a{suffix}")]


def test_a_line_names_three_faults_and_where_to_see_the_others(tmp_path):
    write_files(tmp_path, *(f"imagesTr/{name}_0000.nii.gz" for name in "abcde"), "labelsTr/f.nii.gz")
    with pytest.raises(DataError, match=r"and 3 more: `python -m training check .*` lists all") as error:
        labelled_cases(tmp_path)
    assert str(error.value).count("missing") == 3


@pytest.mark.parametrize(
    ("folders", "told"),
    [
        (
            ("imagesTr2200", "labelsTr2200"),
            "; imagesTr2200, labelsTr2200 lie there: rename them, or link them ",
        ),
        (("FLARE22Train/images", "FLARE22Train/labels"), "/FLARE22Train does"),
        (("notes",), " or images and labels"),
    ],
)
def test_what_is_near_is_named_where_there_is_no_data_set(tmp_path, folders, told):
    for name in folders:
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(DataError, match="no data set here") as caught:
        find_cases(tmp_path)
    assert told in str(caught.value)
    if folders == ("notes",):
        assert str(caught.value).endswith(told)
