"""`run` with a program that stands for the steps: what is skipped, what goes on, what is refused."""

import argparse
import fcntl
import importlib
import shlex
import subprocess
import sys

import pytest

from tests.places import ROOT
from tests.training.plans.made_plans import ORDER, STEPS, write_names, write_plan
from tests.training.tiny import DOCUMENT
from training.__main__ import COMMANDS, main
from training.plans import carrying_out
from training.plans.plan_loading import find_plan, load_plan

FAKE = (str(ROOT / "tests/training/plans/fake_training.py"),)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A folder with a plan and its inputs; a program that stands for the steps."""
    monkeypatch.setattr(carrying_out, "PROGRAM", FAKE)
    write_plan(tmp_path)
    write_names(tmp_path / "labelled", ["a", "b"])
    write_names(tmp_path / "partial", ["c", "d"], {"c": ["liver"]})
    return tmp_path


def words(bench, *more, output="out"):
    inputs = [word for name in ("labelled", "partial") for word in ("--input", f"{name}={bench / name}")]
    return ["run", str(bench / "plan.yaml"), *inputs, "--output", str(bench / output), *more]


def calls(bench, output="out"):
    path = bench / output / "calls.txt"
    made = path.read_text(encoding="utf-8").split() if path.is_file() else []
    path.unlink(missing_ok=True)
    return tuple(made)


def results(bench, output="out"):
    return {
        path.parent.name: path.read_text(encoding="utf-8") for path in (bench / output).glob("*/result.txt")
    }


def states(bench, capsys, *more):
    capsys.readouterr()
    assert main(words(bench, "--dry-run", *more)) == 0
    lines = capsys.readouterr().out.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("step "))
    rows = [line.split(None, 2) for line in lines[start + 1 : start + 1 + len(ORDER)]]
    return {name: state for name, _, state in rows}


def test_steps_are_done_in_order_and_once(bench, capsys):
    assert states(bench, capsys) == dict.fromkeys(ORDER, "to do")
    assert not (bench / "out").exists()
    assert main(words(bench)) == 0
    assert calls(bench) == ORDER
    assert (
        results(bench)["bundle"]
        == "bundle: export [second: train [filled: pseudo-label [teacher: export [first: train ]]]]"
    )
    assert states(bench, capsys) == dict.fromkeys(ORDER, "done")
    assert main(words(bench)) == 0
    assert calls(bench) == ()


def test_the_dry_run_shows_inputs_and_commands(bench, capsys):
    assert main(words(bench, "--dry-run", "--device", "cpu", "--threads", "1")) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"input labelled: {bench / 'labelled'}, 2 cases, 0 of them partially labelled"
    assert told[1] == f"input partial: {bench / 'partial'}, 2 cases, 1 of them partially labelled"
    at = bench / "out"
    assert told[told.index("teacher:") + 1] == (
        f"  python {FAKE[0]} export {at}/first/last.safetensors --output {at}/teacher --overwrite "
        "--licence 'not stated' --no-fp16"
    )
    assert told[told.index("first:") + 1] == (
        f"  python {FAKE[0]} train {bench}/tiny.yaml --data {bench}/labelled --output {at}/first "
        "--resume auto --validation 0.0 --seed 0 --device cpu --threads 1"
    )


@pytest.mark.parametrize("name", ORDER)
def test_a_step_that_fails_is_named_and_the_plan_goes_on_there(bench, monkeypatch, capsys, name):
    monkeypatch.setenv("FAKE_FAILS", f"{name}:fails")
    assert main(words(bench)) == 1
    assert f"error: step {name}: ended with exit code 3, for the reason told above" in capsys.readouterr().err
    before = calls(bench)
    assert before == ORDER[: ORDER.index(name)]
    assert states(bench, capsys)[name] == "begun"
    monkeypatch.delenv("FAKE_FAILS")
    assert main(words(bench)) == 0
    assert (*before, *calls(bench)) == ORDER


@pytest.mark.parametrize("name", ["first", "filled", "bundle"])
def test_sigkill_within_a_step(bench, name):
    """Both the step and the program that carries out the plan are killed."""
    assert main(words(bench, output="whole")) == 0
    code = (
        f"from training.plans import carrying_out; carrying_out.PROGRAM = {FAKE!r}\n"
        "import sys; from training.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    call = [sys.executable, "-c", code, *words(bench, output="cut")]
    environment = {"FAKE_FAILS": f"{name}:killed", "PYTHONPATH": str(ROOT)}
    assert subprocess.run(call, env=environment, capture_output=True, check=False).returncode == -9
    assert calls(bench, "cut") == ORDER[: ORDER.index(name)]
    assert main(words(bench, output="cut")) == 0
    assert calls(bench, "cut") == ORDER[ORDER.index(name) :]
    assert results(bench, "cut") == results(bench, "whole")


KILLED = """
import os, signal, sys
from training.plans import carrying_out, ledger
from training.__main__ import main

