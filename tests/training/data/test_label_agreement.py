"""Ids of label maps mean the same to data and recipe, or training is refused, with what helps."""

import json
import re

import pytest

from model.labels import AMOS22, FLARE21, FLARE22, FLARE23, LabelSet
from training.data.label_agreement import TAKE_OWN, disagreement, faults_of_names, refuse_other_names
from training.training_errors import RecipeError

OWN = {"organ a": 1, "organ b": 2}
AMOS_FILE = {
    "0": "background", "1": "spleen", "2": "right kidney", "3": "left kidney", "4": "gall bladder",
    "5": "esophagus", "6": "liver", "7": "stomach", "8": "arota", "9": "postcava", "10": "pancreas",
    "11": "right adrenal gland", "12": "left adrenal gland", "13": "duodenum", "14": "bladder",
    "15": "prostate/uterus",
}  # fmt: skip
"""As it comes with the data of AMOS22."""
FLARE_FILE = {
    "background": 0, "liver": 1, "right kidney": 2, "spleen": 3, "pancreas": 4, "aorta": 5, "ivc": 6,
    "rag": 7, "lag": 8, "gallbladder": 9, "esophagus": 10, "stomach": 11, "duodenum": 12, "left kidney": 13,
}  # fmt: skip
"""As nnU-Net's authors give it for FLARE24."""


def stating(folder, labels):
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


@pytest.mark.parametrize(
    ("labels", "ours", "outputs"),
    [
        (AMOS_FILE, AMOS22, "plain"),
        (FLARE_FILE, FLARE22, "plain"),
        ({"background": 0, **FLARE23.ids}, FLARE23, "merged"),
        ({**FLARE22.ids}, FLARE23, "plain"),
        ({"Liver": 1, "kidney_right": 2, "Left-Kidney": 13}, FLARE22, "plain"),
        ({"liver": 1, "kidney": 2, "spleen": 3}, FLARE23, "merged"),  # Both kidneys are one channel.
        ({"kidney": 2, "ignore": 200}, FLARE21, "plain"),
        (OWN, FLARE23, "foreground"),
        ({"Inferior Vena Cava (IVC)": 6, "Right Adrenal Gland (RAG)": 7}, FLARE22, "plain"),
        ({"urinary_bladder": 14, "prostate or uterus": 15}, AMOS22, "plain"),
        ({"Background": 0, "liver": 1, "lesion": 14}, FLARE23, "plain"),
        ({"cancer": 14}, FLARE23, "plain"),
        ({"rkid": 2, "l kidney": 13, "gall": 9, "eso": 10, "sto": 11, "rad": 7, "lad": 8}, FLARE22, "plain"),
    ],
)
def test_the_same_structures_however_they_are_spelt(tmp_path, labels, ours, outputs):
    assert disagreement(stating(tmp_path, labels), ours, outputs) is None


@pytest.mark.parametrize(
    ("labels", "outputs", "said"),
    [
        (OWN, "plain", "1 is organ a, label set flare22 that it is liver; 2 ids differ"),
        ({"liver": 1, "tube": 5}, "merged", "5 is tube, label set flare22 that it is aorta; 1 id differs"),
        ({"kidney": 2}, "plain", "2 is kidney, label set flare22 that it is right kidney; 1 id differs"),
        ({"liver": 20}, "plain", "liver is 20, label set flare22 that it is 1; 1 id differs"),
        ({"liver": 1, "ignore": 4}, "plain", "4 is ignore, label set flare22 that it is pancreas; 1 id"),
        ({"ignore": 4, "a": 1}, "foreground", "4 is ignore, label set flare22 that it is pancreas; 1 id"),
        (AMOS_FILE, "plain", "1 is spleen, label set flare22 that it is liver; 14 ids differ"),
        ({**FLARE23.ids}, "plain", "14 is tumor, an id that label set flare22 lacks; 1 id differs"),
        ({"liver": 1, "lung": 200}, "foreground", "200 is lung, an id that label set flare22 lacks; 1 id"),
        ({"Background": 0, "spleen": 1, "liver": 3}, "plain", "1 is spleen, label set flare22 that it is"),
    ],
)
def test_other_structures(tmp_path, labels, outputs, said):
    found = disagreement(stating(tmp_path, labels), FLARE22, outputs)
    assert found.startswith(f"{tmp_path / 'dataset.json'}: says that {said}")


def test_a_folder_that_states_nothing_agrees(tmp_path):
    assert disagreement(tmp_path, FLARE22, "plain") is None
    assert disagreement(tmp_path / "nowhere", FLARE22, "plain") is None
    (tmp_path / "dataset.json").write_text('{"name": "cubes"}')
    assert disagreement(tmp_path / "dataset.json", FLARE22, "plain") is None
    assert disagreement(tmp_path / "nowhere", FLARE22, "plain") is None


@pytest.mark.parametrize(
    ("file", "document", "said"),
    [
        ("dataset.json", {"labels": {"liver": "3"}}, "labels.liver: must be a whole number, is '3'"),
        ("dataset.json", {"name": "x", "labels": {"liver": 300}}, "label set x: id of liver is 300, must be"),
        ("labels.json", {"liver": 3}, 'states no label set; "labels" must map structures to ids'),
        ("labels.json", {"labels": {"liver": [1, 2]}}, "liver is a region of several ids"),
    ],
)
def test_a_faulty_label_set_is_named_with_its_own_fault(tmp_path, file, document, said):
    (tmp_path / file).write_text(json.dumps(document))
    (found,) = faults_of_names(tmp_path, None, "plain")
    assert found.startswith(f"{tmp_path / file}: {said}")
    assert faults_of_names(tmp_path, FLARE22, "plain") == [found]
    with pytest.raises(RecipeError, match=re.escape(found)):
        refuse_other_names([tmp_path], FLARE22, "plain")


def remedy(folders, labels):
    with pytest.raises(RecipeError) as caught:
        refuse_other_names(folders, labels, "plain")
    return str(caught.value).rsplit("; ", 1)[1]


def test_the_data_s_own_label_set_is_proposed_where_it_helps(tmp_path):
    own = LabelSet(name="own", ids=OWN)
    one, same = (stating(tmp_path / name, OWN) for name in ("one", "same"))
    swap = stating(tmp_path / "swap", {"organ a": 2, "organ b": 1})
    bare = tmp_path / "bare"
    take = TAKE_OWN
    assert remedy([one], FLARE22) == take
    assert remedy([one, same], FLARE22) == take
    assert remedy([one, swap], own) == f"renumber {swap} as {one}"
    assert remedy([one, swap], FLARE22) == f"renumber {swap} as {one}, and {take}"
    assert remedy([bare, swap], own) == f"renumber {swap} as label set own"
    refuse_other_names([one, same, bare], own, "plain")
