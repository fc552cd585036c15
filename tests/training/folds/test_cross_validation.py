"""What lies on disk decides what is left to do, and what a later call may ask for."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.training.checkpoints import write_checkpoint
from tests.training.data.detached import write_detached
from tests.training.tiny import tiny_recipe
from training.data.found_cases import CaseFiles
from training.folds.cross_validation import STATE, CrossValidation, refuse_failed
from training.folds.fold_splits import Split
from training.training_errors import CheckpointError, DataError, TrainingError


def whole_of(folder, held_out=(("a", "b"), ("c",)), seed=0, localization=None, contents="as drawn", **fields):
    data = folder.with_name(f"{folder.name}-data")
    data.mkdir(exist_ok=True)
    for name in "abc":
        (data / name).write_text(contents)
    return CrossValidation(
        folder=folder,
        recipe=tiny_recipe(**fields),
        seed=seed,
        split=Split(held_out=held_out, origin="by hand"),
        cases={name: CaseFiles(name=name, images=(), labels=data / name) for name in "abc"},
        localization=localization,
    )


def test_beginning_twice_is_going_on(tmp_path):
    whole = whole_of(tmp_path)
    whole.begin()
    assert whole.hold_out_file(0).read_text(encoding="utf-8") == "a\nb\n"
    assert whole.hold_out_file(1).read_text(encoding="utf-8") == "c\n"
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    whole.begin()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 1}, "another seed (0, now 1)"),
        ({"held_out": (("a",), ("b", "c"))}, "other folds ([0] now 1 fewer: b)"),
        ({"held_out": (("a",), ("b",))}, "other cases held out (now 1 fewer: c)"),
        ({"patch_zyx": [8, 8, 8]}, "another recipe (patch_zyx[0] 16, now 8)"),
        (
            {"seed": 1, "patch_zyx": [8, 8, 8]},
            "another recipe (patch_zyx[0] 16, now 8) and another seed (0, ",
        ),
        ({"localization": Path(__file__)}, "another localization network; go on with the same"),
        ({"contents": "as drawn anew"}, "another data set; go on with the same"),
    ],
)
def test_another_question_is_refused(tmp_path, changed, named):
    whole_of(tmp_path).begin()
    with pytest.raises(CheckpointError, match=re.escape(f"was begun with {named}")):
        whole_of(tmp_path, **changed).begin()


def test_a_label_set_may_be_called_something_else_later(tmp_path):
    """As where it has the name of the data's folder, and that is renamed."""
    whole_of(tmp_path, label_set={"name": "own", "ids": {"liver": 1}}).begin()
    whole_of(tmp_path, label_set={"name": "my_cts", "ids": {"liver": 1}}).begin()


def test_a_damaged_state_is_named(tmp_path):
    whole_of(tmp_path).begin()
    (tmp_path / STATE).write_text("{")
    with pytest.raises(CheckpointError, match=r"cross-validation\.json: is damaged"):
        whole_of(tmp_path).begin()


@pytest.mark.parametrize(("steps", "done"), [(8, True), (9, False)])
def test_a_fold_is_trained_when_its_last_checkpoint_is_of_the_last_step(tmp_path, steps, done):
    """`write_checkpoint` writes one of step 8."""
    whole = whole_of(tmp_path)
    whole.begin()
    assert not whole.trained(0)
    stopping = {"kind": "fixed_steps", "steps": steps}
    write_checkpoint(tmp_path / "fold-0" / "last.safetensors", stopping=stopping)
    assert whole.trained(0) == done


def test_results_of_an_earlier_checkpoint_are_forgotten_and_the_run_is_kept(tmp_path):
    whole = whole_of(tmp_path)
    whole.begin()
    folder = whole.fold_folder(1)
    for name in ("labels", "bundle"):
        (folder / name).mkdir()
        (folder / name / "file").touch()
    (folder / "scores.csv").touch()
    (folder / "last.safetensors").touch()
    assert whole.scored(1)
    whole.forget_results(1)
    assert sorted(path.name for path in folder.iterdir()) == ["held-out.txt", "last.safetensors"]


