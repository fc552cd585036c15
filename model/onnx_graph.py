"""The nodes of an ONNX file's graph, and the few constants that decide on shapes, read as `onnx_header` does.

Weights are not read, only counted.
"""

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.onnx_header import (
    FLOAT,
    GRAPH_INITIALIZER,
    GRAPH_INPUT,
    GRAPH_NODE,
    GRAPH_OUTPUT,
    MODEL_GRAPH,
    NO_MODEL,
    NODE_ATTRIBUTE,
    NODE_DOMAIN,
    NODE_OP_TYPE,
    STANDARD,
    TENSOR_NAME,
    VALUE_NAME,
    Field,
    OnnxFileError,
    as_bytes,
    as_number,
    as_text,
    fields,
    parse_mapped,
    varint,
)

NODE_INPUT, NODE_OUTPUT = 1, 2
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TEXT, ATTRIBUTE_TENSOR, ATTRIBUTE_INTS = 1, 3, 4, 5, 8
TENSOR_DIMS, TENSOR_TYPE, TENSOR_RAW = 1, 2, 9
PACKED_FIELDS: Mapping[int, int] = {FLOAT: 4, 6: 5, 7: 7}
"""Field in which values of a type stand where they are not raw bytes, by element type."""
KNOWN_TYPES: Mapping[int, str] = {FLOAT: "<f4", 6: "<i4", 7: "<i8"}
"""Element types whose small constants are read: float, int32, int64."""
MOST_VALUES = 64
"""Constants with more values than this are weights, and decide on no shape."""

Shape = tuple[int, ...]
Values = NDArray[Any]
"""Values of a small constant, int64 or float64."""


@dataclass(frozen=True, kw_only=True)
class Constant:
    """A tensor that the file holds."""

    shape: Shape
    values: Values | None
    """Its values, where they are few and of a type that shapes are made of."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation."""

    operator: str
    """Its type; of another domain than the standard one as `domain.Type`."""
    inputs: tuple[str, ...]
    """Names; empty where an input is left out."""
    outputs: tuple[str, ...]
    numbers: Mapping[str, int]
    """Attributes that are whole numbers."""
    lists: Mapping[str, Shape]
    """Attributes that are lists of whole numbers."""
    texts: Mapping[str, str]
    constant: Constant | None
    """The attribute that is a tensor, of `Constant` and `ConstantOfShape`."""


@dataclass(frozen=True, kw_only=True)
class OnnxGraph:
    """A file's graph."""

    nodes: tuple[Node, ...]
    """In an order in which they can be computed, as ONNX demands."""
    constants: Mapping[str, Constant]
    """Weights and the like, by name."""
    inputs: tuple[str, ...]
    """Without those that are weights."""
    outputs: tuple[str, ...]

    @property
    def weights(self) -> int:
        """Values of all constants."""
        held = [*self.constants.values(), *(node.constant for node in self.nodes if node.constant)]
        return sum(prod(constant.shape) for constant in held)


def read_onnx_graph(path: Path) -> OnnxGraph:
    """Read the graph of an ONNX file.

    Raises:
        OnnxFileError: it is none, or damaged.
        OSError: it cannot be read.
    """
    return parse_mapped(path, parse_onnx_graph)


