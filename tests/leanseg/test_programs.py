"""Where the programs are found, and what stands in their way."""

import sys
import types

import pytest

from leanseg.__main__ import main
from leanseg.programs import folder, importable, installed
from tests.places import ROOT


def test_in_a_clone_they_lie_at_its_root():
    assert (installed(), folder(), importable()) == (False, ROOT, str(ROOT))


def test_another_module_of_the_same_name_is_refused(monkeypatch):
    stranger = types.ModuleType("model")
    stranger.__file__ = "/elsewhere/model.py"
    monkeypatch.setitem(sys.modules, "model", stranger)
    with pytest.raises(ImportError, match=r"a module named model, and /elsewhere/model\.py was imported"):
        importable()


@pytest.mark.parametrize(
    ("words", "code", "shown"),
    [
        (["--help"], 0, "segment CTs"),
        (["predict", "--help"], 0, "usage: leanseg predict"),
        (["eval", "--help"], 0, "usage: leanseg eval"),
        (["training", "--help"], 0, "usage: leanseg training"),
        ([], 2, "usage: leanseg"),
        (["predicct"], 2, "invalid choice: 'predicct'"),
    ],
)
def test_the_command_calls_the_program_of_that_name(words, code, shown, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as stop:
        main(words)
    out, err = capsys.readouterr()
    assert stop.value.code == code
    assert shown in (err if code else out)
