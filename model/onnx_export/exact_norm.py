"""Instance norm whose sums are exact: taken row by row, then over rows, then over slices.

Both CPU runtimes add up the voxels of a channel one after the other in float32. Over the 2.5 million voxels
of a large window that is off by enough to move logits by 0.1. Here no more values are added at a time than a
window's side is long. In half floats the norm is one node again, whose sums are float32's:
`with_whole_norms`, and `inference.runtime.openvino_norm`.

    InstanceNormalization(x, scale, shift)  =  BatchNormalization(x, scale, shift, mean, variance)
    mean = Σ x / n,   variance = max(0, Σ x² / n − mean²),   Σ = over x, then y, then z

Shapes: x (1, channels, z, y, x).
"""

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model.arrays import F32

FEWEST_VOXELS = 1 << 12
"""Norms over fewer voxels stay one node: their sums are exact enough."""
RANK = 5
LEAST_OPSET = 18
"""Since when `ReduceL2` takes its axes as an input."""
MARK = "_of_exact_norm"
"""How the names of the nodes end that a norm is made of."""


def with_exact_norms(model: onnx.ModelProto) -> None:
    """Take the float32 norms of a model for single windows apart, in place, but those over few voxels.

    In half floats the sums of squares would not fit.
    """
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    if opset < LEAST_OPSET:
        return
    sizes = _voxels(model)
    channels = {weight.name: int(np.prod(weight.dims)) for weight in model.graph.initializer}
    constants: dict[str, NDArray[np.int64] | F32] = {}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        voxels = sizes.get(node.input[0]) if node.op_type == "InstanceNormalization" else None
        if voxels is None or 0 < voxels < FEWEST_VOXELS or node.input[1] not in channels:
            nodes.append(node)
        else:
            nodes += _Parts(channels[node.input[1]], constants).of(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(each, name) for name, each in constants.items())


def with_whole_norms(model: onnx.ModelProto) -> None:
    """Make one node again, in place, of each norm that `with_exact_norms` took apart."""
    nodes = [
        _whole(node) if node.op_type == "BatchNormalization" and node.name.endswith(MARK) else node
        for node in model.graph.node
        if node.op_type == "BatchNormalization" or not node.name.endswith(MARK)
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [weight for weight in model.graph.initializer if weight.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _whole(node: onnx.NodeProto) -> onnx.NodeProto:
    return helper.make_node(
        "InstanceNormalization",
        node.input[:3],
        node.output,
        node.name.removesuffix(MARK),
        epsilon=_epsilon(node),
    )


def _epsilon(node: onnx.NodeProto) -> float:
    return next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)


def _voxels(model: onnx.ModelProto) -> dict[str, int]:
    """Voxels of each float32 value (1, channels, z, y, x), by its name; 0 where they are not known."""
    inferred = onnx.shape_inference.infer_shapes(model).graph
    found = {}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        tensor = value.type.tensor_type
        sides = [side.dim_value for side in tensor.shape.dim]
        if tensor.elem_type == TensorProto.FLOAT and len(sides) == RANK and sides[0] == 1:
            found[value.name] = int(np.prod(sides[2:]))
    return found


class _Parts:
    """The nodes of one norm; constants that norms share are added to `constants`."""

    def __init__(self, channels: int, constants: dict[str, NDArray[np.int64] | F32]) -> None:
        self._channels = channels
        self._constants = constants

    def of(self, norm: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """What computes the same as an `InstanceNormalization`."""
        (x, scale, shift), (result,) = norm.input, norm.output
        count = f"{result}_voxels"
        yield self._node("Size", [x], f"{count}_all")
        yield self._node("Cast", [f"{count}_all"], f"{count}_float", to=TensorProto.FLOAT)
        channels = f"channels_{self._channels}{MARK}"
        self._constants[channels] = np.asarray(self._channels, np.float32)
        yield self._node("Div", [f"{count}_float", channels], count)
        sums, squares, lengths = f"{result}_row_sums", f"{result}_row_squares", f"{result}_row_lengths"
        yield self._node("ReduceSum", [x, self._axis(4)], sums, keepdims=0)
        # Not of x * x, which would take as much memory as x.
        yield self._node("ReduceL2", [x, self._axis(4)], lengths, keepdims=0)
        yield self._node("Mul", [lengths, lengths], squares)
        for rows, mean in ((sums, f"{result}_mean"), (squares, f"{result}_mean_square")):
            yield from self._mean_of_rows(rows, count, mean)
        mean, variance = f"{result}_mean", f"{result}_variance"
        yield self._node("Mul", [mean, mean], f"{mean}_squared")
        yield self._node("Sub", [f"{result}_mean_square", f"{mean}_squared"], f"{variance}_rounded")
        yield self._node("Relu", [f"{variance}_rounded"], variance)
        yield helper.make_node(
            "BatchNormalization",
            [x, scale, shift, mean, variance],
            [result],
            f"{norm.name}{MARK}",
            epsilon=_epsilon(norm),
        )

    def _mean_of_rows(self, rows: str, count: str, mean: str) -> Iterator[onnx.NodeProto]:
        """Means (channels,) from sums over rows (1, channels, z, y).

        Runtimes make one sum of several in a row, so a change of shape stands between them.
        """
        yield self._node("Reshape", [rows, self._shape("slices", 1, 1, -1, 0)], f"{mean}_rows")
        yield self._node("ReduceSum", [f"{mean}_rows", self._axis(3)], f"{mean}_of_slices", keepdims=0)
        channels = self._shape(f"by_channel_{self._channels}", self._channels, -1)
        yield self._node("Reshape", [f"{mean}_of_slices", channels], f"{mean}_slices")
        yield self._node("ReduceSum", [f"{mean}_slices", self._axis(1)], f"{mean}_sum", keepdims=0)
        yield self._node("Div", [f"{mean}_sum", count], mean)

    def _node(self, kind: str, inputs: list[str], result: str, **attributes: int) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [result], f"{result}{MARK}", **attributes)

    def _axis(self, axis: int) -> str:
        return self._shape(f"axis_{axis}", axis)

    def _shape(self, name: str, *sides: int) -> str:
        named = f"{name}{MARK}"
        self._constants[named] = np.array(sides, np.int64)
        return named
