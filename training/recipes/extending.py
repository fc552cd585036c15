"""Recipes as files: found by name or path, with the fields of those that they extend."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.recipes.documents import Documents
from training.recipes.recipe_names import FOLDERS
from training.training_errors import RecipeError

LABEL_SET = "label_set"


def _placed(document: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """A label set lies beside the recipe that names it, wherever that one is extended."""
    stated = document.get(LABEL_SET)
    if isinstance(stated, str) and (folder / stated).is_file():
        return {**document, LABEL_SET: str((folder / stated).resolve())}
    return dict(document)


DOCUMENTS = Documents(kind="recipe", folders=FOLDERS, error=RecipeError, placed=_placed)


def find_recipe(name_or_path: str, folder: Path | None = None) -> Path:
    """The file of a recipe; see `Documents.find`.

    Raises:
        RecipeError: there is none.
    """
    return DOCUMENTS.find(name_or_path, folder)


def read_recipe_document(path: Path) -> dict[str, Any]:
    """Fields of a recipe with those of the recipes that it extends.

    Raises:
        RecipeError: a file is missing or not YAML, or recipes extend each other in a circle.
    """
    return DOCUMENTS.read(path)
