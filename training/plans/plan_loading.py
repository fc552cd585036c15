"""From a YAML file to a `Plan`: found by name or path, with fields replaced as `--set` says."""

from collections.abc import Sequence
from pathlib import Path

from model.schema import SchemaError, parse
from training.plans.plan_document import Plan
from training.recipes.documents import Documents
from training.recipes.loading import replace_field
from training.training_errors import PlanError, RecipeError

PUBLISHED = Path(__file__).parent / "published"
DOCUMENTS = Documents(kind="plan", folders=(PUBLISHED,), error=PlanError)


def find_plan(name_or_path: str) -> Path:
    """The file of a plan; see `Documents.find`.

    Raises:
        PlanError: there is none.
    """
    return DOCUMENTS.find(name_or_path)


def load_plan(path: Path, overrides: Sequence[str] = ()) -> Plan:
    """Read a plan.

    Args:
        path: of the file.
        overrides: fields to replace, e.g. `steps.small.seed=3`.

    Raises:
        PlanError: not YAML, or faulty fields, which are all named.
    """
    document = DOCUMENTS.read(path)
    try:
        for override in overrides:
            replace_field(document, override)
        return parse(Plan, document)
    except (SchemaError, RecipeError) as error:
        raise PlanError(f"plan {path.name}: {error}") from error
