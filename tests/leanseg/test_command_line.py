"""The dispatcher: which command runs, and how errors end."""

import subprocess
import sys

import pytest

from leanseg.command_line import Command, dispatch
from tests.places import ROOT

COMMANDS = {
    "good": Command(module="tests.leanseg.made_command", summary="do as told", needs=".venv"),
    "group": Command(module="tests.leanseg.made_group", summary="hold others", needs=".venv"),
    "patient": Command(module="tests.leanseg.made_words", summary="load its work late", needs=".venv"),
    "lacking": Command(module="tests.leanseg.lacking_command", summary="lack", needs="training"),
    "broken": Command(module="leanseg.no_such_module", summary="break", needs=".venv"),
}
REFUSALS = {UnicodeError: 4, ValueError: 3, OSError: 2, ModuleNotFoundError: 5}


def run(*words, refusals=REFUSALS):
    return dispatch("program", "What it does.", COMMANDS, words, epilog="the\n  end", refusals=refusals)


def stopped(*words):
    with pytest.raises(SystemExit) as stop:
        run(*words)
    return stop.value.code


@pytest.mark.parametrize(
    ("action", "code", "error"),
    [
        ("none", 0, ""),
        ("seven", 7, ""),
        ("value", 3, "error: too small\n"),
        ("unicode", 4, "error: no such letter\n"),
        ("file", 2, "error: there: No such file or directory\n"),
        ("disk", 2, "error: file system: No space left on device; make room on the disk\n"),
        ("bare", 2, "error: nowhere\n"),
        ("ctrl-c", 130, "error: interrupted\n"),
        ("ctrl-c, go on", 130, "error: interrupted; go on with --resume\n"),
        ("sigterm", 143, "error: terminated\n"),
        ("sighup", 129, "error: hung up\n"),
        ("sigterm, go on", 143, "error: terminated; go on with --resume\n"),
    ],
)
def test_exit_codes_and_messages(capsys, action, code, error):
    assert run("good", action) == code
    assert capsys.readouterr() == ("", error)


def test_a_full_disk_is_that_of_the_output(capsys):
    assert run("good", "disk", "--output", "bundles/mine") == 2
    assert capsys.readouterr().err == (
        "error: bundles/mine: No space left on device; make room on the disk\n"
    )


def test_a_part_of_a_command_runs_as_a_command_does(capsys):
    assert run("group", "inner", "seven") == 7
    assert stopped("group") == 2
    assert "are required: WHAT" in capsys.readouterr().err


def test_work_is_loaded_once_the_words_are_understood(capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "tests.leanseg.made_command", raising=False)
    assert stopped("patient", "--help") == 0
    assert stopped("patient") == 2
    assert "tests.leanseg.made_command" not in sys.modules
    assert run("patient", "seven") == 7
    capsys.readouterr()
    assert run("patient", "value") == 3
    assert capsys.readouterr().err == "error: too small\n"


def test_what_is_no_refusal_keeps_its_traceback():
    with pytest.raises(ValueError, match="too small"):
        run("good", "value", refusals={OSError: 2})


def test_a_missing_package_is_named_with_the_target_that_brings_it(capsys):
    assert run("lacking") == 5
    assert capsys.readouterr().err == (
        f"error: no_such_package is not installed for {sys.executable}; "
        "run `make training`, then .venv/bin/program lacking\n"
    )


def test_a_missing_module_of_ours_is_a_fault_of_the_program():
    with pytest.raises(ModuleNotFoundError, match=r"leanseg\.no_such_module"):
        run("broken")


def test_help(capsys):
    assert stopped("--help") == 0
    shown = capsys.readouterr().out
    assert "usage: program [-h] COMMAND" in shown
    assert "do as told" in shown
    assert shown.endswith("the\n  end\n")
    assert stopped("good", "--help") == 0
    assert "A command that ends as it is asked to." in capsys.readouterr().out


@pytest.mark.parametrize("words", [[], ["goood"], ["good"], ["--so"]])
def test_a_wrong_call_exits_with_2(words, capsys):
    assert stopped(*words) == 2
    assert capsys.readouterr().err.startswith("usage: program")


EVAL = ("score", "compare", "container", "profile", "rank", "picture", "report", "benchmark")


@pytest.mark.parametrize(
    ("words", "target", "code"),
    [
        (["predict.py", "--input", "x"], ".venv", 2),
        *((["-m", "eval", name], ".venv", 2) for name in EVAL),
        (["-m", "training", "phantom"], ".venv", 1),
        (["-m", "training", "train", "default", "--data", "x", "--output", "x"], "training", 1),
        *((["-m", "training", name], "training", 1) for name in ("check", "fingerprint", "prepare")),
        (["-m", "training", "export", "x", "--output", "x"], "training", 1),
        (["-m", "training", "untrained", "--output", "x"], "training", 1),
        (["-m", "training", "benchmark", "augmentation"], "training", 1),
    ],
    ids=str,
)
def test_every_command_says_what_brings_its_packages(words, target, code):
    """`-S` hides site-packages, as if nothing had been installed."""
    ran = subprocess.run(
        [sys.executable, "-S", *words], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (code, "", 1)
    assert f"is not installed for {sys.executable}; run `make {target}`, then .venv/bin/python " in ran.stderr
    assert ran.stderr.startswith("error: ")
