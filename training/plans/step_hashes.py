"""What the result of a step depends on, as hashes: while they stay the same, so does the result.

A step depends on its own fields, on its recipe with all that it extends, on the files that it names, and on
the steps that it takes from, by what those depend on. It does not depend on the machine, nor on the version
of the program.
"""

import hashlib
import json
from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.schema import dump
from training.data.input_hash import input_sha256
from training.data.quick_hash import folder_sha256
from training.plans.plan_document import Plan, Step, wanted
from training.plans.step_parts import What, reference_of
from training.recipes.extending import LABEL_SET, find_recipe, read_recipe_document
from training.training_errors import PlanError

Parts = Mapping[str, str]
"""What a step depends on, by name, to its hash."""


def parts_of_steps(plan: Plan, inputs: Mapping[str, Path], folder: Path) -> dict[str, Parts]:
    """Step to what it depends on.

    Args:
        plan: the plan.
        inputs: name to path.
        folder: of the plan, beside which recipes are looked for.

    Raises:
        PlanError: a file that a step names is not there.
        DataError: what is taken for a data set is none, or a folder holds no file.
        RecipeError: a recipe is missing or cannot be read.
    """
    kinds = _kinds_of_inputs(plan)
    given = {name: _input_sha256(path, kinds.get(name, set())) for name, path in inputs.items()}
    found: dict[str, Parts] = {}
    for name in plan.order:
        step = plan.steps[name]
        parts = {"settings": sha256_of(dump(replace(step, after=()))), **_files(step, name)}
        recipe = getattr(step, "recipe", None)
        if recipe is not None:
            parts[f"recipe {recipe}"] = _recipe_sha256(find_recipe(recipe, folder))
        for taken in plan.taken_by(name):
            if taken in given:
                parts[f"input {taken}"] = given[taken]
            else:
                parts[f"step {taken}"] = sha256_of(found[taken])
        found[name] = parts
    return found


def sha256_of(value: Any) -> str:  # noqa: ANN401 - JSON has no narrower type
    """SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _files(step: Step, name: str) -> dict[str, str]:
    """The paths that stand in a step's fields."""
    found = {}
    for where, text, what in wanted(step):
        if reference_of(text) is None:
            path = Path(text)
            if not path.exists():
                raise PlanError(f"steps.{name}.{where}: {text}: no such file or folder")
            found[f"file {text}"] = _input_sha256(path, {what})
    return found


def _kinds_of_inputs(plan: Plan) -> dict[str, set[What]]:
    """Input to what steps take it for."""
    found: dict[str, set[What]] = {}
    for step in plan.steps.values():
        for _, text, what in wanted(step):
            name = reference_of(text)
            if name is not None:
                found.setdefault(name, set()).add(what)
    return found


def _input_sha256(path: Path, kinds: Set[What]) -> str:
    return input_sha256(path, is_data="data" in kinds, is_images="images" in kinds)


def _recipe_sha256(path: Path) -> str:
    document = read_recipe_document(path)
    stated = document.get(LABEL_SET)
    beside = Path(stated) if isinstance(stated, str) else None
    labels = folder_sha256(beside) if beside is not None and beside.is_file() else ""
    if labels:  # The file itself counts, wherever it lies.
        document[LABEL_SET] = labels
    return sha256_of(document)
