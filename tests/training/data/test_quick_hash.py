"""A folder's hash changes with names, sizes and the ends of files, and with nothing else."""

import hashlib

import pytest

from training.data.file_lists import files_in
from training.data.quick_hash import EDGE_BYTES, folder_sha256
from training.training_errors import DataError

MIDDLE = b"m" * 1000


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"a" * EDGE_BYTES + MIDDLE + b"z" * EDGE_BYTES)
    (tmp_path / "b").write_bytes(b"b")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("b", b"c"),
        ("b", b"bb"),
        ("c", b""),
        ("in/a", b"A" + b"a" * (EDGE_BYTES - 1) + MIDDLE + b"z" * EDGE_BYTES),
        ("in/a", b"a" * EDGE_BYTES + MIDDLE + b"z" * (EDGE_BYTES - 1) + b"Z"),
    ],
)
def test_a_change_is_found(folder, name, content):
    before = folder_sha256(folder)
    (folder / name).write_bytes(content)
    assert folder_sha256(folder) != before


def test_a_file_that_is_renamed_counts_and_hidden_ones_do_not(folder):
    before = folder_sha256(folder)
    (folder / ".lock").touch()
    (folder / ".hidden").mkdir()
    (folder / ".hidden/a").touch()
    assert folder_sha256(folder) == before
    (folder / "b").rename(folder / "c")
    assert folder_sha256(folder) != before


def test_a_file_stands_for_itself(folder):
    before = folder_sha256(folder / "b")
    (folder / "b").write_bytes(b"c")
    assert folder_sha256(folder / "b") != before


def test_the_hash_is_over_names_sizes_and_both_ends(tmp_path):
    """Written down once: another hash would make the steps of every finished plan stale."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a").write_bytes(b"xyz")
    (tmp_path / "b").write_bytes(b"")
    expected = hashlib.sha256(b"b 0\n" + b"in/a 3\n" + b"xyz" + b"xyz").hexdigest()
    assert folder_sha256(tmp_path) == expected


def test_what_lies_behind_a_link_to_a_folder_counts(folder, tmp_path_factory):
    disk = tmp_path_factory.mktemp("disk")
    (disk / "a").write_bytes(b"a")
    (folder / "linked").symlink_to(disk)
    before = folder_sha256(folder)
    (disk / "a").write_bytes(b"b")
    assert folder_sha256(folder) != before


def test_links_that_lead_back_have_an_end(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "c").write_bytes(b"c")
    (other / "back").symlink_to(folder)
    (folder / "in/up").symlink_to(folder.parent)
    (folder / "other").symlink_to(other)
    assert [str(path.relative_to(folder)) for path in files_in(folder)] == ["b", "in/a", "other/c"]
    assert [str(path.relative_to(folder)) for path in files_in(folder, follow=False)] == ["b", "in/a"]


def test_a_hash_over_nothing_is_refused(tmp_path):
    (tmp_path / ".hidden").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no file; give a folder that does"):
        folder_sha256(tmp_path)
