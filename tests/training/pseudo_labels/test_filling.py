"""Seven voxels in a row, filled in by hand."""

import numpy as np
import pytest

from model.labels import AMOS22, FLARE23, LabelSet
from training.pseudo_labels.filling import fill, missing_organs

LIVER, SPLEEN, PANCREAS, TUMOR = (FLARE23.ids[name] for name in ("liver", "spleen", "pancreas", "tumor"))


def filled(given, found, annotated):
    ids = np.array([[given]], np.uint8)
    missing = missing_organs(FLARE23, annotated)
    counts = fill(ids, np.array([[found]], np.uint8), {name: FLARE23.ids[name] for name in missing})
    return ids.ravel().tolist(), {name: count for name, count in counts.items() if count}


def test_the_table_of_the_module_by_hand():
    given = [LIVER, 0, 0, 0, TUMOR]
    found = [SPLEEN, LIVER, SPLEEN, TUMOR, SPLEEN]
    assert filled(given, found, ["liver", "tumor"]) == ([LIVER, 0, SPLEEN, 0, TUMOR], {"spleen": 1})


def test_a_case_of_tumor_alone_gets_every_organ_and_keeps_its_tumor():
    given, found = [0, TUMOR, 0, 0], [LIVER, LIVER, PANCREAS, TUMOR]
    assert filled(given, found, ["tumor"]) == ([LIVER, TUMOR, PANCREAS, 0], {"liver": 1, "pancreas": 1})


def test_a_complete_case_stays_as_it_is():
    assert filled([0, 1], [3, 3], FLARE23.names) == ([0, 1], {})


def test_a_view_is_filled_in_place():
    ids = np.zeros((1, 2, 3), np.uint8)
    found = np.array([[[3, 0, 0], [0, 0, 0]]], np.uint8)
    assert fill(ids[:, ::-1, ::-1], found, {"spleen": 3}) == {"spleen": 1}
    assert ids.tolist() == [[[0, 0, 0], [0, 0, 3]]]


def test_lesions_are_told_by_the_label_set_and_not_by_a_name():
    labels = LabelSet(name="own", ids={"tumor": 1, "cyst": 2, "liver": 3}, lesions=("cyst",))
    assert missing_organs(labels, []) == ("tumor", "liver")


@pytest.mark.parametrize(("labels", "count"), [(FLARE23, 13), (AMOS22, 15)])
def test_who_annotates_nothing_lacks_every_organ(labels, count):
    assert len(missing_organs(labels, ())) == count
    assert missing_organs(labels, None) == ()
