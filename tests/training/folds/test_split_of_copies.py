"""Copies of one case belong to one fold."""

import json

import numpy as np
import pytest

from tests.training.tiny import write_case
from training.data_place import SPLITS
from training.folds.split_of_copies import write_split_of_copies

CASES = "abcdefg"
COPIES = {name: (f"{name}1", f"{name}2") for name in CASES[:6]}
"""The last case has none."""


@pytest.fixture
def data(tmp_path):
    for name in CASES:
        write_case(tmp_path / "data", name, np.zeros((2, 2, 2), np.int16), np.zeros((2, 2, 2), np.uint8))
    return tmp_path / "data"


def split_of(output):
    return json.loads((output / SPLITS).read_text())


def test_copies_of_a_case_are_held_out_together(data, tmp_path):
    write_split_of_copies(data, tmp_path, COPIES, seed=0)
    folds = split_of(tmp_path)
    everything = sorted(name for copies in COPIES.values() for name in copies)
    assert sorted(name for fold in folds for name in fold["val"]) == everything
    for fold in folds:
        assert sorted(fold["train"] + fold["val"]) == everything
        assert len({name[0] for name in fold["val"]} & {name[0] for name in fold["train"]}) == 0


def test_folds_that_the_data_state_stay(data, tmp_path):
    stated = [{"train": list("cdefg"), "val": list("ab")}, {"train": list("abg"), "val": list("cdef")}]
    (data / SPLITS).write_text(json.dumps(stated))
    write_split_of_copies(data, tmp_path, COPIES, seed=0)
    assert [{name[0] for name in fold["val"]} for fold in split_of(tmp_path)] == [set("ab"), set("cdef")]


@pytest.mark.parametrize("copies", [{}, {"a": ("a1",)}])
def test_one_fold_is_no_split(data, tmp_path, copies):
    write_split_of_copies(data, tmp_path, copies, seed=0)
    assert not (tmp_path / SPLITS).exists()


def test_few_cases_are_not_dealt_out(tmp_path):
    for name in "abcd":
        write_case(tmp_path / "data", name, np.zeros((2, 2, 2), np.int16), np.zeros((2, 2, 2), np.uint8))
    write_split_of_copies(tmp_path / "data", tmp_path, COPIES, seed=0)
    assert not (tmp_path / SPLITS).exists()
