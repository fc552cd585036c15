"""Text and JSON files that are whole or not there."""

import json
import uuid
from pathlib import Path

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
