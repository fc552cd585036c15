"""Which file is which channel of which case, by names alone."""

import pytest

from tests.training.tiny import write_files
from training.data.named_images import case_beside, case_of_one_channel, images_by_case
from training.data.unlabelled import unlabelled_cases
from training.training_errors import DataError

NUMBERED = ("a_0000.nii.gz", "a_0001.nii.gz", ".b_0000.nii.gz", "notes.txt")


@pytest.mark.parametrize(
    ("case_of", "expected"),
    [
        (case_beside, {"a": {0: "a_0000.nii.gz", 1: "a_0001.nii.gz"}}),
        (
            lambda stem: case_beside(stem, {"a_0001"}),
            {"a": {0: "a_0000.nii.gz"}, "a_0001": {0: "a_0001.nii.gz"}},
        ),
        (case_of_one_channel, {"a": {0: "a_0000.nii.gz"}, "a_0001": {0: "a_0001.nii.gz"}}),
    ],
)
def test_what_a_number_at_the_end_means(tmp_path, case_of, expected):
    write_files(tmp_path, *NUMBERED)
    found, faults = images_by_case(tmp_path, case_of)
    assert {case: {n: path.name for n, path in files.items()} for case, files in found.items()} == expected
    assert faults == []


def test_all_doubled_images_of_an_unlabelled_folder_are_named(tmp_path):
    write_files(tmp_path, "imagesTs/a.mha", "imagesTs/a_0000.nii", "imagesTs/b.mha", "imagesTs/b.nii")
    with pytest.raises(DataError) as error:
        unlabelled_cases(tmp_path, 1)
    folder = tmp_path / "imagesTs"
    assert str(error.value) == (
        f"{folder / 'a_0000.nii'}: second image of case a, channel 0, beside a.mha; keep one; "
        f"{folder / 'b.nii'}: second image of case b, channel 0, beside b.mha; keep one"
    )
