"""Help in a terminal of 80 columns: what is broken, and what keeps its lines."""

import importlib

import pytest

from leanseg.help_text import fitted

PROGRAMS = ("inference", "training", "eval", "model")
TERMINAL = 80


def calls_of(program):
    """Every command of a program, and the parts of those that have some."""
    for name, command in importlib.import_module(f"{program}.__main__").COMMANDS.items():
        yield (name,)
        yield from ((name, part) for part in getattr(importlib.import_module(command.module), "PARTS", {}))


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("one two\nthree", 9, "one two\nthree"),
        ("one\ntwo three", 9, "one two\nthree"),
        ("one\n\n\ntwo", 9, "one\n\n\ntwo"),
        ("rules:\n  a   so it\n      is\n  bb  or", 20, "rules:\n  a   so it is\n  bb  or"),
        ("set:\n  a file\n  of names", 20, "set:\n  a file of names"),
        (f"kinds:\n  a   {'word ' * 6}", 30, f"kinds:\n  a   {'word ' * 4}word\n      word"),
        ("- one\n- two\n  three", 12, "- one\n- two three"),
        ("so:\n\n    a = 1\n    b = 2", 20, "so:\n\n    a = 1\n    b = 2"),
        ("    run it --now and here", 20, "    run it --now and\n        here"),
        ("    a command of words  says so", 30, "    a command of words\n        says so"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", 20, "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("see a-hyphenated-word", 12, "see\na-hyphenated-word"),
    ],
)
def test_paragraphs_and_lists_are_wrapped_and_blocks_and_tables_keep_their_lines(text, width, shown):
    assert fitted(text, width) == shown


@pytest.mark.parametrize(
    ("program", "words"), [(program, words) for program in PROGRAMS for words in calls_of(program)]
)
def test_help_fits_a_terminal_and_tells_exit_codes(program, words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(TERMINAL))
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(f"{program}.__main__").main([*words, "--help"])
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if len(line) > TERMINAL] == []
    assert "\nexit codes: 0 " in shown or "\nexit codes: the command's own" in shown
    assert "(default " not in shown.replace("(default)", "")


def test_an_option_says_what_it_takes_rather_than_its_name_again(capsys):
    training = importlib.import_module("training.__main__")
    with pytest.raises(SystemExit):
        training.main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--workers N threads that prepare patches (default: 1)" in shown
    assert "recipes: accelerated, " in shown
    assert ", demo-fine, demo-roi, " in shown
