"""A data-set folder that is made beside its place and appears there when it is complete.

What an interrupted call made stays in the folder beside, `.NAME.unfinished`, and the next call for the same
goes on with it.
"""

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from training.training_errors import DataError
from training.whole_files import read_json, write_json

RECORD = "pseudo_labels.json"
"""What a finished folder was made from and how."""
PURPOSE = "purpose.json"
"""What an unfinished folder is being made from."""
Purpose = Mapping[str, object]
"""What a folder is made from, in JSON values: the same makes the same."""

logger = logging.getLogger(__name__)


def unfinished(output: Path) -> Path:
    """Where a folder is made before it appears in its place."""
    return output.absolute().with_name(f".{output.absolute().name}.unfinished")


def is_there(output: Path, purpose: Purpose) -> bool:
    """Whether a folder was made from the same already.

    Raises:
        DataError: there is something else.
    """
    if not output.exists():
        return False
    try:
        record = read_json(output / RECORD)
    except (OSError, ValueError):
        record = None
    if isinstance(record, dict) and record.get("purpose") == purpose:
        return True
    raise DataError(f"{output}: already holds something else; choose another --output")


@contextmanager
def whole_folder(output: Path, purpose: Purpose) -> Iterator[Path]:
    """The unfinished folder to work in; where the block ends well it is renamed to `output`.

    Args:
        output: does not exist; its parent is made if missing.
        purpose: what it is made from. What another purpose left unfinished is removed first.

    Raises:
        DataError: it cannot be written.
    """
    folder = unfinished(output)
    try:
        if folder.exists() and _purpose_of(folder) != purpose:
            logger.info("%s: was begun for something else: starting anew", folder)
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / PURPOSE, purpose)
        yield folder
        (folder / PURPOSE).unlink()
        folder.rename(output)
    except OSError as error:
        raise DataError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error


def _purpose_of(folder: Path) -> object:
    try:
        return read_json(folder / PURPOSE)
    except (OSError, ValueError):
        return None
