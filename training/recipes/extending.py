"""Finds recipes by their names, and puts together those that are built on others (`extends`)."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from model.schema import KIND
from training.training_errors import RecipeError

RECIPES = Path(__file__).parent
PUBLISHED = RECIPES / "published"
EXTENDS, LABEL_SET = "extends", "label_set"
SUFFIXES = (".yaml", ".yml")


def find_recipe(name_or_path: str, beside: Path | None = None) -> Path:
    """Where a recipe lies.

    Args:
        name_or_path: a file, or the name of one without its suffix.
        beside: folder in which it is looked for first.

    Raises:
        RecipeError: there is none of this name.
    """
    if Path(name_or_path).suffix in SUFFIXES:
        places = [*([beside / name_or_path] if beside else []), Path(name_or_path)]
    else:
        folders = [*([beside] if beside else []), RECIPES, PUBLISHED]
        places = [folder / f"{name_or_path}.yaml" for folder in folders]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        known = ", ".join(recipe_names())
        raise RecipeError(f"recipe {name_or_path}: no such file, and not one of {known}")
    return found


def recipe_names() -> list[str]:
    """Names of the recipes that come with the program."""
    return sorted(path.stem for folder in (RECIPES, PUBLISHED) for path in folder.glob("*.yaml"))


def read_recipe(path: Path, below: Sequence[Path] = ()) -> dict[str, Any]:
    """The document of a recipe, with what it extends put in.

    `extends: NAME` or `extends: [NAME, NAME]`: the recipes named come first, in order, and each later one
    replaces fields of those before it.

    Args:
        path: of the recipe.
        below: recipes that extend this one, the outermost first.

    Raises:
        RecipeError: a recipe is missing, not YAML, no mapping, or extends itself.
    """
    chain = [*below, path.resolve()]
    if path.resolve() in below:
        names = " → ".join(one.stem for one in chain)
        raise RecipeError(f"recipe {chain[0].name}: extends itself ({names})")
    document = _read_yaml(path)
    bases = list(_bases(document.pop(EXTENDS, None), path))
    stated = document.get(LABEL_SET)
    if isinstance(stated, str) and (path.parent / stated).is_file():
        # A label set lies beside the recipe that names it, wherever that one is extended.
        document[LABEL_SET] = str((path.parent / stated).resolve())
    for base in reversed(bases):
        document = merged(read_recipe(base, chain), document)
    return document


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A document with fields replaced, section by section and field by field.

    A section of another kind takes the place of the base's as a whole; so does a list.

    >>> merged({"a": {"kind": "x", "b": 1, "c": 2}}, {"a": {"b": 3}})
    {'a': {'kind': 'x', 'b': 3, 'c': 2}}
    >>> merged({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "y", "d": 4}})
    {'a': {'kind': 'y', 'd': 4}}
    """
    result = dict(base)
    for name, value in changes.items():
        old = result.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[name] = merged(old, value) if both and _same_kind(old, value) else value
    return result


def _same_kind(base: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
    return KIND not in changes or base.get(KIND) == changes[KIND]


def _bases(stated: object, path: Path) -> Iterator[Path]:
    names = [stated] if isinstance(stated, str) else stated or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecipeError(f"recipe {path.name}: extends: must be the name of a recipe, or a list of names")
    for name in names:
        try:
            yield find_recipe(name, path.parent)
        except RecipeError as error:
            raise RecipeError(f"recipe {path.name}: extends: {error}") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise RecipeError(f"recipe {path}: cannot be read as YAML ({reason})") from error
    if not isinstance(document, dict):
        raise RecipeError(f"recipe {path}: must be a mapping of fields")
    return document
