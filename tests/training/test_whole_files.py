"""Files that cannot be written, with what to do about it; and JSON of others, nested as nobody nests it."""

import errno
import os

import pytest

from training.training_errors import WriteError
from training.whole_files import json_of, read_json, whole_file, write_text, writing


@pytest.mark.parametrize(
    ("number", "folder", "remedy"),
    [
        (errno.ENOSPC, "", "make room on the disk"),
        (errno.EIO, "", "choose another folder"),
        # A library that says no number need not have met a full disk.
        (None, "", "choose another folder"),
        (errno.EROFS, "", "choose a folder that can be written"),
        # A folder that could not be made is not there, but was not removed either.
        (errno.EACCES, "missing", "choose a folder that can be written"),
        (errno.ENOENT, "missing", "its folder is not there, or was removed"),
    ],
)
def test_the_remedy_fits_what_the_system_says(tmp_path, number, folder, remedy):
    path = tmp_path / folder / "log.jsonl"
    said = "odd" if number is None else os.strerror(number)
    with pytest.raises(WriteError) as error, writing(path):
        raise OSError(said) if number is None else OSError(number, said)
    assert str(error.value) == f"{path}: cannot be written ({said}); {remedy}"


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(WriteError, match="choose a folder that can be written"):
        write_text(tmp_path / "run" / "log.csv", "step")
    with (
        pytest.raises(WriteError, match="choose a folder that can be written"),
        writing(tmp_path / "run/.lock"),
    ):
        (tmp_path / "run").mkdir(parents=True, exist_ok=True)


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "log.csv"
    write_text(path, "old")

    def fill_the_disk():
        with whole_file(path) as partial:
            partial.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WriteError, match="make room on the disk"):
        fill_the_disk()
    assert [each.name for each in tmp_path.iterdir()] == ["log.csv"]
    assert path.read_text(encoding="utf-8") == "old"


def test_two_writers_of_one_file_have_each_a_file_of_their_own(tmp_path):
    path = tmp_path / "log.csv"
    with whole_file(path) as first:
        first.write_text("first")
        write_text(path, "second")
        assert path.read_text(encoding="utf-8") == "second"
        assert first.read_text(encoding="utf-8") == "first"
    assert path.read_text(encoding="utf-8") == "first"
    assert [each.name for each in tmp_path.iterdir()] == ["log.csv"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_nesting_is_a_value_error(tmp_path, text):
    with pytest.raises(ValueError, match="nested too deeply"):
        json_of(text)
    (tmp_path / "deep.json").write_text(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(tmp_path / "deep.json")
    assert json_of("[[1]]") == [[1]]
