import json
import pickle

import pytest

from eval.eval_errors import JudgingError
from eval.scoring.challenges import CHALLENGES
from eval.scoring.own_labels import find_challenge


def labels_file(folder, **more):
    path = folder / "labels.json"
    path.write_text(
        json.dumps({"name": "own", "labels": {"liver": 1, "cyst": 4}, "lesions": ["cyst"], **more})
    )
    return path


def test_challenges_are_found_by_name():
    assert find_challenge("flare23") is CHALLENGES["flare23"]


def test_a_set_of_ones_own_is_scored_plainly(tmp_path):
    own = find_challenge(str(labels_file(tmp_path)))
    assert dict(own.tolerances_mm) == {"liver": 2.0, "cyst": 2.0}
    assert dict(own.short_names) == {"liver": "liver", "cyst": "cyst"}
    assert (own.sliced, own.least_dice, own.labels.lesions) == (frozenset(), 0.0, ("cyst",))
    assert pickle.loads(pickle.dumps(own)) == own


def test_the_file_may_state_tolerances(tmp_path):
    labels_file(tmp_path, tolerances_mm={"liver": 5})
    assert find_challenge(str(tmp_path)).tolerances_mm == {"liver": 5.0, "cyst": 2.0}


def test_nnunets_file_is_read(tmp_path):
    (tmp_path / "dataset.json").write_text(
        json.dumps({"labels": {"background": 0, "spleen": 1}, "numTraining": 1})
    )
    assert find_challenge(str(tmp_path)).labels.names == ("spleen",)


@pytest.mark.parametrize(
    ("tolerances", "words"),
    [
        ([1, 2], "tolerances_mm: must map structures to mm"),
        ({"spleen": 2}, "tolerances_mm.spleen: is no structure"),
        ({"liver": -1}, "tolerances_mm.liver: must be a number of 0 mm or more, is -1"),
        ({"liver": "2"}, "is '2'"),
        ({"liver": True}, "is True"),
        ({"liver": float("nan")}, "is nan"),
    ],
)
def test_faulty_tolerances_are_refused(tmp_path, tolerances, words):
    path = labels_file(tmp_path, tolerances_mm=tolerances)
    with pytest.raises(JudgingError, match=words) as error:
        find_challenge(str(path))
    assert str(error.value).startswith(f"{path}: ")
