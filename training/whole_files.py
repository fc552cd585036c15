"""Files that are whole or not there; text and JSON ones, which are read with distrust."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from leanseg.atomic_files import atomic_path
from leanseg.full_disk import REMEDY, is_full
from model.schema import dump
from training.training_errors import WriteError

REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR}
"""What the system says where nothing may be written, or where a file stands instead of a folder."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """The file to write instead of `path`, whose place it takes as `atomic_path` says.

    Raises:
        WriteError: it cannot be written.
    """
    with writing(path), atomic_path(path) as partial:
        yield partial


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the system says against writing a file, within the block, becomes one line with a remedy.

    Raises:
        WriteError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        remedy = _remedy(path.parent, error)
        raise WriteError(f"{path}: cannot be written ({error.strerror or error}); {remedy}") from error


def _remedy(folder: Path, error: OSError) -> str:
    """What to do about a file that cannot be written into a folder."""
    if error.errno in REFUSED or (folder.is_dir() and not os.access(folder, os.W_OK)):
        return "choose a folder that can be written"
    if not folder.is_dir():
        return "its folder is not there, or was removed"
    return REMEDY if is_full(error) else "choose another folder"


def write_text(path: Path, text: str) -> None:
    """Write a text as `whole_file` does."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: object) -> None:
    """Write a dataclass or JSON values as `write_text` does."""
    write_text(path, json.dumps(dump(value), indent=1) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - whatever the JSON holds
    """The values of a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON, or nested so deeply that nobody wrote it.
    """
    return json_of(path.read_text(encoding="utf-8"))


def json_of(text: str) -> Any:  # noqa: ANN401
    """The values of a text in JSON; see `read_json` for what it raises."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
