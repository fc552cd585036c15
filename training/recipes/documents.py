"""YAML documents that stand on others: `extends: NAME` takes what another says, and changes some of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from training.training_errors import TrainingError

EXTENDS = "extends"
SUFFIXES = (".yaml", ".yml")


def as_it_is(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The fields of a document that names no files."""
    return dict(document)


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Documents of one kind: how they are called, where they are found, and what is raised of them."""

    kind: str
    """As messages have it, e.g. `recipe`."""
    folders: Sequence[Path]
    """Where our own are found by their name."""
    error: type[TrainingError]
    placed: Callable[[Mapping[str, Any], Path], dict[str, Any]] = as_it_is
    """From a document's own fields and its folder to what they say wherever it is extended."""

    def find(self, name_or_path: str, folder: Path | None = None) -> Path:
        """The file of a document.

        Args:
            name_or_path: e.g. `demo`, `mine.yaml`.
            folder: where a file is looked for before the working directory, and a name before our own.

        Raises:
            TrainingError: there is none; of the class `error`.
        """
        path = Path(name_or_path)
        is_file = path.suffix in SUFFIXES
        names = [path] if is_file else [path.with_name(f"{path.name}{suffix}") for suffix in SUFFIXES]
        folders: list[Path] = [*([folder] if folder else []), *([Path()] if is_file else self.folders)]
        for place in folders:
            for name in names:
                if (place / name).is_file():
                    return place / name
        known = sorted(one.stem for place in self.folders for one in place.glob("*.yaml"))
        near = get_close_matches(name_or_path, known, n=1)
        meant = f"; did you mean {near[0]}?" if near else f", and not one of {', '.join(known)}"
        raise self.error(f"{self.kind} {name_or_path}: no such file or {self.kind}{meant}")

    def read(self, path: Path, standing_on_it: Sequence[Path] = ()) -> dict[str, Any]:
        """Fields of a document with those of the documents that it extends.

        Args:
            path: the file.
            standing_on_it: the files whose `extends` led here.

        Raises:
            TrainingError: a file is missing or not YAML, or documents extend each other in a circle; of the
                class `error`.
        """
        if path.resolve() in standing_on_it:
            circle = " → ".join(one.stem for one in (*standing_on_it, path))
            raise self.error(f"{self.kind} {standing_on_it[0].name}: extends itself ({circle})")
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            said = " ".join(str(error).split())
            raise self.error(f"{self.kind} {path}: cannot be read as YAML ({said})") from error
        if not isinstance(document, dict):
            raise self.error(f"{self.kind} {path}: must be a mapping of fields")
        stated = document.pop(EXTENDS, [])
        names = [stated] if isinstance(stated, str) else stated
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self.error(
                f"{self.kind} {path.name}: {EXTENDS}: must be the name of a {self.kind}, or a list of names"
            )
        merged: dict[str, Any] = {}
        for name in names:
            try:
                below = self.find(name, path.parent)
            except self.error as error:
                raise self.error(f"{self.kind} {path.name}: {EXTENDS}: {error}") from error
            merged = laid_over(merged, self.read(below, (*standing_on_it, path.resolve())))
        return laid_over(merged, self.placed(document, path.parent))


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """What two documents say together; where both say something, what the upper one says.

    Sections are merged field by field, except where the upper one is of another `kind`: then it stands alone,
    since fields of one kind mean nothing to another. Lists are taken whole.

    >>> laid_over({"a": {"kind": "x", "b": 1, "c": 1}}, {"a": {"c": 2}})
    {'a': {'kind': 'x', 'b': 1, 'c': 2}}
    >>> laid_over({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "y"}})
    {'a': {'kind': 'y'}}
    """
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            other_kind = "kind" in value and value["kind"] != old.get("kind")
            merged[name] = dict(value) if other_kind else laid_over(old, value)
        else:
            merged[name] = value
    return merged
