"""Names of our own recipes, which `--help` lists: nothing is read to know them."""

from pathlib import Path

RECIPES = Path(__file__).parent
FOLDERS = (RECIPES, RECIPES / "published")
"""Where recipes are found by their name."""


def known_recipes() -> tuple[str, ...]:
    """Names of our own recipes."""
    return tuple(sorted(path.stem for folder in FOLDERS for path in folder.glob("*.yaml")))
