"""What an ONNX file says of itself, read without the packages that run or edit such files.

ONNX files are Protocol Buffers messages: fields of `number, kind, value`, where a value is a number or a run
of bytes that may be a message again. Only the few fields below are looked into; weights are passed over by
their length. Field numbers are those of `onnx.proto` (ONNX 1.x, stable since 2017).
"""

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

MODEL_GRAPH, MODEL_OPSET = 7, 8
OPSET_DOMAIN, OPSET_VERSION = 1, 2
MODEL_FUNCTION = 25
FUNCTION_NAME, FUNCTION_NODE, FUNCTION_DOMAIN, FUNCTION_ATTRIBUTE = 1, 7, 10, 11
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_SPARSE = 1, 5, 11, 12, 15
GRAPH_FIELDS = (GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT)
NODE_OP_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
SPARSE_TENSORS = (1, 2)
TENSOR_NAME, TENSOR_EXTERNAL, TENSOR_DATA_LOCATION = 8, 13, 14
VALUE_NAME, VALUE_TYPE = 1, 2
TYPE_TENSOR = 1
TENSOR_ELEMENT, TENSOR_SHAPE = 1, 2
SHAPE_DIMENSION, DIMENSION_VALUE = 1, 1

STANDARD = ("", "ai.onnx")
"""Names of the domain of standard operators."""
FLOAT, FLOAT16 = 1, 10
"""Numbers of element types."""


NO_MODEL = "not an ONNX model, or damaged"


class OnnxFileError(ValueError):
    """A file is not an ONNX model, or a damaged one."""


@dataclass(frozen=True, kw_only=True)
class OnnxValue:
    """An input or output of a network."""

    name: str
    element_type: int
    """`FLOAT`, `FLOAT16` or another number of ONNX's `TensorProto.DataType`."""
    shape: tuple[int | None, ...]
    """Sides; None where the file leaves one open."""


@dataclass(frozen=True, kw_only=True)
class OnnxHeader:
    """What a file says of itself."""

    opset: int
    """Version of the standard operators; 0 where the file names none."""
    inputs: tuple[OnnxValue, ...]
    """Without those that are weights."""
    outputs: tuple[OnnxValue, ...]
    operators: frozenset[str]
    """Types of the operators used; those of another domain as `domain.Type`."""
    functions: frozenset[str] = frozenset()
    """Operators that the file defines itself, named like `operators`: their nodes are not among those."""
    external_data: bool
    """Whether weights or constants, wherever they stand, lie in other files."""


def read_onnx_header(path: Path) -> OnnxHeader:
    """Read what an ONNX file says of itself.

    Raises:
        OnnxFileError: it is none, or damaged.
        OSError: it cannot be read.
    """
    return parse_mapped(path, parse_onnx_header)


