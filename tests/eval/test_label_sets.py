from pathlib import Path

import numpy as np
import pytest

from eval.eval_errors import JudgingError
from eval.label_sets import check_labels, find_labels, foreign_label
from model.labels import FLARE22, LabelSet
from tests.eval.command_line import assert_refused
from tests.eval.made import write

OWN = LabelSet(name="own", ids={"a": 1, "b": 2, "c": 4, "d": 9})


def test_labels_outside_the_set_are_named():
    assert foreign_label([0, 1, 13], FLARE22) == ""
    assert foreign_label([14, 0, 20], FLARE22) == "holds label 14, flare22 has 0 to 13"
    assert foreign_label([3], OWN) == "holds label 3, own has 0 to 2, 4, 9"


def test_a_map_with_a_foreign_label_is_refused():
    check_labels(Path("a.nii.gz"), [0, 9], OWN, "convert it")
    with pytest.raises(JudgingError, match=r"^a\.nii\.gz: holds label 5, own has 0 to 2, 4, 9; convert it$"):
        check_labels(Path("a.nii.gz"), [5], OWN, "convert it")


def test_label_sets_are_found_by_name_and_by_file(tmp_path):
    assert find_labels("flare22") is FLARE22
    (tmp_path / "labels.json").write_text('{"name": "two", "labels": {"a": 1, "b": 2}}')
    assert find_labels(str(tmp_path)).names == ("a", "b")
    with pytest.raises(JudgingError, match="no label set of this name"):
        find_labels("flare99")


@pytest.mark.parametrize("labels", ['{"background": 0}', "{}"])
def test_a_set_of_background_alone_is_refused_in_one_line(tmp_path, capsys, labels):
    (tmp_path / "labels.json").write_text(f'{{"labels": {labels}}}')
    for folder in ("pred", "truth"):
        write(tmp_path / folder / "a.nii.gz", np.zeros((2, 3, 4), np.uint8))
    words = ("score", "--pred", tmp_path / "pred", "--truth", tmp_path / "truth", "--labels", tmp_path)
    said = "labels.json: states no structure beside the background; name at least one to judge"
    assert_refused(capsys, (*words, "--output", tmp_path / "s.csv"), said)
