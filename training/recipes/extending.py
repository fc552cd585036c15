"""Recipes that stand on others: `extends: NAME` takes all that another one says, and changes some of it."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from training.recipes.recipe_names import FOLDERS, known_recipes
from training.training_errors import RecipeError

EXTENDS, LABEL_SET = "extends", "label_set"
SUFFIXES = (".yaml", ".yml")


def find_recipe(name_or_path: str, folder: Path | None = None) -> Path:
    """The file of a recipe.

    Args:
        name_or_path: e.g. `demo`, `mine.yaml`.
        folder: where a file is looked for before the working directory, and a name before our own recipes.

    Raises:
        RecipeError: there is none.
    """
    path = Path(name_or_path)
    is_file = path.suffix in SUFFIXES
    names = [path] if is_file else [path.with_name(f"{path.name}{suffix}") for suffix in SUFFIXES]
    folders: list[Path] = [*([folder] if folder else []), *([Path()] if is_file else FOLDERS)]
    for place in folders:
        for name in names:
            if (place / name).is_file():
                return place / name
    known = known_recipes()
    near = get_close_matches(name_or_path, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else f", and not one of {', '.join(known)}"
    raise RecipeError(f"recipe {name_or_path}: no such file or recipe{meant}")


def read_recipe_document(path: Path, standing_on_it: Sequence[Path] = ()) -> dict[str, Any]:
    """Fields of a recipe with those of the recipes that it extends.

    Args:
        path: the file.
        standing_on_it: the files whose `extends` led here.

    Raises:
        RecipeError: a file is missing or not YAML, or recipes extend each other in a circle.
    """
    if path.resolve() in standing_on_it:
        circle = " → ".join(one.stem for one in (*standing_on_it, path))
        raise RecipeError(f"recipe {standing_on_it[0].name}: extends itself ({circle})")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(
            f"recipe {path}: cannot be read as YAML ({' '.join(str(error).split())})"
        ) from error
    if not isinstance(document, dict):
        raise RecipeError(f"recipe {path}: must be a mapping of fields")
    stated = document.pop(EXTENDS, [])
    names = [stated] if isinstance(stated, str) else stated
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RecipeError(f"recipe {path.name}: {EXTENDS}: must be the name of a recipe, or a list of names")
    label_set = document.get(LABEL_SET)
    if isinstance(label_set, str) and (path.parent / label_set).is_file():
        # A label set lies beside the recipe that names it, wherever that one is extended.
        document[LABEL_SET] = str((path.parent / label_set).resolve())
    merged: dict[str, Any] = {}
    for name in names:
        try:
            below = find_recipe(name, path.parent)
        except RecipeError as error:
            raise RecipeError(f"recipe {path.name}: {EXTENDS}: {error}") from error
        merged = laid_over(merged, read_recipe_document(below, (*standing_on_it, path.resolve())))
    return laid_over(merged, document)


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
