"""Splits that a reader can check: drawn, as nnU-Net states them, as a MONAI datalist states them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.tiny import write_dataset
from training.data.folders import labelled_cases
from training.data.found_cases import CaseFiles
from training.folds.fold_splits import BY_SEED, Split, drawn_folds, find_split, named_apart, split_cases
from training.training_errors import DataError, NoDataError


def cases_named(names, **fields):
    return [CaseFiles(name=name, images=(), labels=Path(name), **fields) for name in names]


ABC = cases_named("abcdef")


def test_seven_cases_are_dealt_out_to_three_folds():
    names = list("abcdefg")
    folds = drawn_folds(names, 3, seed=0)
    assert [len(fold) for fold in folds] == [3, 2, 2]
    assert sorted(name for fold in folds for name in fold) == names
    assert all(list(fold) == sorted(fold) for fold in folds)


def test_a_draw_depends_on_the_seed_alone():
    names = [f"case_{number}" for number in range(20)]
    assert drawn_folds(names, 4, seed=3) == drawn_folds(names[::-1], 4, seed=3)
    assert drawn_folds(names, 4, seed=3) != drawn_folds(names, 4, seed=4)
    # Written down once: the split of a published cross-validation must not change.
    assert drawn_folds("abcdef", 2, seed=0) == DRAWN


DRAWN = (("b", "c", "d"), ("a", "e", "f"))


@pytest.mark.parametrize(
    ("folds", "message"), [(1, "--folds: must be 2 or more, is 1"), (7, r"6 case\(s\): too few for 7 folds")]
)
def test_what_cannot_be_drawn(tmp_path, folds, message):
    with pytest.raises(DataError, match=message):
        find_split([tmp_path], ABC, folds, seed=0)


def test_cases_with_nothing_but_pseudo_labels_are_trained_on_in_every_fold(tmp_path):
    cases = [replace(case, given=() if case.name in "bd" else None) for case in cases_named("abcd")]
    assert sorted(find_split([tmp_path], cases, 2, seed=0).held_out) == [("a",), ("c",)]


def test_without_a_stated_split_five_folds_are_drawn(tmp_path):
    split = find_split([tmp_path], ABC, None, seed=7)
    assert len(split.held_out) == 5
    assert split.origin == "drawn with seed 7"


def nnunet(folder, *held_out, name="splits_final.json", **more):
    path = folder / name
    path.write_text(json.dumps([{"val": list(fold), **more} for fold in held_out]))
    return path


def test_the_split_beside_the_data_counts_and_is_named(tmp_path):
    path = nnunet(tmp_path, "fa", "bc", "de")
    expected = Split(held_out=(("a", "f"), ("b", "c"), ("d", "e")), origin=str(path))
    assert find_split([tmp_path], ABC, None, seed=0) == expected
    assert find_split([tmp_path], ABC, 3, seed=0) == expected
    assert find_split([tmp_path], ABC, 2, seed=0, splits=BY_SEED).origin == "drawn with seed 0"


def test_a_file_of_a_split_can_be_given(tmp_path):
    path = nnunet(tmp_path, "abc", "def", name="mine.json")
    assert find_split([tmp_path], ABC, None, seed=0, splits=str(path)).held_out == (
        ("a", "b", "c"),
        ("d", "e", "f"),
    )


def test_a_case_that_no_fold_holds_out_is_trained_on_in_all(tmp_path):
    nnunet(tmp_path, "ab", "cd")
    assert find_split([tmp_path], ABC, None, seed=0).held_out == (("a", "b"), ("c", "d"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([{"val": list("abc")}, {"val": list("dex")}], "names case x, which is not in the data set"),
        ([{"val": list("abc")}, {"val": list("cdef")}], "holds out case c twice"),
        ([{"val": list("abcdef")}], "states fewer than two folds"),
        ([{"val": list("abcdef")}, {"val": []}], "fold 1 holds out no case"),
        ([{"val": list("abc")}, ["d"]], r"fold 1 must read \{"),
        ([{"val": [1]}], r"fold 0 must read \{"),
        (
            [{"train": list("def"), "val": list("abc")}, {"train": list("ab"), "val": list("def")}],
            "fold 1 has case c in neither train nor val",
        ),
        ({"a": 1}, r"fold 0 must read \{"),
    ],
)
def test_a_split_that_is_none_of_these_cases_is_refused_with_its_file(tmp_path, document, message):
    path = tmp_path / "splits_final.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=message) as error:
        find_split([tmp_path], ABC, None, seed=0)
    assert str(error.value).startswith(str(path))


def test_another_number_of_folds_than_the_data_state_is_refused(tmp_path):
    nnunet(tmp_path, "abc", "def")
    with pytest.raises(DataError, match="states 2 folds, --folds asks for 5; leave out --folds"):
        find_split([tmp_path], ABC, 5, seed=0)


def test_a_file_that_is_no_json_or_not_there(tmp_path):
    (tmp_path / "splits_final.json").write_text("[")
    with pytest.raises(DataError, match=r"splits_final\.json: cannot be read as JSON"):
        find_split([tmp_path], ABC, None, seed=0)
    with pytest.raises(NoDataError, match="nowhere: no such file; give one that states a split"):
        find_split([tmp_path], ABC, None, seed=0, splits="nowhere")


def test_a_file_of_names_that_is_not_there(tmp_path):
    with pytest.raises(NoDataError, match="nowhere: no such file; give one with a name a line"):
        named_apart(ABC, tmp_path / "nowhere")


def datalist(folder, folds):
    """A data set of cubes whose datalist has these folds; None: no field."""
    write_dataset(folder, cases=len(folds), side=20)
    entries = [
        {"image": f"imagesTr/case{i}_0000.nii.gz", "label": f"labelsTr/case{i}.nii.gz"}
        | ({} if fold is None else {"fold": fold})
        for i, fold in enumerate(folds)
    ]
    (folder / "dataset.json").write_text(json.dumps({"training": entries}))
    return folder


def test_the_folds_of_a_datalist_count(tmp_path):
    folder = datalist(tmp_path, [1, 0, 1])
    split = find_split([folder], labelled_cases(folder), None, seed=0)
    assert split.held_out == (("case1",), ("case0", "case2"))
    assert split.origin == f"{folder} (fold of each case)"


def test_a_split_beside_a_datalist_of_any_name_counts(tmp_path):
    folder = datalist(tmp_path, [None] * 3)
    path = (folder / "dataset.json").rename(folder / "mine.json")
    beside = nnunet(folder, ["case0", "case2"], ["case1"])
    split = find_split([path], labelled_cases(path), None, seed=0)
    assert split == Split(held_out=(("case0", "case2"), ("case1",)), origin=str(beside))


def test_the_folds_of_the_datalist_that_is_given_go_before_a_split_beside_it(tmp_path):
    folder = datalist(tmp_path, [1, 0, 1])
    nnunet(folder, ["other"], ["another"])
    path = folder / "dataset.json"
    assert find_split([path], labelled_cases(path), None, seed=0).origin == f"{path} (fold of each case)"


def test_a_datalist_can_be_given_for_cases_that_lie_elsewhere(tmp_path):
    path = datalist(tmp_path, [1, 0, 1]) / "dataset.json"
    cases = cases_named(["case0", "case1", "case2"])
    split = find_split([tmp_path / "prepared"], cases, None, seed=0, splits=str(path))
    assert split.held_out == (("case1",), ("case0", "case2"))


def test_a_datalist_without_any_fold_states_no_split(tmp_path):
    folder = datalist(tmp_path, [None, None])
    assert find_split([folder], labelled_cases(folder), 2, seed=0).origin == "drawn with seed 0"
    with pytest.raises(DataError, match="states no split"):
        find_split([folder], labelled_cases(folder), 2, seed=0, splits=str(folder / "dataset.json"))


def test_a_fold_that_is_missing_in_one_entry_is_a_mistake(tmp_path):
    folder = datalist(tmp_path, [0, None, 1])
    with pytest.raises(DataError, match='case case1 has no "fold", others have'):
        find_split([folder], labelled_cases(folder), None, seed=0)


def test_two_data_sets_with_a_case_of_the_same_name_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match="case a is in two data sets"):
        find_split([tmp_path], [*ABC, *ABC[:1]], None, seed=0)


def names_file(folder, *names):
    path = folder / "names.txt"
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def test_a_file_of_names_holds_cases_out(tmp_path):
    kept, held_out = named_apart(ABC, names_file(tmp_path, "d", "a"))
    assert [case.name for case in kept] == ["b", "c", "e", "f"]
    assert [case.name for case in held_out] == ["a", "d"]


def test_blank_lines_name_no_case(tmp_path):
    kept, _ = named_apart(ABC, names_file(tmp_path, "", "d", "", " ", "a", ""))
    assert [case.name for case in kept] == ["b", "c", "e", "f"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("x", "names case x, which is not"),
        ("", "names no case"),
        ([" "], "names no case"),
        ("abcdef", "none is left to train on"),
    ],
)
def test_names_that_do_not_fit(tmp_path, names, message):
    with pytest.raises(DataError, match=message):
        named_apart(ABC, names_file(tmp_path, *names))


def test_a_split_is_disjoint_complete_and_the_same_each_time(tmp_path):
    cases = labelled_cases(write_dataset(tmp_path, cases=5, side=18))
    train, held_out = split_cases(cases, 0.4, seed=1)
    assert len(held_out) == 2
    assert sorted(case.name for case in (*train, *held_out)) == [case.name for case in cases]
    assert split_cases(cases, 0.4, seed=1) == (train, held_out)
    assert split_cases(cases, 0, seed=1) == (cases, ())
    with pytest.raises(DataError, match="too few"):
        split_cases(cases[:1], 0.5, seed=1)


def test_cases_with_nothing_but_pseudo_labels_are_all_trained_on(tmp_path):
    """Half of the four that people annotated are held out, and none of the other six."""
    names = "abcdefghij"
    cases = tuple(
        CaseFiles(name=name, images=(), labels=tmp_path / name, given=() if name in "bdfhij" else None)
        for name in names
    )
    for seed in range(5):
        train, held_out = split_cases(cases, 0.5, seed)
        assert len(held_out) == 2
        assert {case.name for case in held_out} < set("aceg")
        assert sorted(case.name for case in (*train, *held_out)) == list(names)
    pseudo = tuple(case for case in cases if not case.is_judged)
    assert split_cases(pseudo, 0.5, seed=0) == (pseudo, ())


def test_at_least_one_case_is_held_out(tmp_path):
    cases = labelled_cases(write_dataset(tmp_path, cases=3, side=18))
    assert len(split_cases(cases, 0.01, seed=0)[1]) == 1
