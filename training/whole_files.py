"""Text and JSON files that are whole or not there, and are read with distrust."""

import json
import uuid
from pathlib import Path
from typing import Any

from model.schema import dump


def write_text(path: Path, text: str, *, shared: bool = False) -> None:
    """Write a text; a file that is already there stays until the new one is whole.

    Args:
        path: file to write.
        text: its content.
        shared: several programs may write the same file at a time; what one of them that is killed leaves
            behind is then not overwritten by the next.
    """
    writer = f".{uuid.uuid4().hex}" if shared else ""
    partial = path.with_name(f".{path.name}{writer}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def write_json(path: Path, value: object, *, shared: bool = False) -> None:
    """Write a dataclass or JSON values as `write_text` does."""
    write_text(path, json.dumps(dump(value), indent=1) + "\n", shared=shared)


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
