"""From parsed JSON or YAML to frozen dataclasses, strictly, naming every field that is wrong; and back.

Used for bundle manifests and training recipes, so that both refuse unknown, missing and ill-typed fields in
the same
words: `members[0].weight: must be above 0, is -1`. Value checks live in each dataclass's `__post_init__`,
    which raises
`ValueError("weight: must be ...")`; the parser puts the path in front. All faults of a document are found at
once.

**Tagged unions** let a scheme be a class of its own: each class of the union has a first field
`kind: Literal["name"] = "name"`, and a document says which one it means by that name:

    resampling: Linear | Area        {"kind": "area"}  →  Area()
"""

import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
KIND = "kind"
MOST_FAULTS = 20
"""So many are named; a list with more is not looked at any further."""
MOST_CHARACTERS = 500
"""Of a fault, in messages: it may hold what the document says."""

Hint = Any
"""A type annotation, for which Python has no narrower type."""


class SchemaError(ValueError):
    """Fields of a document are unknown, missing, of the wrong type or out of range.

    The message names each of them, up to `MOST_FAULTS`.
    """

    def __init__(self, *faults: str) -> None:
        named = [fault[:MOST_CHARACTERS] for fault in faults[:MOST_FAULTS]]
        more = ["and more"] if len(faults) > MOST_FAULTS else []
        super().__init__("; ".join([*named, *more]))
        self.faults = faults


def parse(cls: type[T], document: object, where: str = "") -> T:
    """Build a dataclass from a parsed JSON or YAML mapping.

    Lists become tuples, integers are taken where floats are asked for, nothing else is converted.

    Args:
        cls: a dataclass whose annotations are str, int, float, bool, Literal, dataclasses, `tuple[...]`,
            `Mapping[str, ...]`, and unions of these: at most one of each JSON type, or dataclasses told apart
            by kind.
        document: what the JSON or YAML parser returned.
        where: path of the document inside a larger one, for messages.

    Raises:
        SchemaError: naming all faulty fields.
    """
    if not isinstance(document, Mapping):
        raise SchemaError(f"{where or 'document'}: must be a mapping, is {_shown(document)}")
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    faults = [
        f"{_join(where, str(key))}: unknown field; known are {', '.join(fields)}"
        for key in document
        if key not in fields
    ]
    values = {}
    for name, field in fields.items():
        try:
            if name in document:
                values[name] = _value(hints[name], document[name], _join(where, name))
            elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                faults.append(f"{_join(where, name)}: missing")
        except SchemaError as error:
            faults += error.faults
    if faults:
        raise SchemaError(*faults)
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


def texts_of(document: object, where: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a document, keys of mappings too, each with the path of what holds it.

    >>> list(texts_of({"a": ["b", 1]}))
    [('document', 'a'), ('a[0]', 'b')]

    Args:
        document: as `dump` gives it, or a parser of JSON or YAML.
        where: its path inside a larger one.
    """
    if isinstance(document, str):
        yield where, document
    elif isinstance(document, Mapping):
        for key, item in document.items():
            yield where or "document", str(key)
            yield from texts_of(item, _join(where, str(key)))
    elif isinstance(document, list | tuple):
        for index, item in enumerate(document):
            yield from texts_of(item, f"{where}[{index}]")


def kind_of(cls: type) -> str | None:
    """The name by which documents choose a class of a tagged union; None for other classes."""
    hint: Any = get_type_hints(cls).get(KIND)
    origin: Any = get_origin(hint)
    return str(get_args(hint)[0]) if origin is Literal else None


def union_members(hint: Hint) -> tuple[Hint, ...]:
    """The types that a `Union` or `X | Y` joins; the type alone where it is none."""
    origin: Any = get_origin(hint)
    return get_args(hint) if origin in (Union, types.UnionType) else (hint,)


def _value(hint: Hint, value: object, where: str) -> object:
    origin: Any = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _of_union(union_members(hint), value, where)
    if origin is Literal:
        if value not in get_args(hint):
            raise SchemaError(f"{where}: must be one of {', '.join(map(str, get_args(hint)))}, is {value!r}")
        return value
    if origin is tuple:
        return _tuple(get_args(hint), value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise SchemaError(f"{where}: must be a mapping, is {_shown(value)}")
        item_hint = get_args(hint)[1]
        return dict(
            zip(
                map(str, value),
                _all([(item_hint, item, f"{where}.{key}") for key, item in value.items()]),
                strict=True,
            )
        )
    if dataclasses.is_dataclass(hint):
        return parse(hint, value, where)  # type: ignore[arg-type]
    return _scalar(hint, value, where)


def _of_union(hints: tuple[Hint, ...], value: object, where: str) -> object:
    if value is None and type(None) in hints:
        return None
    classes = [hint for hint in hints if dataclasses.is_dataclass(hint)]
    others = [hint for hint in hints if hint is not type(None) and hint not in classes]
    if len(classes) > 1 and (isinstance(value, Mapping) or not others):
        return parse(_chosen(classes, value, where), value, where)
    if classes and (isinstance(value, Mapping) or not others):
        return parse(classes[0], value, where)  # type: ignore[arg-type]
    is_list = isinstance(value, list | tuple)
    origins: list[Any] = [get_origin(hint) for hint in others]
    fitting = [hint for hint, origin in zip(others, origins, strict=True) if (origin is tuple) == is_list]
    for hint in fitting[:-1]:
        try:
            return _value(hint, value, where)
        except SchemaError:
            continue
    return _value((fitting or others)[-1], value, where)


def _chosen(classes: list[Hint], value: object, where: str) -> type:
    """The class of a tagged union that a document names."""
    by_kind = {kind_of(cls): cls for cls in classes}
    known = ", ".join(map(str, by_kind))
    if not isinstance(value, Mapping):
        raise SchemaError(f"{where}: must be a mapping with a kind, one of {known}; is {_shown(value)}")
    if KIND not in value:
        raise SchemaError(f"{where}.{KIND}: missing; known are {known}")
    if value[KIND] not in list(by_kind):  # A list, since a document's kind may be what cannot be hashed.
        raise SchemaError(f"{where}.{KIND}: must be one of {known}, is {value[KIND]!r}")
    chosen: type = by_kind[value[KIND]]
    return chosen


def _tuple(args: tuple[Hint, ...], value: object, where: str) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        raise SchemaError(f"{where}: must be a list, is {_shown(value)}")
    if args[-1] is Ellipsis:
        return tuple(_all([(args[0], item, f"{where}[{i}]") for i, item in enumerate(value)]))
    if len(value) != len(args):
        raise SchemaError(f"{where}: must be a list of {len(args)}, has {len(value)}")
    return tuple(
        _all([(arg, item, f"{where}[{i}]") for i, (arg, item) in enumerate(zip(args, value, strict=True))])
    )


def _all(items: list[tuple[Hint, object, str]]) -> list[object]:
    """The values of several places, or the faults of all of them, up to as many as are named."""
    values: list[object] = []
    faults: list[str] = []
    for hint, item, where in items:
        if len(faults) >= MOST_FAULTS:
            break
        try:
            values.append(_value(hint, item, where))
        except SchemaError as error:
            faults += error.faults
    if faults:
        raise SchemaError(*faults)
    return values


def _scalar(hint: type, value: object, where: str) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as error:
            raise SchemaError(f"{where}: is too large a number") from error
    # bool is an int to Python, but `weight: true` is a mistake.
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise SchemaError(f"{where}: must be {hint.__name__}, is {_shown(value)}")
    return value


def _shown(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {value!r}"[:80]


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
