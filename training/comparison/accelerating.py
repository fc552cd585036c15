"""A recipe and the same with the accelerated workflow laid over it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from training.recipes.documents import EXTENDS, laid_over
from training.recipes.extending import find_recipe

WORKFLOW = "accelerated"
"""The recipe whose own fields are the workflow."""
BASELINE_PRECISION = "fp32"
"""Mixed precision is part of the workflow, so the baseline has none."""


def workflow_fields() -> dict[str, Any]:
    """What the accelerated workflow changes, apart from names and the recipe that it stands on."""
    document = yaml.safe_load(find_recipe(WORKFLOW).read_text(encoding="utf-8"))
    return {name: value for name, value in document.items() if name not in (EXTENDS, "name", "description")}


def baseline_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe's document as the baseline of a comparison: in full precision."""
    return {**document, "precision": BASELINE_PRECISION}


def accelerated_document(
    document: Mapping[str, Any],
    epochs: int,
    window_epochs: int | None = None,
    slope_per_epoch: float | None = None,
) -> dict[str, Any]:
    """A recipe's document with the accelerated workflow.

    Args:
        document: the baseline's.
        epochs: of the baseline, and therefore at most.
        window_epochs: epochs that the monitor looks at, and over which the rate decays; missing: the
            workflow's own.
        slope_per_epoch: Dice, 0 to 1, that an epoch must still be able to gain; missing: the workflow's own.
    """
    changed = laid_over(document, workflow_fields())
    changed["name"] = f"{document['name']}-accelerated"
    stopping = {**changed["stopping"], "epochs": epochs}
    if window_epochs is not None:
        stopping |= {"window_epochs": window_epochs, "anneal_epochs": window_epochs}
    if slope_per_epoch is not None:
        stopping["slope_per_epoch"] = slope_per_epoch
    return {**changed, "stopping": stopping}


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a recipe's document to a file."""
    path.write_text(yaml.safe_dump(dict(document), sort_keys=False), encoding="utf-8")