def test_cases_of_which_people_annotated_nothing_are_not_segmented(tmp_path):
    """Pseudo-labels alone, no annotation, and an organ that is given beside pseudo-labels."""
    cases = [
        CaseFiles(name="a", images=(), labels=Path("a"), annotated=("liver",), given=()),
        CaseFiles(name="b", images=(), labels=Path("b"), annotated=()),
        CaseFiles(name="c", images=(), labels=Path("c"), annotated=("liver", "spleen"), given=("liver",)),
    ]
    whole = replace(whole_of(tmp_path), cases={case.name: case for case in cases})
    assert whole.held_out_cases(0) == []
    assert whole.held_out_cases(1) == [cases[2]]


def with_images(whole, folder, **contents):
    """The cases with an image each, of these contents."""
    for name, content in contents.items():
        (folder / f"{name}.mha").write_bytes(content)
    cases = {name: replace(whole.cases[name], images=(folder / f"{name}.mha",)) for name in contents}
    return replace(whole, cases={**whole.cases, **cases})


@pytest.mark.parametrize(
    ("held_out", "copy_of_c", "told"),
    [
        ((("a", "b"), ("c",)), "a", "a.mha: is validated on in fold 0, and trained on as {}/c.mha"),
        ((("a",), ("b",)), "b", "b.mha: is validated on in fold 1, and trained on as {}/c.mha"),
        ((("a",), ("b", "c")), "b", None),
    ],
    ids=["in two folds", "in one and in none", "in one fold"],
)
def test_no_fold_trains_on_what_it_is_judged_by(tmp_path, held_out, copy_of_c, told):
    """Case c has the image of another; a case that no fold holds out is trained on in all."""
    contents = {"a": b"one", "b": b"two"}
    whole = with_images(whole_of(tmp_path, held_out), tmp_path, **contents, c=contents[copy_of_c])
    if told is None:
        whole.check([0])
        return
    with pytest.raises(DataError) as error:
        whole.check([0])
    assert str(error.value) == f"{tmp_path}/{told.format(tmp_path)}; leave one of them out"


def test_images_of_which_people_annotated_nothing_are_validated_on_by_no_fold(tmp_path):
    """Case c has the image of a; fold 0 is judged by a, fold 1 by neither."""
    whole = with_images(whole_of(tmp_path, (("a",), ("c",))), tmp_path, a=b"one", b=b"two", c=b"one")
    given = {name: replace(whole.cases[name], given=()) for name in "ac"}
    replace(whole, cases={**whole.cases, **given}).check([0, 1])
    with pytest.raises(DataError, match=r"a\.mha: is validated on in fold 0"):
        replace(whole, cases={**whole.cases, "c": given["c"]}).check([0, 1])


def test_folds_that_are_not_asked_for_or_are_scored_need_no_images(tmp_path):
    """Fold 0 holds cases a and b out, fold 1 case c, whose voxels in another file cannot be linked."""
    whole = with_images(whole_of(tmp_path), tmp_path, a=b"one", b=b"two")
    images = (write_detached(tmp_path / "c.mhd", b"12"),)
    whole = replace(whole, cases={**whole.cases, "c": replace(whole.cases["c"], images=images)})
    whole.check([0])
    with pytest.raises(DataError, match=r"c\.mhd: keeps its voxels in another file"):
        whole.check([0, 1])
    whole.fold_folder(1).mkdir()
    (whole.fold_folder(1) / "scores.csv").touch()
    whole.check([0, 1])


def test_a_fold_whose_run_has_lost_its_last_checkpoint_is_not_trained_again(tmp_path):
    """Its scores would be removed with it. `write_checkpoint` writes one of step 8."""
    whole = with_images(whole_of(tmp_path), tmp_path, a=b"1", b=b"23", c=b"456")
    whole.fold_folder(1).mkdir()
    (whole.fold_folder(1) / "scores.csv").touch()
    write_checkpoint(whole.fold_folder(1) / "best.safetensors")
    whole.check([0])
    with pytest.raises(CheckpointError, match=r"fold-1: holds best\.safetensors of a run whose last"):
        whole.check([0, 1])


def test_programs_that_failed_are_named():
    refuse_failed({"fold 0": 0}, "training", "the log")
    with pytest.raises(TrainingError) as error:
        refuse_failed({"fold 1": 1, "fold 0": 0, "fold 2": -9}, "training", "the log")
    said = "training failed: fold 1 (exit code 1), fold 2 (exit code -9); see the log, "
    assert str(error.value) == said + "then call this again: it goes on"
