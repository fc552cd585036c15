"""Calls of `python -m eval` for the tests: exit codes, refusals, and tables that were written."""

import csv
from pathlib import Path

from eval.__main__ import main


def call(*words: object) -> int:
    """Exit code of a command, whether its option parser or the command itself ends it."""
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return int(stop.code or 0)


def assert_refused(capsys, words: tuple[object, ...], *said: str) -> str:
    """The call ends with 2, and its last line on stderr is an error that says all this; returns the line."""
    capsys.readouterr()
    assert call(*words) == 2
    out, err = capsys.readouterr()
    last = err.rstrip("\n").splitlines()[-1]
    assert "error: " in last
    assert "Traceback" not in err
    assert out == ""
    for part in said:
        assert part in last
    return last


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a table."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def columns_of(path: Path) -> list[str]:
    """Column names of a table."""
    with path.open(newline="", encoding="utf-8") as stream:
        return next(csv.reader(stream))


def files_in(folder: Path) -> list[str]:
    """Every file under a folder, hidden ones too, by its path from there."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
