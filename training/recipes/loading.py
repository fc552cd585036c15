"""From a YAML file to a `Recipe`.

Recipes are found by name or path, fields are replaced as `--set` says, label sets are looked up, and all
faults are told at once.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from model.label_files import FILES, find_label_set
from model.labels import LABEL_SETS, LabelSet
from model.model_errors import LabelSetError
from model.schema import SchemaError, dump, parse
from training.data_place import folder_of
from training.recipes.extending import find_recipe, read_recipe_document
from training.recipes.recipe import Channels, Recipe, channel_names
from training.training_errors import RecipeError

FROM_DATA = "data"
"""What `label_set` reads where the set beside the training data is meant."""
SCIENTIFIC = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def load_recipe(name_or_path: str, overrides: Sequence[str] = (), data: Path | None = None) -> Recipe:
    """Read a recipe: a file, or the name of one in `training/recipes` or its folder `published`.

    Args:
        name_or_path: e.g. `demo`, `mine.yaml`.
        overrides: fields to replace, e.g. `stopping.steps=100`.
        data: data-set folder whose label set is meant by `label_set: data`.

    Raises:
        RecipeError: no such recipe, not YAML, or faulty fields, which are all named.
    """
    path = find_recipe(name_or_path)
    document = read_recipe_document(path)
    try:
        return recipe_from(document, overrides, folder=path.parent, data=data)
    except RecipeError as error:
        raise RecipeError(f"recipe {path.name}: {error}") from error


def recipe_from(
    document: Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    folder: Path | None = None,
    data: Path | None = None,
) -> Recipe:
    """Build a recipe from a parsed document.

    Args:
        document: fields of the recipe; left as it is.
        overrides: fields to replace, e.g. `stopping.steps=100`.
        folder: where a label set that is given as a file is looked for, before the working directory.
        data: data-set folder whose label set is meant by `label_set: data`.

    Raises:
        RecipeError: naming all faulty fields, or the label set alone where there is none.
    """
    changed = dict(document)
    for override in overrides:
        replace_field(changed, override)
    try:
        _find_labels(changed, folder or Path(), data)
    except LabelSetError as error:
        # That alone: what other fields must be depends on it.
        raise RecipeError(f"label_set: {error}") from error
    _fill_in_channels(changed)
    faults = _fault_of_batch_rule(changed)
    try:
        recipe = parse(Recipe, changed)
    except SchemaError as error:
        raise RecipeError("; ".join([*error.faults, *faults])) from error
    if faults:
        raise RecipeError("; ".join(faults))
    return recipe


def _fault_of_batch_rule(document: Mapping[str, Any]) -> list[str]:
    """A line where the learning rate follows a batch size that is found, and none is stated to follow from.

    The document is asked, and not the recipe: there a default of 1 cannot be told from a batch size of 1.
    """
    optimizer, sampling = _section(document, "optimizer"), _section(document, "sampling")
    rule = optimizer.get("batch_rule", "none")
    follows = rule != "none" and sampling.get("batch_size") == "auto"
    if follows and "stated_batch_size" not in optimizer:
        return [
            f"optimizer.stated_batch_size: must be stated where batch_rule is {rule}: the batch size that "
            "learning_rate is meant for"
        ]
    return []


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a document; empty where there is none, or no mapping, which parsing will tell."""
    section = document.get(name)
    return section if isinstance(section, Mapping) else {}


def _find_labels(document: dict[str, Any], folder: Path, data: Path | None) -> None:
    """Put the label set itself in the place of a file's name or of `data`.

    Raises:
        LabelSetError: there is none, or its file is faulty.
    """
    stated = document.get("label_set")
    if not isinstance(stated, str) or stated in LABEL_SETS:
        return
    if stated != FROM_DATA:
        beside = folder / stated
        document["label_set"] = dump(find_label_set(beside if beside.exists() else stated, regions=False))
        return
    if data is None:
        raise LabelSetError("data needs a data-set folder; give one with --data")
    beside = folder_of(data)
    if not any((beside / file).is_file() for file in FILES):
        raise LabelSetError(f"{beside}: has no {' or '.join(FILES)}, which `label_set: data` asks for")
    document["label_set"] = dump(find_label_set(beside, regions=False))


def _fill_in_channels(document: dict[str, Any]) -> None:
    """State the network's channels where the recipe leaves them to its inputs and its label set."""
    network, stated = document.get("network"), document.get("label_set")
    channels, inputs = document.get("channels"), document.get("inputs")
    if not isinstance(network, Mapping):
        return
    if isinstance(inputs, list) and inputs and "in_channels" not in network:
        document["network"] = network = {**network, "in_channels": len(inputs)}
    if "out_channels" in network:
        return
    count = 1  # Anything, where parsing the whole recipe will tell what is wrong.
    if channels in get_args(Channels):
        with suppress(KeyError, SchemaError):
            labels = LABEL_SETS[stated] if isinstance(stated, str) else parse(LabelSet, stated)
            count = len(channel_names(labels, cast(Channels, channels)))
    document["network"] = {**network, "out_channels": count}


def replace_field(document: dict[str, Any], override: str) -> None:
    """Change one field of a document in place; the mappings inside it are copied first.

    Args:
        document: of nested mappings.
        override: `a.b=value`, the value in YAML.

    Raises:
        RecipeError: it does not read so, or a part before the last one is no mapping.
    """
    dotted, equals, text = override.partition("=")
    if not equals:
        raise RecipeError(f"--set {override}: must read field=value")
    *parents, last = dotted.split(".")
    for parent in parents:
        below = document.setdefault(parent, {})
        if not isinstance(below, Mapping):
            raise RecipeError(f"--set {override}: {parent} has no fields")
        document[parent] = dict(below)
        document = document[parent]
    try:
        document[last] = _value(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: a bracket or brace is not closed") from error


def _value(text: str) -> object:
    """What YAML takes a text for; YAML 1.1 takes 1e-3 for a string, and nobody writes 1.0e-3."""
    if SCIENTIFIC.fullmatch(text):
        return float(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        if text[:1] in ("{", "["):
            raise
        return text