def parse_mapped(path: Path, parse: Callable[[mmap.mmap], T]) -> T:
    """What is made of a file's bytes, which are mapped and not read.

    A file may be hundreds of megabytes of weights that are passed over.

    Raises:
        OnnxFileError: it is empty, or `parse` found it damaged.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            return parse(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError as error:  # An empty file cannot be mapped.
            raise OnnxFileError(NO_MODEL) from error


def parse_onnx_header(data: bytes | mmap.mmap) -> OnnxHeader:
    """The same from a file's bytes.

    Raises:
        OnnxFileError: they are no ONNX model.
    """
    try:
        return _model(memoryview(data))
    except (IndexError, UnicodeDecodeError, TypeError, RecursionError) as error:
        raise OnnxFileError(NO_MODEL) from error


def _model(data: memoryview) -> OnnxHeader:
    opset, graphs, functions = 0, [], []
    for number, value in fields(data):
        if number == MODEL_GRAPH:
            graphs.append(as_bytes(value))
        elif number == MODEL_FUNCTION:
            functions.append(as_bytes(value))
        elif number == MODEL_OPSET:
            entry = dict(fields(as_bytes(value)))
            if as_text(entry.get(OPSET_DOMAIN, b"")) in STANDARD:
                opset = as_number(entry.get(OPSET_VERSION, 0))
    if len(graphs) != 1:
        raise OnnxFileError(NO_MODEL)
    graph: dict[int, list[memoryview]] = {number: [] for number in GRAPH_FIELDS}
    for number, value in fields(graphs[0]):
        if number in graph:
            graph[number].append(as_bytes(value))
    tensors = [dict(fields(data)) for data in graph[GRAPH_INITIALIZER]]
    weights = {as_text(tensor.get(TENSOR_NAME, b"")) for tensor in tensors}
    inputs = [_value_info(data) for data in graph[GRAPH_INPUT]]
    return OnnxHeader(
        opset=opset,
        inputs=tuple(each for each in inputs if each.name not in weights),
        outputs=tuple(_value_info(data) for data in graph[GRAPH_OUTPUT]),
        operators=frozenset(_operator(data) for data in graph[GRAPH_NODE]),
        functions=frozenset(map(_function_name, functions)),
        external_data=_graph_is_external(graphs[0]) or any(map(_function_is_external, functions)),
    )


def _graph_is_external(graph: memoryview) -> bool:
    """Whether a graph, or one inside it, keeps a tensor in another file."""
    sparse = _all(graph, GRAPH_SPARSE)
    tensors = [*_all(graph, GRAPH_INITIALIZER), *(t for s in sparse for t in _all(s, *SPARSE_TENSORS))]
    return any(map(_is_external, tensors)) or any(map(_node_is_external, _all(graph, GRAPH_NODE)))


def _function_is_external(function: memoryview) -> bool:
    attributes = _all(function, FUNCTION_ATTRIBUTE)
    return any(map(_attribute_is_external, attributes)) or any(
        map(_node_is_external, _all(function, FUNCTION_NODE))
    )


def _node_is_external(node: memoryview) -> bool:
    return any(map(_attribute_is_external, _all(node, NODE_ATTRIBUTE)))


def _attribute_is_external(attribute: memoryview) -> bool:
    sparse = _all(attribute, *ATTRIBUTE_SPARSE)
    tensors = [*_all(attribute, *ATTRIBUTE_TENSORS), *(t for s in sparse for t in _all(s, *SPARSE_TENSORS))]
    return any(map(_is_external, tensors)) or any(map(_graph_is_external, _all(attribute, *ATTRIBUTE_GRAPHS)))


def _is_external(tensor: memoryview) -> bool:
    """Whether a tensor says anything of another file; more than libraries that read it may notice."""
    held = dict(fields(tensor))
    return bool(held.get(TENSOR_DATA_LOCATION)) or TENSOR_EXTERNAL in held


def _all(data: memoryview, *numbers: int) -> list[memoryview]:
    """The messages that stand under these numbers."""
    return [as_bytes(value) for number, value in fields(data) if number in numbers]


def _operator(data: memoryview) -> str:
    node = dict(fields(data))
    return _qualified(node.get(NODE_DOMAIN, b""), node.get(NODE_OP_TYPE, b""))


def _function_name(data: memoryview) -> str:
    function = dict(fields(data))
    return _qualified(function.get(FUNCTION_DOMAIN, b""), function.get(FUNCTION_NAME, b""))


def _value_info(data: memoryview) -> OnnxValue:
    entry = dict(fields(data))
    tensor = dict(fields(as_bytes(dict(fields(as_bytes(entry.get(VALUE_TYPE, b"")))).get(TYPE_TENSOR, b""))))
    shape: list[int | None] = []
    for number, value in fields(as_bytes(tensor.get(TENSOR_SHAPE, b""))):
        if number == SHAPE_DIMENSION:
            side = dict(fields(as_bytes(value))).get(DIMENSION_VALUE)
            shape.append(None if side is None else as_number(side))
    return OnnxValue(
        name=as_text(entry.get(VALUE_NAME, b"")),
        element_type=as_number(tensor.get(TENSOR_ELEMENT, 0)),
        shape=tuple(shape),
    )


Field = int | memoryview
"""A field's value: a number, or bytes that may be a message again."""


def fields(data: memoryview) -> Iterator[tuple[int, Field]]:
    """Numbers and values of a message's fields, in the order in which they stand.

    Raises:
        OnnxFileError: the bytes are no message.
    """
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key >> 32:  # Libraries cut longer keys off, and would read another field than we do.
            raise OnnxFileError(NO_MODEL)
        kind = key & 7
        if kind == 0:
            value: Field
            value, at = varint(data, at)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value, at = data[at : at + length], at + length
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
        else:
            raise OnnxFileError(NO_MODEL)
        if at > len(data):
            raise OnnxFileError(NO_MODEL)
        yield key >> 3, value


def varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number in groups of seven bits, the lowest first, and the place after it."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise OnnxFileError(NO_MODEL)


def as_bytes(value: Field | bytes) -> memoryview:
    """A field that must be bytes.

    Raises:
        OnnxFileError: it is a number.
    """
    if isinstance(value, int):
        raise OnnxFileError(NO_MODEL)
    return memoryview(value)


def as_text(value: Field | bytes) -> str:
    """A field that must be text.

    Raises:
        OnnxFileError: it is a number.
    """
    return bytes(as_bytes(value)).decode("utf-8")


def _qualified(domain: Field | bytes, kind: Field | bytes) -> str:
    where, name = as_text(domain), as_text(kind)
    return name if where in STANDARD else f"{where}.{name}"


def as_number(value: Field | bytes) -> int:
    """A field that must be a number, as it is written: without a sign.

    Raises:
        OnnxFileError: it is none.
    """
    if not isinstance(value, int):
        raise OnnxFileError(NO_MODEL)
    return value
