"""Scratch folders of workers: those of the dead go, those of the living stay."""

import tempfile

import pytest

from inference.cohort.cluster.scratch import PREFIX, Scratch


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_a_killed_worker_left_is_removed(place):
    (place / f"{PREFIX}dead" / "0").mkdir(parents=True)
    (place / f"{PREFIX}dead" / "0" / "ct.nii.gz").write_bytes(b"a copy")
    (place / "leanseg-other").mkdir()
    scratch = Scratch()
    assert sorted(path.name for path in place.iterdir()) == sorted(["leanseg-other", scratch.path.name])


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
