"""From a YAML file to a `Plan`: found by name or path, with fields replaced as `--set` says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from model.schema import SchemaError, parse
from training.plans.plan_document import Plan
from training.recipes.extending import EXTENDS, SUFFIXES, laid_over
from training.recipes.loading import replace_field
from training.training_errors import PlanError, RecipeError

PUBLISHED = Path(__file__).parent / "published"


def find_plan(name_or_path: str, folder: Path = PUBLISHED) -> Path:
    """The file of a plan.

    Args:
        name_or_path: e.g. `method-a`, `mine.yaml`.
        folder: where a name is looked for before our own plans.

    Raises:
        PlanError: there is none.
    """
    path = Path(name_or_path)
    places = [path] if path.suffix in SUFFIXES else []
    places += [place / f"{name_or_path}{suffix}" for place in (folder, PUBLISHED) for suffix in SUFFIXES]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        known = ", ".join(sorted(one.stem for one in PUBLISHED.glob("*.yaml")))
        raise PlanError(f"plan {name_or_path}: no such file, and not one of {known}")
    return found


def load_plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Read a plan.

    Args:
        path: of the file.
        overrides: fields to replace, e.g. `steps.small.seed=3`.

    Raises:
        PlanError: not YAML, or faulty fields, which are all named.
    """
    document = _document(path, ())
    try:
        for override in overrides:
            replace_field(document, override)
        return parse(Plan, document)
    except (SchemaError, RecipeError) as error:
        raise PlanError(f"plan {path.name}: {error}") from error


def _document(path: Path, standing_on_it: Sequence[Path]) -> dict[str, Any]:
    """Fields of a plan with those of the plan that it extends."""
    if path.resolve() in standing_on_it:
        raise PlanError(f"plan {path.name}: extends itself")
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PlanError(f"plan {path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(document, Mapping):
        raise PlanError(f"plan {path}: must be a mapping of fields")
    own = dict(document)
    below = own.pop(EXTENDS, None)
    if below is None:
        return own
    if not isinstance(below, str):
        raise PlanError(f"plan {path.name}: {EXTENDS}: must be the name of a plan")
    return laid_over(_document(find_plan(below, path.parent), (*standing_on_it, path.resolve())), own)
