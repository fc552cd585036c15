"""Datalists: cases that a JSON file names, and what a data set calls itself."""

import json

import pytest

from tests.training.tiny import DOCUMENT, write_dataset, write_files
from training.data.datalist import data_name
from training.data.folders import find_cases, labelled_cases
from training.data.store import CaseStore
from training.recipes.loading import recipe_from
from training.training_errors import DataError


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


@pytest.mark.parametrize(("text", "name"), [('{"name": "cubes", "training": []}', "cubes"), ("{}", "folder")])
def test_a_datalist_is_called_what_it_calls_itself_or_its_folder(tmp_path, text, name):
    datalist = tmp_path / "folder" / "mine.json"
    datalist.parent.mkdir()
    datalist.write_text(text)
    assert data_name(datalist) == name


def datalist(folder, entries, name="dataset.json"):
    path = folder / name
    path.write_text(json.dumps({"training": entries}))
    return path


def test_a_datalist_names_its_files(tmp_path):
    write_files(tmp_path, "ct/one.nii.gz", "truth/one-seg.nii.gz", "a/t1.nrrd", "a/t2.nrrd", "a/seg.nrrd")
    entries = [
        {"image": "./ct/one.nii.gz", "label": "./truth/one-seg.nii.gz", "fold": 0},
        {"image": ["a/t1.nrrd", "a/t2.nrrd"], "label": "a/seg.nrrd"},
    ]
    datalist(tmp_path, entries)
    expected = [
        ("one", ["ct/one.nii.gz"], "one-seg.nii.gz"),
        ("t1", ["a/t1.nrrd", "a/t2.nrrd"], "seg.nrrd"),
    ]
    faults = find_cases(tmp_path).faults
    assert [fault.split(": ", 1)[1] for fault in faults] == ["case t1 has 2 channel(s), others have 1"]
    cases = find_cases(tmp_path).cases
    assert [(case.name, case.labels.name) for case in cases] == [(name, label) for name, _, label in expected]
    assert [[str(p.relative_to(tmp_path)) for p in case.images] for case in cases] == [
        images for _, images, _ in expected
    ]


def test_a_datalist_can_be_given_by_its_path(tmp_path):
    write_files(tmp_path, "ct/one.nii.gz", "truth/one.nii.gz")
    path = datalist(tmp_path, [{"image": "ct/one.nii.gz", "label": "truth/one.nii.gz"}], "mine.json")
    assert [case.name for case in labelled_cases(path)] == ["one"]


def test_a_datalist_is_trained_on_by_the_label_set_beside_it(tmp_path):
    write_dataset(tmp_path)
    (tmp_path / "dataset.json").unlink()
    (tmp_path / "labels.json").write_text('{"labels": {"liver": 1, "spleen": 3}}')
    entries = [
        {"image": f"imagesTr/case{number}_0000.nii.gz", "label": f"labelsTr/case{number}.nii.gz"}
        for number in range(2)
    ]
    path = datalist(tmp_path, entries, "mine.json")
    recipe = recipe_from({**DOCUMENT, "label_set": "data"}, data=path)
    assert recipe.labels.names == ("liver", "spleen")
    case = CaseStore(labelled_cases(path), recipe, cache_mb=1).load(0)
    assert len(case.points) == 3


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"image": "ct/two.nii.gz", "label": "truth/one.nii.gz"}, "ct/two.nii.gz: missing, though the data"),
        ({"image": "ct/one.nii.gz", "label": "truth/two.nii.gz"}, "truth/two.nii.gz: missing, though the"),
        ({"image": "ct/one.nii.gz", "label": "truth/one.nii.gz"}, "second entry of case one in the datalist"),
        ({"image": "ct/one.nii.gz"}, r"training\[1\] must read"),
        ({"image": [], "label": "truth/one.nii.gz"}, r"training\[1\] must read"),
        ("ct/one.nii.gz", r"training\[1\] must read"),
    ],
)
def test_faults_of_a_datalist(tmp_path, entry, message):
    write_files(tmp_path, "ct/one.nii.gz", "truth/one.nii.gz")
    datalist(tmp_path, [{"image": "ct/one.nii.gz", "label": "truth/one.nii.gz"}, entry])
    with pytest.raises(DataError, match=message):
        labelled_cases(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"), [("{", "cannot be read as JSON"), ("{}", 'lists no "training"')]
)
def test_a_file_that_is_no_datalist_is_refused(tmp_path, text, message):
    (tmp_path / "mine.json").write_text(text)
    with pytest.raises(DataError, match=f"mine.json: .*{message}"):
        labelled_cases(tmp_path / "mine.json")
