"""Scratch folders of workers: those of the dead go, those of the living stay."""

import errno
import shutil
import tempfile

import pytest

from inference.cohort.cluster.worker import scratch
from inference.cohort.cluster.worker.scratch import PREFIX, Scratch


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_worker_left_is_removed(place):
    (place / f"{PREFIX}dead" / "0").mkdir(parents=True)
    (place / f"{PREFIX}dead" / "0" / "ct.nii.gz").write_bytes(b"a copy")
    (place / "leanseg-other").mkdir()
    made = Scratch()
    assert sorted(path.name for path in place.iterdir()) == sorted(["leanseg-other", made.path.name])


def test_what_is_in_use_stays_until_it_is_closed(place):
    first, second = Scratch(), Scratch()
    (first.path / "ct.nii.gz").write_bytes(b"a copy")
    Scratch().close()
    assert sorted(place.iterdir()) == sorted([first.path, second.path])
    first.close()
    second.close()
    assert list(place.iterdir()) == []


def test_a_link_is_not_followed(place, tmp_path_factory):
    kept = tmp_path_factory.mktemp("kept")
    (place / f"{PREFIX}link").symlink_to(kept)
    Scratch().close()
    assert kept.is_dir()


def test_one_that_is_swept_before_it_is_locked_is_made_again(place, monkeypatch):
    """Another worker may sweep between a folder's making and its lock."""
    make, made = tempfile.mkdtemp, []

    def swept_once(**names):
        path = make(**names)
        if not made:
            shutil.rmtree(path)
        made.append(path)
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", swept_once)
    assert list(place.iterdir()) == []
    opened = Scratch()
    assert [str(opened.path)] == made[1:]
    opened.close()


def test_a_file_system_without_locks_will_do(place, monkeypatch):
    """Nothing can be told from what is in use there, and nothing is swept."""

    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    (place / f"{PREFIX}dead").mkdir()
    monkeypatch.setattr(scratch.fcntl, "flock", refuse)
    opened = Scratch()
    assert (place / f"{PREFIX}dead").is_dir()
    opened.close()
    assert not opened.path.exists()
