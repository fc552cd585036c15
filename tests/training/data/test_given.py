"""What people annotated is told apart from pseudo-labels: training takes all, validation what was given."""

import json

import pytest
import yaml

from tests.training.tiny import DOCUMENT, write_dataset
from training.__main__ import main
from training.data.annotations import annotated_text, read_annotated
from training.data.folders import find_cases, labelled_cases
from training.runs.record import RECORD


@pytest.fixture
def data(tmp_path):
    folder = write_dataset(tmp_path / "data", cases=3)
    (folder / "annotated.json").write_text(json.dumps({"case1": ["liver", "spleen"], "case2": ["liver"]}))
    (folder / "given.json").write_text(json.dumps({"case1": ["spleen"], "case2": []}))
    return folder


def test_a_case_is_judged_by_what_was_given(data):
    found = {case.name: case for case in labelled_cases(data)}
    assert (found["case1"].annotated, found["case1"].judged.annotated) == (("liver", "spleen"), ("spleen",))
    assert found["case2"].judged.annotated == ()
    assert found["case0"].judged is found["case0"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"case9": ["liver"]}, "names case case9, which is not in the data set"),
        ({"case2": ["spleen"]}, "case case2 names spleen, which annotated.json does not"),
    ],
)
def test_faults_of_the_file_are_told(data, given, fault):
    (data / "given.json").write_text(json.dumps(given))
    assert find_cases(data).faults == (f"{data / 'given.json'}: {fault}",)


def test_a_structure_that_the_label_set_lacks_is_told(data, capsys):
    (data / "given.json").write_text(json.dumps({"case0": ["livver"]}))
    assert main(["check", str(data), "--label-set", "flare21"]) == 1
    told = capsys.readouterr()
    assert "given.json: case case0 names livver, which is not in the label set" in told.out + told.err


def test_a_prepared_store_keeps_it(data, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(DOCUMENT))
    assert main(["prepare", str(data), "--recipe", str(recipe), "--output", str(tmp_path / "store")]) == 0
    assert [case.given for case in labelled_cases(tmp_path / "store")] == [None, ("spleen",), ()]


def test_validation_leaves_out_cases_that_nobody_labelled(data, tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(DOCUMENT))
    words = ["train", str(recipe), "--data", str(data), "--output", str(tmp_path / "run"), "--steps", "4"]
    assert main([*words, "--validation", str(data), "--device", "cpu", "--precision", "fp32"]) == 0
    record = json.loads((tmp_path / "run" / RECORD).read_text(encoding="utf-8"))
    assert record["cases"] == ["case0", "case1", "case2"]
    assert record["held_out"] == ["case0", "case1"]


def trained(data, tmp_path, *more):
    """Names of the cases that a run trained and validated on."""
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(DOCUMENT))
    words = ["train", str(recipe), "--data", str(data), "--output", str(tmp_path / "run"), "--steps", "1"]
    assert main([*words, "--device", "cpu", "--precision", "fp32", *more]) == 0
    record = json.loads((tmp_path / "run" / RECORD).read_text(encoding="utf-8"))
    return record["cases"], record["held_out"]


def test_a_share_is_one_of_the_cases_that_people_annotated(data, tmp_path):
    (data / "given.json").write_text(json.dumps({"case0": [], "case2": []}))
    assert trained(data, tmp_path, "--validation", "0.1") == (["case0", "case2"], ["case1"])


def test_it_is_told_where_cases_that_nobody_labelled_are_held_out_by_name(data, tmp_path, caplog):
    (tmp_path / "names.txt").write_text("case1\ncase2\n")
    assert trained(data, tmp_path, "--hold-out", str(tmp_path / "names.txt")) == (["case0"], ["case1"])
    assert "1 held-out case(s) hold nothing but pseudo-labels, case2 first" in caplog.text


def test_what_is_written_is_what_is_read(tmp_path):
    structures = {"a": ("liver",), "b": (), "c": ("liver",)}
    (tmp_path / "annotated.json").write_text(annotated_text(structures))
    assert read_annotated(tmp_path, ["a", "b", "c"]) == (structures, [])
    groups = json.loads(annotated_text(structures))["groups"]
    assert groups == [{"structures": ["liver"], "cases": ["a", "c"]}, {"structures": [], "cases": ["b"]}]
