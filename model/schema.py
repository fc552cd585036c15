"""From parsed JSON or YAML to frozen dataclasses, strictly, naming the field that is wrong; and back.

Used for bundle manifests and training recipes, so that both refuse unknown, missing and ill-typed fields in
the same
words: `members[0].overlap: must be 0 to 0.9, is 1.2`. Value checks live in each dataclass's `__post_init__`,
    which
raises `ValueError("overlap: must be ...")`; the parser puts the path in front.
"""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class SchemaError(ValueError):
    """A field of a document is unknown, missing, of the wrong type or out of range; the message names it."""


def parse(cls: type[T], document: object, where: str = "") -> T:
    """Build a dataclass from a parsed JSON or YAML mapping.

    Lists become tuples, integers are taken where floats are asked for, nothing else is converted.

    Args:
        cls: a dataclass whose annotations are str, int, float, bool, Literal, dataclasses, `tuple[...]`,
            `Mapping[str, ...]` and unions of these with None.
        document: what the JSON or YAML parser returned.
        where: path of the document inside a larger one, for messages.

    Raises:
        SchemaError: naming the faulty field.
    """
    if not isinstance(document, Mapping):
        raise SchemaError(f"{where or 'document'}: must be a mapping, is {_kind(document)}")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in document:
        if key not in fields:
            raise SchemaError(f"{_join(where, str(key))}: unknown field; known are {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in document:
            values[name] = _value(hints[name], document[name], _join(where, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SchemaError(f"{_join(where, name)}: missing")
    try:
        return cls(**values)
    except SchemaError:
        raise
    except ValueError as error:
        raise SchemaError(_join(where, str(error))) from error


def dump(value: object) -> Any:  # noqa: ANN401 - JSON has no narrower type
    """The mapping that `parse` reads back; tuples become lists, fields that are None are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {name: dump(item) for name, item in items.items() if item is not None}
    if isinstance(value, Mapping):
        return {str(key): dump(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [dump(item) for item in value]
    return value


def _value(hint: Any, value: object, where: str) -> object:  # noqa: ANN401 - a type annotation has no narrower type
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        return _value(next(arg for arg in get_args(hint) if arg is not type(None)), value, where)
    if origin is Literal:
        if value not in get_args(hint):
            raise SchemaError(f"{where}: must be one of {', '.join(map(str, get_args(hint)))}, is {value!r}")
        return value
    if origin is tuple:
        return _tuple(get_args(hint), value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise SchemaError(f"{where}: must be a mapping, is {_kind(value)}")
        item_hint = get_args(hint)[1]
        return {str(key): _value(item_hint, item, f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint):
        return parse(hint, value, where)  # type: ignore[arg-type]
    return _scalar(hint, value, where)


def _tuple(args: tuple[Any, ...], value: object, where: str) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise SchemaError(f"{where}: must be a list, is {_kind(value)}")
    if args[-1] is Ellipsis:
        return tuple(_value(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(args):
        raise SchemaError(f"{where}: must be a list of {len(args)}, has {len(value)}")
    return tuple(
        _value(arg, item, f"{where}[{i}]") for i, (arg, item) in enumerate(zip(args, value, strict=True))
    )


def _scalar(hint: type, value: object, where: str) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is an int to Python, but `overlap: true` is a mistake.
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SchemaError(f"{where}: must be {hint.__name__}, is {_kind(value)}")
    return value


def _kind(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r}"[:80]


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
