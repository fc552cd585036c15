"""A folder's hash changes with names, sizes and the ends of files, and with nothing else."""

import pytest

from training.data.quick_hash import EDGE_BYTES, folder_sha256

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
