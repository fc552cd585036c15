"""A user's own label set, from `labels.json` or nnU-Net's `dataset.json`."""

import json

import pytest

from model.label_files import find_label_set, read_label_set
from model.labels import FLARE23, LabelSet, Pair
from model.model_errors import LabelSetError

KIDNEY = {"merged": "kidney", "right": "right kidney", "left": "left kidney"}
IDS = {"liver": 1, "right kidney": 2, "left kidney": 3, "cyst": 4}


def write(folder, document, name="labels.json"):
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_labels_json(tmp_path):
    document = {"name": "abdomen", "labels": IDS, "pairs": [KIDNEY], "lesions": ["cyst"]}
    expected = LabelSet(name="abdomen", ids=IDS, pairs=(Pair(**KIDNEY),), lesions=("cyst",))
    assert read_label_set(write(tmp_path, document)) == expected


def test_little_is_enough(tmp_path):
    folder = tmp_path / "Dataset007"
    folder.mkdir()
    found = read_label_set(write(folder, {"labels": {"liver": 1}}))
    assert found == LabelSet(name="Dataset007", ids={"liver": 1})


def test_background_and_ignored_voxels_are_no_structures(tmp_path):
    labels = {"background": 0, "liver": 1, "ignore": 2}
    assert read_label_set(write(tmp_path, {"labels": labels})).ids == {"liver": 1}


def test_dataset_json_of_nnunet_2(tmp_path):
    document = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": 131,
        "file_ending": ".nii.gz",
        "lesions": ["tumour"],
    }
    found = read_label_set(write(tmp_path, document, "dataset.json"))
    assert (found.ids, found.lesions) == ({"liver": 1, "tumour": 2}, ("tumour",))


def test_dataset_json_of_nnunet_1(tmp_path):
    document = {"name": "LiTS", "labels": {"0": "background", "1": "liver", "2": "tumour"}}
    found = read_label_set(write(tmp_path, document, "dataset.json"))
    assert (found.name, found.ids) == ("LiTS", {"liver": 1, "tumour": 2})


def test_regions_take_their_ids_from_the_order_of_classes(tmp_path):
    """BraTS: whole tumour is 1, 2 and 3, core 2 and 3, enhancing 3; written as 1, 2 and 3 in this order."""
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    document = {"labels": labels, "regions_class_order": [1, 2, 3]}
    assert read_label_set(write(tmp_path, document)).ids == {"whole": 1, "core": 2, "enhancing": 3}
    document["regions_class_order"] = [7, 5, 9]
    assert read_label_set(write(tmp_path, document)).ids == {"whole": 7, "core": 5, "enhancing": 9}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{", "cannot be read as JSON ("),
        ("[" * 100_000, "cannot be read as JSON ("),
        ("[]", 'states no label set; "labels" must map structures to ids'),
        ({}, 'states no label set; "labels" must map structures to ids'),
        ({"labels": ["liver"]}, 'states no label set; "labels" must map structures to ids'),
        ({"labels": {"liver": 1.5}}, "labels.liver: must be a whole number, is 1.5"),
        ({"labels": {"liver": "1"}}, "labels.liver: must be a whole number, is '1'"),
        ({"labels": {"liver": True}}, "labels.liver: must be a whole number, is True"),
        ({"name": "x", "labels": {"liver": 256}}, "label set x: id of liver is 256, must be 1 to 255"),
        ({"name": "x", "labels": {"liver": 1, "spleen": 1}}, "label set x: two structures share an id"),
        ({"labels": {"a": [1, 2], "b": 2}}, "regions_class_order: must be a list of one id for each region"),
        (
            {"labels": {"a": [1, 2], "b": 2}, "regions_class_order": [1]},
            "regions_class_order: must be a list of one id for each region",
        ),
        ({"labels": IDS, "pairs": [{"merged": "kidney"}]}, "pairs[0].right: missing; pairs[0].left: missing"),
        ({"labels": IDS, "pairs": ["kidney"]}, "pairs[0]: must be a mapping, is str 'kidney'"),
        ({"labels": IDS, "pairs": 5}, "pairs: must be a list of merged, right and left names"),
        ({"labels": IDS, "pairs": KIDNEY}, "pairs: must be a list of merged, right and left names"),
        ({"labels": IDS, "lesions": "cyst"}, "lesions: must be a list of structures"),
        (
            {"name": "x", "labels": {"liver": 1}, "lesions": ["cyst"]},
            "label set x: lesion cyst is not in the set",
        ),
        (
            {"name": "x", "labels": {"liver": 1}, "pairs": [KIDNEY]},
            "label set x: right kidney of pair kidney is not in the set",
        ),
    ],
)
def test_a_faulty_file_is_named_with_its_fault(tmp_path, document, message):
    path = write(tmp_path, document)
    with pytest.raises(LabelSetError) as caught:
        read_label_set(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "labels.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabelSetError, match=r"labels\.json: cannot be read as JSON"):
        read_label_set(tmp_path / "labels.json")


def test_built_in_sets_go_by_their_names():
    assert find_label_set("flare23") is FLARE23


def test_a_folder_stands_for_the_file_in_it(tmp_path):
    write(tmp_path, {"labels": {"liver": 1}}, "dataset.json")
    assert find_label_set(tmp_path).ids == {"liver": 1}
    write(tmp_path, {"labels": {"spleen": 1}}, "labels.json")  # goes before `dataset.json`
    assert find_label_set(str(tmp_path)).ids == {"spleen": 1}
    assert find_label_set(tmp_path / "dataset.json").ids == {"liver": 1}


def test_neither_a_name_nor_a_file(tmp_path):
    with pytest.raises(LabelSetError) as caught:
        find_label_set(tmp_path / "flare99")
    known = "flare21, flare22, flare23, flare24-lesion, amos22"
    message = f"{tmp_path / 'flare99'}: no label set of this name and no file; known are {known}"
    assert str(caught.value) == message


def test_a_folder_without_a_label_set(tmp_path):
    with pytest.raises(LabelSetError) as caught:
        find_label_set(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
