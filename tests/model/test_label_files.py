"""Where a label file is looked for; what is in one is tested through those who read it."""

import pytest

from model.label_files import find_label_file, find_label_set
from model.labels import FLARE22
from model.model_errors import LabelSetError


def test_a_folder_stands_for_its_label_file(tmp_path):
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "spleen": 1}}')
    assert find_label_file(tmp_path) == tmp_path / "dataset.json"
    assert find_label_set(tmp_path).names == ("spleen",)
    (tmp_path / "labels.json").write_text('{"labels": {"liver": 1}}')
    assert find_label_file(tmp_path) == tmp_path / "labels.json"
    assert find_label_file(tmp_path / "dataset.json") == tmp_path / "dataset.json"


def test_what_holds_no_label_set_is_refused(tmp_path):
    assert find_label_set("flare22") is FLARE22
    with pytest.raises(LabelSetError, match=r"holds no labels\.json or dataset\.json"):
        find_label_set(tmp_path)
    with pytest.raises(LabelSetError, match="no label set of this name and no file"):
        find_label_set("flare99")
