"""Files that are whole or not there, and what becomes of those that killed programs leave behind."""

import fcntl
import os

import pytest

from leanseg.atomic_files import atomic_path, sweep


class BreakOffError(Exception):
    pass


def write_half(path):
    with atomic_path(path) as scratch:
        scratch.write_text("half of")
        raise BreakOffError


@pytest.mark.parametrize("former", [[], ["former"]])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, former):
    path = tmp_path / "table.csv"
    for text in former:
        path.write_text(text)
    with pytest.raises(BreakOffError):
        write_half(path)
    assert [each.read_text(encoding="utf-8") for each in tmp_path.iterdir()] == former
    with atomic_path(path) as scratch:
        scratch.write_text("the whole")
        assert [path.read_text(encoding="utf-8")] == former if former else not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["table.csv"]
    assert path.read_text(encoding="utf-8") == "the whole"


def test_a_file_may_be_read_by_whoever_may_read_others(tmp_path):
    (tmp_path / "other").touch()
    with atomic_path(tmp_path / "ours"):
        pass
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_an_unfinished_file_that_nobody_writes_is_swept(tmp_path):
    """One that another run is writing, which is locked, stays."""
    (tmp_path / ".leanseg-1-dead.tmp").touch()
    (tmp_path / "leanseg.tmp").touch()
    with atomic_path(tmp_path / "result") as alive:
        sweep(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, "leanseg.tmp"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["leanseg.tmp", "result"]


def test_a_file_swept_before_it_was_locked_is_made_once_more(tmp_path, monkeypatch):
    lock = fcntl.flock

    def sweep_first(file, how):
        monkeypatch.setattr(fcntl, "flock", lock)
        sweep(tmp_path)
        assert list(tmp_path.iterdir()) == []
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", sweep_first)
    with atomic_path(tmp_path / "result") as scratch:
        scratch.write_text("whole")
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["whole"]


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """What has been written when the file is flushed, and which names there are then."""
    path, flushed = tmp_path / "result", []
    fsync = os.fsync

    def seen(descriptor):
        flushed.append((os.fstat(descriptor).st_size, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    with atomic_path(path) as scratch:
        scratch.write_text("whole")
    assert flushed == [(5, False)]
