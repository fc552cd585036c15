"""Which structures `dataset.json` of nnU-Net v2 names, and by which ids."""

from collections.abc import Mapping
from typing import Any

from model.importers.foreign_fields import field, is_number, whole_numbers
from model.model_errors import RefusedModelError

Labels = Mapping[str, int | tuple[int, ...]]
"""Structure to id, or region to the ids that it is made of."""


def labels_of(dataset: Mapping[str, Any], where: str) -> tuple[Labels, tuple[int, ...] | None]:
    """The structures, or regions, and for regions the ids that are written in their order.

    Args:
        dataset: `dataset.json`.
        where: its place, for messages.

    Raises:
        RefusedModelError: labels are missing, or no whole numbers, or background is not 0.
    """
    stated = {k: v for k, v in field(dataset, "labels", Mapping, where).items() if k != "ignore"}
    if stated.pop("background", None) != 0:
        raise RefusedModelError(f"{where}: labels must name background 0")
    ids = {name: _ids(value, name, where) for name, value in stated.items()}
    if all(len(each) == 1 for each in ids.values()):
        return {name: number for name, (number,) in ids.items()}, None
    return {**ids}, whole_numbers(dataset, "regions_class_order", where)


def heads_of(labels: Labels, order: tuple[int, ...] | None) -> int:
    """Channels of a network's output: one a region, or one a structure and the background's."""
    return len(labels) + (1 if order is None else 0)


def _ids(value: object, name: str, where: str) -> tuple[int, ...]:
    """The label of a structure, or those of a region.

    Raises:
        RefusedModelError: it has none, or something else than whole numbers.
    """
    found = [_id(each) for each in (value if isinstance(value, list) else [value])]
    ids = tuple(each for each in found if each is not None)
    if not ids or len(ids) < len(found):
        raise RefusedModelError(
            f"{where}: labels: {name} must be a whole number, or a list of them, is {str(value)[:60]}"
        )
    return ids


def _id(value: object) -> int | None:
    """A label as nnU-Net reads it, from a text too; None where it is no whole number."""
    if isinstance(value, str):
        return int(value) if value.isdecimal() else None
    if not isinstance(value, int | float) or not is_number(value) or value != int(value):
        return None
    return int(value)
