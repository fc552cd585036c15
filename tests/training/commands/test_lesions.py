"""`python -m training lesions`: what its words ask for, and how it refuses."""

from pathlib import Path

import pytest

from training.__main__ import main
from training.commands import lesions
from training.data.painted_lesions import PaintedCopy


def test_words_become_a_call(monkeypatch):
    calls, splits = [], []
    written = [PaintedCopy(name=f"{case}{n}", source=case, tumors=()) for case in "ab" for n in (1, 2)]
    monkeypatch.setattr(
        lesions, "paint_data_set", lambda *args, **more: calls.append((*args, more)) or written
    )
    monkeypatch.setattr(lesions, "write_split_of_copies", lambda *args: splits.append(args))
    assert main(["lesions", "scans", "-o", "out"]) == 0
    options = "--output out --seed 3 --copies 2 --workers 4"
    assert main(["lesions", "scans", *options.split()]) == 0
    plain, full = {"seed": 0, "copies": 1, "workers": 1}, {"seed": 3, "copies": 2, "workers": 4}
    assert calls == [(Path("scans"), Path("out"), plain), (Path("scans"), Path("out"), full)]
    copies = {"a": ["a1", "a2"], "b": ["b1", "b2"]}
    assert splits == [(Path("scans"), Path("out"), copies, seed) for seed in (0, 3)]


@pytest.mark.parametrize(("words", "code"), [("", 2), ("--copies 0", 1)])
def test_refusals_are_one_line(tmp_path, capsys, words, code):
    """A folder that is not there is a wrong call; a number out of range is not."""
    assert main(["lesions", str(tmp_path / "gone"), "-o", str(tmp_path / "out"), *words.split()]) == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
