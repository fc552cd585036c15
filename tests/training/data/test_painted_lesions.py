"""Copies of labelled CTs with lesions in their organs."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from model.label_files import read_label_set
from tests.training.tiny import write_case
from training.data.folders import labelled_cases
from training.data.painted_lesions import paint_data_set
from training.training_errors import DataError

KIDNEY, LIVER, CYST = 4, 7, 9
LABELS = {"background": 0, "kidney_right": KIDNEY, "Liver": LIVER, "cyst": CYST}
NEW = 10
"""The id after all others."""
SEED, COPIES = 1, 6


def write_labels(folder, labels=LABELS, **more):
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "lesions": ["cyst"]} | more))
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


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_lesions_are_labelled_by_a_new_id_and_all_else_stays(scans, tmp_path):
    written = paint_data_set(scans, tmp_path / "out", seed=SEED, copies=COPIES)
    assert written
    for copy in written:
        before, ids = voxels_of(scans, copy.source)
        image, labels = voxels_of(tmp_path / "out", copy.name)
        lesion = labels == NEW
        assert np.array_equal(labels[~lesion], ids[~lesion])
        assert image.dtype == np.int16
        assert np.abs(image[lesion] - 100.0).max() >= 15
        # An edge is some 3 mm wide, half of it beyond the lesion; voxels are 2 mm.
        beyond = ~ndimage.binary_dilation(lesion, np.ones((3, 3, 3)), iterations=2)
        assert beyond.sum() > 0.1 * beyond.size
        assert np.array_equal(image[beyond], before[beyond])


def test_a_copy_without_a_lesion_is_not_written(scans, tmp_path):
    """One in eight, of 40: none at all in 1 of 170 seeds."""
    written = [copy.name for copy in paint_data_set(scans, tmp_path / "out", seed=SEED, copies=20)]
    assert 0 < len(written) < 40
    found = sorted(path.name for path in (tmp_path / "out/labelsTr").iterdir())
    assert found == sorted(f"{name}.nii.gz" for name in written)
    for name in written:
        assert (voxels_of(tmp_path / "out", name)[1] == NEW).any()


def test_where_no_organ_is_in_view_nothing_can_be_painted(tmp_path):
    folder = write_labels(tmp_path / "legs")
    write_case(folder, "a", np.zeros((8, 8, 8), np.int16), np.zeros((8, 8, 8), np.uint8))
    with pytest.raises(DataError, match="legs: no lesion was painted; take another --seed"):
        paint_data_set(folder, tmp_path / "out")
    assert not (tmp_path / "out/dataset.json").exists()


def test_a_copy_lies_where_its_case_lies(scans, tmp_path):
    copy = next(c for c in paint_data_set(scans, tmp_path / "out", copies=2) if c.source == "b")
    for place, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        was, is_now = (
            read(scans, f"{place}/b{ending}"),
            read(tmp_path / "out", f"{place}/{copy.name}{ending}"),
        )
        assert is_now.GetSize() == was.GetSize()
        assert is_now.GetSpacing() == pytest.approx(was.GetSpacing())
        assert is_now.GetOrigin() == pytest.approx(was.GetOrigin())
        assert is_now.GetDirection() == pytest.approx(was.GetDirection())


def test_labels_that_are_stored_in_another_orientation_are_painted_where_they_lie(scans, tmp_path):
    """The same patient with labels in the image's orientation and in another: the same copies."""
    turned = tmp_path / "turned"
    shutil.copytree(scans, turned)
    for name in "ab":
        path = turned / f"labelsTr/{name}.nii.gz"
        sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), "SAR"), str(path))
    for data, output in ((scans, tmp_path / "out"), (turned, tmp_path / "out_turned")):
        paint_data_set(data, output, copies=2)
    one, other = files_of(tmp_path / "out"), files_of(tmp_path / "out_turned")
    assert {name for name in one if one[name] != other[name]} == {"dataset.json"}  # Its name is the folder's.
    assert one.keys() == other.keys()


def test_labels_that_lie_across_the_image_are_turned_onto_it(scans, tmp_path):
    """Opposite corners of both grids agree, and x and y are exchanged between them."""
    labels = np.zeros((8, 20, 20), np.uint8)
    labels[:, 2:6, 10:18] = LIVER
    write_case(scans, "c", labels.astype(np.int16), labels)
    path = scans / "labelsTr/c.nii.gz"
    image = sitk.ReadImage(str(path))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(image, str(path))
    written = [copy for copy in paint_data_set(scans, tmp_path / "out", copies=4) if copy.source == "c"]
    assert written
    for copy in written:
        _, found = voxels_of(tmp_path / "out", copy.name)
        assert set(np.unique(found[labels.transpose(0, 2, 1) == LIVER])) <= {LIVER, NEW}