def parse_onnx_graph(data: bytes | mmap.mmap) -> OnnxGraph:
    """The same from a file's bytes.

    Raises:
        OnnxFileError: they are no ONNX model.
    """
    try:
        graphs = [as_bytes(value) for number, value in fields(memoryview(data)) if number == MODEL_GRAPH]
        return _graph(graphs[0])
    except (IndexError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise OnnxFileError(NO_MODEL) from error


def _graph(data: memoryview) -> OnnxGraph:
    nodes, constants = [], {}
    inputs: list[str] = []
    outputs: list[str] = []
    for number, value in fields(data):
        if number == GRAPH_NODE:
            nodes.append(_node(as_bytes(value)))
        elif number == GRAPH_INITIALIZER:
            name, constant = _tensor(as_bytes(value))
            constants[name] = constant
        elif number in (GRAPH_INPUT, GRAPH_OUTPUT):
            name = as_text(dict(fields(as_bytes(value))).get(VALUE_NAME, b""))
            (inputs if number == GRAPH_INPUT else outputs).append(name)
    return OnnxGraph(
        nodes=tuple(nodes),
        constants=constants,
        inputs=tuple(name for name in inputs if name not in constants),
        outputs=tuple(outputs),
    )


def _node(data: memoryview) -> Node:
    texts: dict[int, list[str]] = {NODE_INPUT: [], NODE_OUTPUT: [], NODE_OP_TYPE: [""], NODE_DOMAIN: [""]}
    numbers: dict[str, int] = {}
    lists: dict[str, Shape] = {}
    words: dict[str, str] = {}
    constant: Constant | None = None
    for number, value in fields(data):
        if number in texts:
            texts[number].append(as_text(value))
        elif number == NODE_ATTRIBUTE:
            whole: list[int] = []
            found: dict[int, Field] = {}
            for part, content in fields(as_bytes(value)):
                found[part] = content
                if part == ATTRIBUTE_INTS:
                    whole += _numbers(content)
            name = as_text(found.get(ATTRIBUTE_NAME, b""))
            if whole:
                lists[name] = tuple(whole)
            if ATTRIBUTE_INT in found:
                numbers[name] = _signed(as_number(found[ATTRIBUTE_INT]))
            if ATTRIBUTE_TEXT in found:
                words[name] = as_text(found[ATTRIBUTE_TEXT])
            if ATTRIBUTE_TENSOR in found:
                constant = _tensor(as_bytes(found[ATTRIBUTE_TENSOR]))[1]
    domain, kind = texts[NODE_DOMAIN][-1], texts[NODE_OP_TYPE][-1]
    return Node(
        operator=kind if domain in STANDARD else f"{domain}.{kind}",
        inputs=tuple(texts[NODE_INPUT]),
        outputs=tuple(texts[NODE_OUTPUT]),
        numbers=numbers,
        lists=lists,
        texts=words,
        constant=constant,
    )


def _tensor(data: memoryview) -> tuple[str, Constant]:
    """Name and content of a tensor."""
    name, kind, dims, raw = "", 0, list[int](), memoryview(b"")
    listed: dict[int, list[memoryview | int]] = {}
    for number, value in fields(data):
        if number == TENSOR_NAME:
            name = as_text(value)
        elif number == TENSOR_TYPE:
            kind = as_number(value)
        elif number == TENSOR_DIMS:
            dims += _numbers(value)
        elif number == TENSOR_RAW:
            raw = as_bytes(value)
        elif number in PACKED_FIELDS.values():
            listed.setdefault(number, []).append(value)
    values: Values | None = None
    if kind in KNOWN_TYPES and prod(dims) <= MOST_VALUES:
        if len(raw):
            values = np.frombuffer(raw, KNOWN_TYPES[kind]).astype(np.float64 if kind == FLOAT else np.int64)
        else:
            values = _listed(listed.get(PACKED_FIELDS[kind], []), kind)
        if values.size != prod(dims):
            raise OnnxFileError(NO_MODEL)
        values = values.reshape(dims)
    return name, Constant(shape=tuple(dims), values=values)


def _listed(found: list[memoryview | int], kind: int) -> Values:
    """Values that do not stand as raw bytes: one field each, or many in one."""
    if kind == FLOAT:
        return np.concatenate(
            [np.frombuffer(as_bytes(value), "<f4").astype(np.float64) for value in found] or [np.zeros(0)]
        )
    return np.array([number for value in found for number in _numbers(value)], np.int64)


def _numbers(value: Field) -> list[int]:
    """Whole numbers of a field that holds one, or several packed."""
    if isinstance(value, int):
        return [_signed(value)]
    found, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        found.append(_signed(number))
    return found


def _signed(number: int) -> int:
    """A whole number as it was meant: negative ones are written as 2⁶⁴ less.

    >>> _signed(2**64 - 1)
    -1
    """
    return number - (1 << 64) if number >> 63 else number
