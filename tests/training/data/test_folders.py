"""Data-set folders: cases are found and split; what is missing is named."""

import json

import pytest

from tests.training.tiny import DOCUMENT, write_dataset
from training.data.folders import data_name, find_cases, labelled_cases
from training.data.store import CaseStore
from training.recipes.loading import recipe_from
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


def write_files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


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
