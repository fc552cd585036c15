"""Copies of labelled CTs with lesions in their organs."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from model.label_files import read_label_set
from tests.training.tiny import write_case
from training.data.folders import labelled_cases
from training.data.painted_lesions import copy_name, paint_data_set
from training.training_errors import DataError

KIDNEY, LIVER, CYST = 4, 7, 9
LABELS = {"background": 0, "kidney_right": KIDNEY, "Liver": LIVER, "cyst": CYST}
NEW = 10
"""The id after all others."""
COPIES = 6


def write_labels(folder, labels=LABELS):
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "lesions": ["cyst"]}))
    return folder


@pytest.fixture
def scans(tmp_path):
    """Two patients: a liver of 100 HU, 40 mm a side, and a cyst of 5 HU in fat of -100 HU."""
    folder = write_labels(tmp_path / "scans")
    for name, orientation in (("a", "LPS"), ("b", "RAS")):
        labels = np.zeros((24, 30, 36), np.uint8)
        labels[2:22, 4:24, 4:24], labels[4:8, 25:29, 30:34] = LIVER, CYST
        hu = np.where(labels == LIVER, 100, np.where(labels == CYST, 5, -100)).astype(np.int16)
        write_case(folder, name, hu, labels, orientation)
    return folder


def read(folder, place):
    return sitk.ReadImage(str(folder / place))


def voxels_of(folder, name):
    """Image and label map of a case."""
    places = (f"imagesTr/{name}_0000.nii.gz", f"labelsTr/{name}.nii.gz")
    return tuple(sitk.GetArrayFromImage(read(folder, place)) for place in places)


def test_lesions_are_labelled_by_a_new_id_and_all_else_stays(scans, tmp_path):
    paint_data_set(scans, tmp_path / "out", copies=COPIES)
    painted = 0
    for source in "ab":
        before, ids = voxels_of(scans, source)
        for copy in range(COPIES):
            image, labels = voxels_of(tmp_path / "out", copy_name(source, copy))
            lesion = labels == NEW
            painted += lesion.any()
            assert np.array_equal(labels[~lesion], ids[~lesion])
            assert image.dtype == np.int16
            if lesion.any():
                assert np.abs(image[lesion] - 100.0).max() >= 15
            else:
                assert np.array_equal(image, before)
    # 0.88^12 of copies would all have some; and 0.12^12 none.
    assert 0 < painted <= 2 * COPIES


def test_a_copy_lies_where_its_case_lies(scans, tmp_path):
    paint_data_set(scans, tmp_path / "out")
    for place, source in (("imagesTr", "b_0000"), ("labelsTr", "b")):
        copy = f"{source.replace('b', copy_name('b', 0), 1)}.nii.gz"
        was, is_now = read(scans, f"{place}/{source}.nii.gz"), read(tmp_path / "out", f"{place}/{copy}")
        assert is_now.GetSize() == was.GetSize()
        assert is_now.GetSpacing() == pytest.approx(was.GetSpacing())
        assert is_now.GetOrigin() == pytest.approx(was.GetOrigin())
        assert is_now.GetDirection() == pytest.approx(was.GetDirection())


def test_the_same_seed_paints_the_same_in_any_number_of_processes(scans, tmp_path):
    for folder, workers in (("one", 1), ("two", 2)):
        paint_data_set(scans, tmp_path / folder, seed=3, copies=2, workers=workers)
    paint_data_set(scans, tmp_path / "other", seed=4, copies=2)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 9
    held = {folder: [(tmp_path / folder / file).read_bytes() for file in files] for folder in ("one", "two")}
    assert held["one"] == held["two"]
    assert held["one"] != [(tmp_path / "other" / file).read_bytes() for file in files]


def test_a_copy_is_data_to_train_on(scans, tmp_path):
    paint_data_set(scans, tmp_path / "out", copies=2)
    assert [case.name for case in labelled_cases(tmp_path / "out")] == [
        copy_name(source, copy) for source in "ab" for copy in (0, 1)
    ]
    labels = read_label_set(tmp_path / "out/dataset.json")
    assert labels.ids == {"kidney_right": KIDNEY, "Liver": LIVER, "cyst": CYST, "tumor": NEW}
    assert labels.lesions == ("cyst", "tumor")
    listed = json.loads((tmp_path / "out/dataset.json").read_text())["cases"]
    assert {lesion["site"] for case in listed for lesion in case["tumors"]} == {"liver"}


def test_what_cases_annotate_goes_with_them_and_lesions_are_part_of_it(scans, tmp_path):
    (scans / "annotated.json").write_text('{"a": ["Liver"]}')
    paint_data_set(scans, tmp_path / "out", copies=2)
    assert [case.annotated for case in labelled_cases(tmp_path / "out")] == [
        *[("Liver", "tumor")] * 2,
        *[None] * 2,
    ]


def test_tumors_of_the_data_keep_their_id_and_lesions_get_it(scans, tmp_path):
    write_labels(scans, {**LABELS, "Cancer": 5})
    paint_data_set(scans, tmp_path / "out", copies=COPIES)
    held = [np.unique(voxels_of(tmp_path / "out", copy_name("a", copy))[1]) for copy in range(COPIES)]
    assert set(np.concatenate(held)) == {0, 5, LIVER, CYST}


@pytest.mark.parametrize(("more", "new"), [({"ignore": 10}, 11), ({"bone": 255}, 1)])
def test_the_id_of_lesions_is_one_that_means_nothing_else(scans, tmp_path, more, new):
    write_labels(scans, {**LABELS, **more})
    paint_data_set(scans, tmp_path / "out")
    assert read_label_set(tmp_path / "out/dataset.json").ids["tumor"] == new


def test_what_a_paint_adds_is_annotated(scans, tmp_path):
    write_labels(scans, {**LABELS, "Cancer": 5})
    (scans / "annotated.json").write_text('{"a": ["Liver"], "b": ["Liver", "Cancer"]}')
    paint_data_set(scans, tmp_path / "out")
    held = [case.annotated for case in labelled_cases(tmp_path / "out")]
    assert held == [("Liver", "Cancer")] * 2


def test_a_call_that_was_ended_can_be_made_again_but_not_one_that_was_not(scans, tmp_path):
    paint_data_set(scans, tmp_path / "whole", copies=2)
    paint_data_set(scans, tmp_path / "out", copies=2)
    with pytest.raises(DataError, match=r"dataset\.json: is there already"):
        paint_data_set(scans, tmp_path / "out", copies=2)
    (tmp_path / "out/dataset.json").unlink()
    (tmp_path / "out/labelsTr/b_lesions2.nii.gz").write_bytes(b"half")
    paint_data_set(scans, tmp_path / "out", copies=2)
    for file in ("dataset.json", "labelsTr/b_lesions2.nii.gz", "imagesTr/b_lesions2_0000.nii.gz"):
        assert (tmp_path / "out" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda scans: (scans / "dataset.json").unlink(), "states no label set"),
        (lambda scans: write_labels(scans, {"heart": LIVER, "cyst": CYST}), "names no organ that lesions"),
        (lambda scans: write_labels(scans, {"liver": LIVER, "cyst": 8}), r"a\.nii\.gz: .*\b9\b"),
        (lambda scans: (scans.parent / "out").mkdir() or (scans.parent / "out/x").touch(), "out/x: is there"),
    ],
    ids=["no label set", "no organ", "foreign id", "full folder"],
)
def test_what_cannot_be_painted_is_one_line(scans, tmp_path, change, told):
    change(scans)
    with pytest.raises(DataError, match=told) as refused:
        paint_data_set(scans, tmp_path / "out")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("words", [{"seed": -1}, {"copies": 0}, {"workers": 0}])
def test_numbers_out_of_range_are_refused(scans, tmp_path, words):
    with pytest.raises(ValueError, match="at least"):
        paint_data_set(scans, tmp_path / "out", **words)
    assert not (tmp_path / "out").exists()