def test_the_same_seed_paints_the_same_in_any_number_of_processes(scans, tmp_path):
    for folder, workers in (("one", 1), ("two", 2)):
        paint_data_set(scans, tmp_path / folder, seed=3, copies=2, workers=workers)
    paint_data_set(scans, tmp_path / "other", seed=4, copies=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert files_of(tmp_path / "one") != files_of(tmp_path / "other")


def test_copies_are_data_to_train_on(scans, tmp_path):
    written = paint_data_set(scans, tmp_path / "out", seed=SEED, copies=2)
    assert [case.name for case in labelled_cases(tmp_path / "out")] == [copy.name for copy in written]
    labels = read_label_set(tmp_path / "out/dataset.json")
    assert labels.ids == {"kidney_right": KIDNEY, "Liver": LIVER, "cyst": CYST, "tumor": NEW}
    assert labels.lesions == ("cyst", "tumor")
    listed = json.loads((tmp_path / "out/dataset.json").read_text())["cases"]
    assert {lesion["site"] for case in listed for lesion in case["tumors"]} == {"liver"}


def test_a_datalist_and_images_of_fractions_will_do(scans, tmp_path):
    path = scans / "imagesTr/a_0000.nii.gz"
    image = sitk.Cast(sitk.ReadImage(str(path)), sitk.sitkFloat32) + 0.25
    sitk.WriteImage(image, str(path))
    pairs = [{"image": f"imagesTr/{name}_0000.nii.gz", "label": f"labelsTr/{name}.nii.gz"} for name in "ab"]
    write_labels(scans, training=pairs)
    written = paint_data_set(scans / "dataset.json", tmp_path / "out", seed=SEED, copies=2)
    copy = next(copy for copy in written if copy.source == "a")
    voxels, labels = voxels_of(tmp_path / "out", copy.name)
    assert voxels.dtype == np.float32
    assert set(voxels[labels == CYST]) == {5.25}


def test_lesions_are_annotated_and_networks_are_judged_on_what_people_gave(scans, tmp_path):
    (scans / "annotated.json").write_text('{"a": ["Liver"]}')
    (scans / "given.json").write_text('{"a": []}')
    written = paint_data_set(scans, tmp_path / "out", seed=SEED, copies=2)
    assert {copy.source for copy in written} == {"a", "b"}
    for copy, case in zip(written, labelled_cases(tmp_path / "out"), strict=True):
        stated = (("Liver", "tumor"), ()) if copy.source == "a" else (None, None)
        assert (case.annotated, case.given) == stated
        assert case.is_judged == (copy.source == "b")


def test_tumors_of_the_data_keep_their_id_and_lesions_get_it(scans, tmp_path, caplog):
    write_labels(scans, {**LABELS, "Cancer": 5})
    (scans / "annotated.json").write_text('{"a": ["Liver"], "b": ["Liver", "Cancer"]}')
    written = paint_data_set(scans, tmp_path / "out", copies=COPIES)
    held = [np.unique(voxels_of(tmp_path / "out", copy.name)[1]) for copy in written]
    assert set(np.concatenate(held)) == {0, 5, LIVER, CYST}
    assert {case.annotated for case in labelled_cases(tmp_path / "out")} == {("Liver", "Cancer")}
    assert "1 case(s) do not annotate Cancer, a first" in caplog.text


@pytest.mark.parametrize(("more", "new"), [({"ignore": 10}, 11), ({"bone": 255}, 1)])
def test_the_id_of_lesions_is_one_that_means_nothing_else(scans, tmp_path, caplog, more, new):
    write_labels(scans, {**LABELS, **more})
    paint_data_set(scans, tmp_path / "out")
    assert read_label_set(tmp_path / "out/dataset.json").ids["tumor"] == new
    assert "painted lesions become tumor, a structure beside cyst" in caplog.text


def test_a_call_that_was_ended_can_be_made_again_and_another_one_not(scans, tmp_path):
    for folder in ("whole", "out"):
        paint_data_set(scans, tmp_path / folder, copies=2)
    ended = tmp_path / "out"
    (ended / "labelsTr/b_lesions2.nii.gz").write_bytes(b"half")
    (ended / "imagesTr/.partial-7-b_lesions2_0000.nii.gz").write_bytes(b"half")
    paint_data_set(scans, ended, copies=2)  # All was done, but for those two.
    assert files_of(ended) == files_of(tmp_path / "whole")
    (ended / "dataset.json").unlink()
    paint_data_set(scans, ended, copies=2)
    assert files_of(ended) == files_of(tmp_path / "whole")
    with pytest.raises(DataError, match=r"dataset\.json: is there already"):
        paint_data_set(scans, ended, seed=1, copies=2)
    assert files_of(ended) == files_of(tmp_path / "whole")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda scans: (scans / "dataset.json").unlink(), "states no label set"),
        (lambda scans: write_labels(scans, {"heart": LIVER, "cyst": CYST}), "names no organ that lesions"),
        (lambda scans: write_labels(scans, {"liver": LIVER, "cyst": 8}), r"a\.nii\.gz: holds id 9"),
        (
            lambda scans: write_labels(scans, {f"s{n}": n for n in range(1, 256)} | {"s1": 1, "liver": 255}),
            "share an id",
        ),
        (lambda scans: (scans.parent / "out").mkdir() or (scans.parent / "out/x").touch(), "out/x: is there"),
        (
            lambda scans: [
                shutil.copy(scans / f"imagesTr/{n}_0000.nii.gz", scans / f"imagesTr/{n}_0001.nii.gz")
                for n in "ab"
            ],
            r"a_0000\.nii\.gz: case a has 2 channels",
        ),
    ],
    ids=["no label set", "no organ", "foreign id", "faulty label set", "full folder", "channels"],
)
def test_what_cannot_be_painted_is_one_line(scans, tmp_path, change, told):
    change(scans)
    with pytest.raises(ValueError, match=told) as refused:
        paint_data_set(scans, tmp_path / "out")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("words", [{"seed": -1}, {"copies": 0}, {"workers": 0}])
def test_numbers_out_of_range_are_refused(scans, tmp_path, words):
    with pytest.raises(ValueError, match="at least"):
        paint_data_set(scans, tmp_path / "out", **words)
    assert not (tmp_path / "out").exists()
