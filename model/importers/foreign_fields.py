"""Fields of documents that other programs wrote, which hold more than is asked of them."""

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, TypeVar, cast
from zipfile import BadZipFile
from zipfile import Path as ZipPath

from model.checks import check_printable
from model.model_errors import RefusedModelError

Place = Path | ZipPath
"""A file or folder, on the disk or in a zip."""
T = TypeVar("T")
NUMBER = (int, float)


def below(place: Place, root: Place) -> str:
    """A path from a folder or zip on that it lies in, as its user would type it.

    >>> below(Path("results/Dataset701/fold_0"), Path("results"))
    'Dataset701/fold_0'
    """
    return place.at.rstrip("/") if isinstance(place, ZipPath) else str(place.relative_to(str(root)))


def read_json(place: Place) -> Mapping[str, Any]:
    """The mapping that a JSON file holds.

    Raises:
        RefusedModelError: it is missing, cannot be read, or holds something else.
    """
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
    except (FileNotFoundError, KeyError) as error:
        raise RefusedModelError(f"{place}: is missing") from error
    except (OSError, ValueError, RecursionError, BadZipFile) as error:
        raise RefusedModelError(f"{place}: cannot be read as JSON ({error})") from error
    if not isinstance(document, Mapping):
        raise RefusedModelError(f"{place}: must hold a mapping")
    return document


def field(document: Mapping[str, Any], name: str, kind: type[T] | tuple[type, ...], where: object) -> T:
    """One field of a document, of the type asked for.

    Args:
        document: a mapping.
        name: of the field.
        kind: what its value must be; a bool is no number.
        where: the document's place, for messages.

    Raises:
        RefusedModelError: it is missing or of another type.
    """
    if name not in document:
        raise RefusedModelError(f"{where}: {name} is missing")
    value = document[name]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise RefusedModelError(f"{where}: {name} is {str(value)[:60]!r}, which is not understood")
    return cast(T, value)


def printable_text(value: object, name: str, where: object) -> str:
    """A value as a text that a manifest takes.

    Args:
        value: of any type; a text stays as it is.
        name: of the field that holds it, for messages.
        where: the document's place, for messages.

    Raises:
        RefusedModelError: it holds control characters, line breaks or the like.
    """
    text = str(value)
    try:
        check_printable(name, text)
    except ValueError as error:
        raise RefusedModelError(f"{where}: {error}") from error
    return text


def is_number(value: object) -> bool:
    """Whether a value is a finite number that a float can hold.

    >>> [is_number(value) for value in (1, -2.5, True, "1", float("inf"), 10**400)]
    [True, True, False, False, False, False]
    """
    try:
        return isinstance(value, NUMBER) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:
        return False


def numbers(document: Mapping[str, Any], name: str, where: object) -> tuple[float, ...]:
    """A field that is a list of finite numbers.

    Raises:
        RefusedModelError: it is missing, or something else.
    """
    values: list[Any] = field(document, name, (list, tuple), where)
    if not values or not all(map(is_number, values)):
        raise RefusedModelError(f"{where}: {name} must be a list of numbers, is {str(values)[:60]}")
    return tuple(float(value) for value in values)


def whole_numbers(document: Mapping[str, Any], name: str, where: object) -> tuple[int, ...]:
    """A field that is a list of whole numbers.

    Raises:
        RefusedModelError: it is missing, or something else.
    """
    values = numbers(document, name, where)
    if not all(value.is_integer() for value in values):
        raise RefusedModelError(f"{where}: {name} must be a list of whole numbers, is {list(values)}")
    return tuple(int(value) for value in values)
