"""Numbers among the arguments of MONAI's transforms."""

from collections.abc import Sequence
from typing import TypeVar

from model.importers.foreign_fields import is_number
from model.importers.monai.config_values import Plain
from model.importers.monai.transform_chain import Step
from model.manifest.network import AXIS_LETTERS

N = TypeVar("N", int, float)


def in_order(axes: str, values: Sequence[N]) -> tuple[N, N, N]:
    """Values along a network's axes in the order z, y, x."""
    by_axis = {AXIS_LETTERS[letter]: value for letter, value in zip(axes, values, strict=True)}
    return by_axis[0], by_axis[1], by_axis[2]


def three(step: Step, value: Plain, name: str) -> tuple[float, float, float]:
    """A number, or a list that MONAI fills up with its last one.

    Raises:
        RefusedModelError: something of it is no number.
    """
    given = value if isinstance(value, list) and value else [value]
    numbers = [as_number(step, each, name) for each in given]
    first, second, third = (*numbers, *[numbers[-1]] * 3)[:3]
    return first, second, third


def number(step: Step, name: str) -> float:
    """The number that an argument must be.

    Raises:
        RefusedModelError: it is none.
    """
    return as_number(step, step.arguments.get(name), name)


def as_number(step: Step, value: Plain, name: str = "a value") -> float:
    """A value of an argument as a number.

    Raises:
        RefusedModelError: it is none, or not finite.
    """
    if not is_number(value):
        raise step.refuse(f"has {name} {str(value)[:60]}, which is no number")
    return float(value)