carrying_out.PROGRAM, write, notes = eval(sys.argv[1]), ledger.write_json, []

def killed(path, value):
    notes.append(path)
    if len(notes) == int(sys.argv[2]) and sys.argv[3] == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, value)
    if len(notes) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

ledger.write_json = killed
main(sys.argv[4:])
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("note", [1, 2, 10])
def test_sigkill_between_steps(bench, note, when):
    """Each step is noted when it begins and when it is done; the n-th note is the last thing that happens."""
    call = [sys.executable, "-c", KILLED, repr(FAKE), str(note), when, *words(bench)]
    environment = {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(call, env=environment, capture_output=True, check=False).returncode == -9
    done = calls(bench)
    assert done == ORDER[: note // 2]
    assert main(words(bench)) == 0
    # A step that ended just before it was noted is done again: it finds its results complete.
    again = note // 2 - (note % 2 == 0 and when == "before")
    assert calls(bench) == ORDER[again:]
    assert main(words(bench, output="whole")) == 0
    assert results(bench) == results(bench, "whole")


def change_recipe(bench):
    write_plan(bench, recipe={**DOCUMENT, "description": "Other."})


def change_seed(bench):
    write_plan(bench, steps={**STEPS, "second": {**STEPS["second"], "seed": 1}})


def change_labels(bench):
    (bench / "partial/labelsTr/d.nii.gz").write_text("other")


@pytest.mark.parametrize(
    ("change", "why", "stale"),
    [
        (change_recipe, "recipe tiny.yaml changed", ORDER),
        (change_seed, "settings changed", ("second", "bundle")),
        (change_labels, "input partial changed", ("filled", "second", "bundle")),
    ],
)
def test_what_depends_on_something_else_is_stale_until_it_is_redone(bench, capsys, change, why, stale):
    assert main(words(bench)) == 0
    calls(bench)
    (bench / "out/filled/old.txt").touch()
    change(bench)
    found = states(bench, capsys)
    assert tuple(name for name in ORDER if found[name] != "done") == stale
    assert found[stale[0]] == f"stale ({why})"
    assert main(words(bench)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: step {stale[0]}: is stale ({why}); undo that, or replace its results")
    assert calls(bench) == ()
    assert main(words(bench, "--redo")) == 0
    assert calls(bench) == stale
    assert (bench / "out/filled/old.txt").exists() == ("filled" not in stale)


def test_data_that_are_exchanged_behind_links_make_steps_stale(bench, capsys):
    """As where a data set is links to the folders of a larger disk."""
    (bench / "disk").mkdir()
    for name in ("imagesTr", "labelsTr"):
        (bench / "labelled" / name).rename(bench / "disk" / name)
        (bench / "labelled" / name).symlink_to(bench / "disk" / name)
    assert main(words(bench)) == 0
    assert states(bench, capsys) == dict.fromkeys(ORDER, "done")
    (bench / "disk/labelsTr/a.nii.gz").write_text("other")
    assert states(bench, capsys)["first"] == "stale (input labelled changed)"


def test_an_input_without_any_file_is_refused(bench, capsys):
    steps = {**STEPS, "first": {**STEPS["first"], "anatomy": "${maps}"}}
    names = {"labelled": "complete cases", "partial": "the others", "maps": "label maps"}
    write_plan(bench, steps=steps, inputs=names)
    (bench / "maps").mkdir()
    assert main(words(bench, "--input", f"maps={bench / 'maps'}", "--dry-run")) == 1
    assert capsys.readouterr().err == f"error: {bench / 'maps'}: holds no file; give a folder that does\n"


def test_a_step_that_failed_before_it_wrote_anything_is_not_stale_once_it_is_mended(
    bench, monkeypatch, capsys
):
    monkeypatch.setenv("FAKE_FAILS", "first:fails")
    assert main(words(bench)) == 1
    monkeypatch.delenv("FAKE_FAILS")
    change_recipe(bench)
    assert states(bench, capsys)["first"] == "to do"
    assert main(words(bench)) == 0
    assert calls(bench) == ORDER


def test_results_that_are_gone_are_made_again(bench):
    assert main(words(bench)) == 0
    calls(bench)
    for path in sorted((bench / "out/second").iterdir()):
        path.unlink()
    (bench / "out/second").rmdir()
    assert main(words(bench)) == 0
    assert calls(bench) == ("second",)


def test_a_folder_of_another_making_is_not_taken_for_a_result(bench, capsys):
    (bench / "out/first").mkdir(parents=True)
    assert states(bench, capsys)["first"] == "stale (made by something else)"
    assert main(words(bench)) == 2


def test_scratch_of_a_killed_step_is_removed(bench):
    (bench / "out/.teacher.x1y2").mkdir(parents=True)
    (bench / "out/.filled.unfinished").mkdir()
    assert main(words(bench)) == 0
    left = sorted(path.name for path in (bench / "out").iterdir() if path.is_dir() and path.name[0] == ".")
    assert left == [".filled.unfinished"]  # Which the step itself, not a fake, would have gone on with.


def test_two_plans_do_not_work_in_one_folder(bench, capsys):
    (bench / "out").mkdir()
    with (bench / "out/.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(words(bench)) == 2
    assert "another run is at work here" in capsys.readouterr().err
    assert main(words(bench)) == 0


def test_a_damaged_note_is_named(bench, capsys):
    (bench / "out/steps").mkdir(parents=True)
    (bench / "out/steps/first.json").write_text("{")
    assert main(words(bench)) == 2
    assert "steps/first.json: is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--input", "labelled=nowhere"], "--input labelled=nowhere: no such folder"),
        (["--input", "who=x"], "--input who=x: plan small has no such input; it has labelled, partial"),
        (["--input", "labelled"], "--input labelled: must read NAME=FOLDER"),
        (["--set", "steps.first.recipe=nothing"], "recipe nothing: no such file"),
        (["--set", "steps.first.data=[nowhere]"], "steps.first.data[0]: nowhere: no such file or folder"),
        (["--set", "steps.first.kind=sing"], "steps.first.kind: must be one of train"),
        (["--threads", "0"], "--threads: must be 1 or more"),
        (["--gpus", "0,0"], "--gpus: must be different numbers"),
        (["--gpus-per-run", "2"], "--gpus-per-run: 0 GPUs, given with --gpus, cannot be shared out by 2"),
        (["--gpus", "0,1,2", "--gpus-per-run", "2"], "--gpus-per-run: 3 GPUs"),
    ],
)
def test_a_faulty_call_is_refused_in_one_line(bench, capsys, change, message):
    assert main(words(bench, *change)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not calls(bench)


def test_missing_inputs_are_all_named(bench, capsys):
    assert main(["run", str(bench / "plan.yaml"), "--output", str(bench / "out")]) == 2
    told = capsys.readouterr().err
    assert "add --input labelled=FOLDER (complete cases); --input partial=FOLDER (the others)" in told


def test_data_without_a_partially_labelled_case_are_refused_before_anything_trains(bench, capsys):
    (bench / "partial/annotated.json").unlink()
    assert main(words(bench, "--dry-run")) == 2
    assert "no case is partially labelled; say in" in capsys.readouterr().err


def test_incomplete_data_are_refused_before_anything_trains(bench, capsys):
    (bench / "labelled/labelsTr/a.nii.gz").unlink()
    assert main(words(bench, "--dry-run")) == 1
    assert "labelsTr/a.nii.gz: missing, though the case has an image" in capsys.readouterr().err


def test_gpus_are_used_together_in_training_and_handed_to_cross_validation(bench, capsys, monkeypatch):
    monkeypatch.setattr(carrying_out, "PROGRAM", ("-m", "training"))
    steps = {**STEPS, "folds": {"kind": "cross_validate", "recipe": "tiny.yaml", "data": ["${labelled}"]}}
    write_plan(bench, steps=steps)
    assert main(words(bench, "--dry-run", "--gpus", "0,2,3,5", "--gpus-per-run", "2")) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[told.index("folds:") + 1].endswith("--device auto --gpus 0,2,3,5 --gpus-per-fold 2")
    launched = "  python -m torch.distributed.run --standalone --nproc-per-node 2 -m training train"
    assert told[told.index("first:") + 1].startswith(launched)


def test_unlabelled_images_are_counted(tmp_path, capsys):
    steps = {"round": {"kind": "pseudo_label_unlabelled", "images": "${images}", "bundle": str(tmp_path)}}
    write_plan(tmp_path, steps=steps, inputs={"images": "any"})
    write_names(tmp_path / "images", ["a", "b", "c"], images_only=True)
    call = ["run", str(tmp_path / "plan.yaml"), "--input", f"images={tmp_path / 'images'}"]
    assert main([*call, "--output", str(tmp_path / "out"), "--dry-run"]) == 0
    assert capsys.readouterr().out.startswith(f"input images: {tmp_path / 'images'}, 3 images\n")


def published(tmp_path, capsys, plan, *more):
    capsys.readouterr()
    call = ["run", plan, "--input", f"labelled={tmp_path / 'labelled'}", "--output", str(tmp_path / "out")]
    assert main([*call, *more, "--dry-run"]) == 0
    return capsys.readouterr().out.splitlines()


def test_method_a_on_folders_of_flare23_shape(tmp_path, capsys):
    """Names and counts as published, empty files."""
    names = [f"FLARE23_{number:04d}" for number in range(1, 2201)]
    some = ["liver", "right kidney", "spleen", "pancreas", "left kidney", "tumor"]
    groups = [
        {"structures": some, "cases": names[250:1312]},
        {"structures": ["tumor"], "cases": names[1312:]},
    ]
    write_names(tmp_path / "labelled", names[:250])
    write_names(tmp_path / "partial", names[250:], {"groups": groups})
    told = published(tmp_path, capsys, "method-a", "--input", f"partial={tmp_path / 'partial'}")
    assert told[0].endswith("labelled, 250 cases, 0 of them partially labelled")
    assert told[1].endswith("partial, 1950 cases, 1950 of them partially labelled")
    assert [line.split()[0] for line in told[3:8]] == ["region", "teachers", "filled", "models", "bundle"]


def test_method_b_on_folders_of_flare22_shape(tmp_path, capsys):
    write_names(tmp_path / "labelled", [f"FLARE22_Tr_{number:04d}" for number in range(1, 51)])
    images = write_names(tmp_path / "images", [f"Case_{n:04d}" for n in range(1, 2001)], images_only=True)
    told = published(tmp_path, capsys, "method-b", "--input", f"unlabelled={images}")
    assert told[0].endswith("labelled, 50 cases, 0 of them partially labelled")
    assert told[1].endswith("images, 2000 images")
    kinds = [line.split()[1] for line in told[3:12]]
    assert kinds == [
        *("cross_validate", "pseudo_label_unlabelled") * 3,
        *("pseudo_label_rounds", "train", "export"),
    ]


@pytest.mark.parametrize(("plan", "other"), [("method-a-tiny", "partial"), ("method-b-tiny", "unlabelled")])
def test_commands_understand_the_words_of_published_plans(tmp_path, capsys, plan, other):
    write_names(tmp_path / "labelled", ["a", "b"])
    groups = [{"structures": ["liver"], "cases": ["c", "d"]}]
    write_names(tmp_path / "partial", ["c", "d"], {"groups": groups})
    write_names(tmp_path / "unlabelled", ["c", "d"], images_only=True)
    machine = ("--gpus", "0,1", "--threads", "2", "--workers", "3", "--cache", "x", "--cache-mb", "5")
    told = published(tmp_path, capsys, plan, "--input", f"{other}={tmp_path / other}", *machine)
    calls = [shlex.split(line)[3:] for line in told if line.startswith("  python -m training ")]
    assert len(calls) == len(load_plan(find_plan(plan)).steps)
    for command, *rest in calls:
        module = importlib.import_module(COMMANDS[command].module)
        if command == "pseudo-label":
            module, rest = module.PARTS[rest[0]], rest[1:]
        parser = argparse.ArgumentParser(exit_on_error=False)
        module.add_arguments(parser)
        assert parser.parse_args(rest).output.parent == tmp_path / "out"
