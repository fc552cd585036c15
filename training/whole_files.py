"""JSON files that are whole or not there."""

import json
from pathlib import Path

from model.schema import dump


def write_json(path: Path, value: object) -> None:
    """Write a dataclass or JSON values; a file that is already there stays until the new one is whole."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(dump(value), indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
