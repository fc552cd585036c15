"""What a network takes in memory where nobody measured it, counted from its graph.

The graph is gone through for the window at hand: a result is alive from when it is computed until the last
operation has read it; an operation on single values takes over the memory of an input that nobody reads any
more. To the most that is alive at a time come weights, the network's result, which the libraries keep beside
all else, and what they take whatever the network. How much of each (`COSTS`) was fitted to measurements:
`python -m tests.inference.runtime.memory_table` holds them against each other, for other networks too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

from model.onnx_graph import Node, OnnxGraph, Shape, read_onnx_graph
from model.onnx_shapes import ELEMENTWISE, infer_shapes
from model.units import MIB

MARGIN = 1.08
"""By how much more is promised than was fitted: too little is worse than too much."""
FP32_BYTES = 4
IN_PLACE = ELEMENTWISE | {"BatchNormalization", "Flatten", "Reshape", "Squeeze", "Unsqueeze"}
"""Operators whose result may lie where an input did."""
MULTIPLYING = frozenset({"Conv", "Gemm", "MatMul"})
"""Operators that OpenVINO looks for when it decides what to compute in bf16."""
ABOUT_SHAPES = frozenset({"Shape", "Size"})
"""Operators that read no values."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a library takes in one precision."""

    fixed_mb: float
    """Whatever the network."""
    weights: float
    """Copies of all weights in fp32."""
    alive: float
    """Times what is alive at a time, for what lies between."""
    value_bytes: int
    """Of a value between two operations."""
    columns: float = 0.0
    """Share of the products of a transposed convolution that count as alive, where it writes all of them
    before it adds them up."""


COSTS: Mapping[str, Cost] = {
    "openvino-fp32": Cost(fixed_mb=59, weights=2.12, alive=1.11, value_bytes=4),
    "openvino-bf16": Cost(fixed_mb=55, weights=1.7, alive=1.15, value_bytes=2),
    # 5 % above the fit, which scatters more: the arena grows in steps, and keeps what it has.
    "onnxruntime-fp32": Cost(fixed_mb=20, weights=1.77, alive=2.48, value_bytes=4, columns=0.7),
}
"""By way to run a network, as in `Network.memory_mb`."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """What a network holds while it runs one window."""

    weights: int
    """Values."""
    alive_bytes: int
    """The most that is alive at a time."""
    result_bytes: int


def estimate_mb(path: Path, input_shape: Shape, way: str) -> float:
    """MiB of loading a network and running windows.

    Args:
        path: its ONNX file.
        input_shape: (batch, channels, *window).
        way: to run it, as in `Network.memory_mb`; for CUDA, which was not measured, onnxruntime's on the CPU
            in fp32 stands.

    Raises:
        OnnxFileError: the file is none, or damaged.
        OSError: it cannot be read.
        UnknownShapeError: it has an operator that is not known here, or does not take such a window.
    """
    cost, file = COSTS.get(way, COSTS["onnxruntime-fp32"]), path.stat()
    found = _held((path, file.st_size, file.st_mtime_ns), tuple(input_shape), cost)
    weights, alive = cost.weights * FP32_BYTES * found.weights, cost.alive * found.alive_bytes
    return MARGIN * (cost.fixed_mb + (weights + alive + found.result_bytes) / MIB)


_Version = tuple[Path, int, int]
"""A file, its size and when it was changed: what was read from it before holds as long as these do."""


@lru_cache(maxsize=1024)
def _held(file: _Version, input_shape: Shape, cost: Cost) -> Held:
    return count_held(_graph(file), input_shape, cost)


@lru_cache(maxsize=16)
def _graph(file: _Version) -> OnnxGraph:
    """A file's graph, read once: plans ask for many windows."""
    return read_onnx_graph(file[0])


def count_held(graph: OnnxGraph, input_shape: Shape, cost: Cost) -> Held:
    """What a network holds while it runs one window.

    Two convolutions of one channel each over a window of 1000 voxels in fp32: the input and the first result
    are alive at a time, then the first and the second: 8000 bytes.

    Raises:
        UnknownShapeError: see `estimate_mb`.
    """
    shapes = infer_shapes(graph, input_shape)
    nodes = _after_input(graph)
    wide = _tail(nodes, graph.outputs)

    def size_of(name: str) -> int:
        return prod(shapes[name]) * (FP32_BYTES if name in wide else cost.value_bytes) if name else 0

    blocks = _Blocks({name: index for index, node in enumerate(nodes) for name in node.inputs})
    blocks.add(graph.inputs[0], size_of(graph.inputs[0]), 0)
    most = 0
    for index, node in enumerate(nodes):
        over = node.inputs if node.operator in IN_PLACE else ()
        for name in node.outputs:
            blocks.add(name, size_of(name), index, over)
        columns = cost.columns * _columns(node, shapes, graph)
        most = max(most, blocks.total + round(FP32_BYTES * columns))
        blocks.drop(index)
    result = sum(FP32_BYTES * prod(shapes[name]) for name in graph.outputs)
    return Held(weights=graph.weights, alive_bytes=most, result_bytes=result)


def _after_input(graph: OnnxGraph) -> list[Node]:
    """The nodes that compute from the input's values; all else is done when a file is loaded."""
    moving, nodes = {graph.inputs[0]}, []
    for node in graph.nodes:
        if node.operator not in ABOUT_SHAPES and not moving.isdisjoint(node.inputs):
            moving.update(node.outputs)
            nodes.append(node)
    return nodes


def _columns(node: Node, shapes: Mapping[str, Shape], graph: OnnxGraph) -> int:
    """Values that a transposed convolution writes before it adds them up; 0 for other operators.

    One for each voxel of its input, place of its kernel and channel of its result.
    """
    if node.operator != "ConvTranspose":
        return 0
    weights = (
        graph.constants[node.inputs[1]].shape if node.inputs[1] in graph.constants else shapes[node.inputs[1]]
    )
    return prod(shapes[node.inputs[0]][2:]) * prod(weights[1:])


def _tail(nodes: Sequence[Node], results: Sequence[str]) -> set[str]:
    """Values that reach the network's result without a convolution on the way.

    OpenVINO computes those in fp32 whatever the precision.
    """
    makers = {name: node for node in nodes for name in node.outputs}
    todo, found = list(results), set[str]()
    while todo:
        name = todo.pop()
        if name in found or name not in makers:
            continue
        found.add(name)
        if makers[name].operator not in MULTIPLYING:
            todo += makers[name].inputs
    return found


class _Blocks:
    """Pieces of memory, and which result lies in which."""

    def __init__(self, last_use: Mapping[str, int]) -> None:
        self._last_use = last_use
        self._of: dict[str, str] = {}
        self._bytes: dict[str, int] = {}
        self._until: dict[str, int] = {}

    @property
    def total(self) -> int:
        """Bytes of all."""
        return sum(self._bytes.values())

    def add(self, name: str, size: int, index: int, over: Sequence[str] = ()) -> None:
        """Place a result of the operation `index`: over a value that it is the last to read, or anew."""
        end = self._last_use.get(name, index)
        for other in over:
            block = self._of.get(other)
            if block in self._bytes and self._bytes[block] == size and self._until[block] <= index:
                self._of[name], self._until[block] = block, end
                return
        self._of[name], self._bytes[name], self._until[name] = name, size, end

    def drop(self, index: int) -> None:
        """Give back what no operation after this one reads."""
        for block in [block for block, end in self._until.items() if end <= index]:
            del self._bytes[block], self._until[block]
