"""`python -m training phantom`: which cases its words ask for."""

from pathlib import Path

import pytest

from training.__main__ import main
from training.commands import phantom
from training.phantom.bodies.data_folder import Cohort


@pytest.fixture
def called(monkeypatch):
    calls = []
    monkeypatch.setattr(phantom, "write_dataset", lambda *args, **more: calls.append((*args, more)))
    return calls


def test_words_become_a_cohort(called):
    words = "--cases 3 --seed 5 --output out --coverage abdomen --spacing-zyx-mm 5 1 1 --first-index 7"
    assert main(["phantom", *words.split(), "--workers", "2"]) == 0
    cohort = Cohort(cases=3, seed=5, first_index=7, coverage="abdomen", spacing_zyx_mm=(5.0, 1.0, 1.0))
    assert called == [(Path("out"), cohort, {"anatomy": None, "workers": 2})]


def test_defaults(called):
    assert main(["phantom", "--cases", "1", "-o", "out"]) == 0
    assert called == [(Path("out"), Cohort(cases=1), {"anatomy": None, "workers": 1})]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--cases 0", "cases must be at least 1"),
        ("--cases 1 --anatomy-share 2", "the anatomy share between 0 and 1"),
        ("--cases 1 --elsewhere-share 2", "the share of other parts must be between 0 and 1"),
        ("--cases 1 --spacing-zyx-mm 0.1 1 1", "spacing must be at least 0.3"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(called, capsys, words, message):
    assert main(["phantom", *words.split(), "-o", "out"]) == 1
    assert message in capsys.readouterr().err
    assert called == []
