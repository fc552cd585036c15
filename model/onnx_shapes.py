"""Shapes of all values of an ONNX graph for an input of a given shape, by the rules of its operators.

What networks for segmentation are made of is known; anything else is refused by name. Shapes may be computed
by the graph itself (`Shape`, `Gather`, `Concat`, `Reshape` of open sides), so that small values are followed
too.
"""

from collections.abc import Callable, Mapping
from math import ceil, floor, prod

import numpy as np

from model.onnx_graph import MOST_VALUES, Node, OnnxGraph, Shape, Values

ELEMENTWISE = frozenset(
    {
        *("Abs", "Add", "And", "Cast", "Ceil", "Clip", "Div", "Dropout", "Elu", "Equal", "Erf"),
        *("Exp", "Floor", "Gelu", "Greater", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu"),
        *("Less", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "Or", "PRelu", "Pow"),
        *("Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt"),
        *("Sub", "Sum", "Tanh", "Where"),
    }
)
"""Operators that give one value for each of their inputs, which are brought to one shape."""
NORMS = frozenset(
    {
        *("BatchNormalization", "GroupNormalization", "InstanceNormalization"),
        *("LayerNormalization", "LogSoftmax", "Softmax", "LpNormalization"),
        "MeanVarianceNormalization",
    }
)
"""Operators whose result has the shape of their first input."""
WHOLE_TYPES = (6, 7)
"""Numbers of the element types int32 and int64."""
FOLLOWED: Mapping[str, Callable[..., Values]] = {
    "Add": lambda _, left, right: np.asarray(left + right),
    "Sub": lambda _, left, right: np.asarray(left - right),
    "Mul": lambda _, left, right: np.asarray(left * right),
    # Whole numbers stay whole.
    "Div": lambda _, left, right: np.asarray(
        left // right if left.dtype == right.dtype == np.int64 else left / right
    ),
    "Floor": lambda _, value: np.floor(value),
    "Ceil": lambda _, value: np.ceil(value),
    "Identity": lambda _, value: value,
    "Cast": lambda node, value: value.astype(np.int64 if node.numbers["to"] in WHOLE_TYPES else np.float64),
    "Concat": lambda node, *values: np.concatenate(values, axis=node.numbers["axis"]),
    "Gather": lambda node, value, index: np.take(value, index, axis=node.numbers.get("axis", 0)),
}
"""What small values become, by operator."""


class UnknownShapeError(ValueError):
    """A graph has an operator whose result's shape is not known here, or does not fit its inputs."""


def infer_shapes(graph: OnnxGraph, input_shape: Shape) -> dict[str, Shape]:
    """Shapes of all values of a graph by name, constants not among them.

    Args:
        graph: a network of one input.
        input_shape: (batch, channels, *window).

    Raises:
        UnknownShapeError: an operator is not known, or the graph does not take such an input.
    """
    if len(graph.inputs) != 1:
        raise UnknownShapeError(f"has {len(graph.inputs)} inputs")
    inference = _Inference(graph, input_shape)
    for node in graph.nodes:
        try:
            with np.errstate(all="ignore"):  # What a damaged file computes may be anything.
                inference.add(node)
        except (IndexError, KeyError, ValueError, TypeError, ZeroDivisionError, OverflowError) as error:
            raise UnknownShapeError(f"{node.operator}: the shape of its result is not known") from error
    return inference.shapes


class _Inference:
    """Shapes and small values found so far."""

    def __init__(self, graph: OnnxGraph, input_shape: Shape) -> None:
        self.shapes: dict[str, Shape] = {graph.inputs[0]: tuple(input_shape)}
        self._constants = {name: constant.shape for name, constant in graph.constants.items()}
        self._values: dict[str, Values] = {
            name: constant.values for name, constant in graph.constants.items() if constant.values is not None
        }

    def add(self, node: Node) -> None:
        """Find what one node gives."""
        values = self._computed(node)
        if values is not None and values.size <= MOST_VALUES:
            self._values[node.outputs[0]] = values
        shapes = [values.shape] if values is not None else self._results(node)
        self.shapes.update(zip(node.outputs, shapes, strict=False))

    def _shape(self, node: Node, index: int = 0) -> Shape:
        name = node.inputs[index]
        return self.shapes[name] if name in self.shapes else self._constants[name]

    def _value(self, node: Node, index: int) -> Values | None:
        """Values of an input, where it is there and they are known."""
        return self._values.get(node.inputs[index]) if index < len(node.inputs) else None

    def _whole(self, node: Node, index: int, attribute: str) -> Shape | None:
        """Whole numbers that are an input since some opset and were an attribute before; None: left out.

        Raises:
            ValueError: they are an input that is not known.
        """
        if attribute in node.lists:
            return node.lists[attribute]
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        values = self._value(node, index)
        if values is None:
            raise ValueError(attribute)
        return tuple(int(value) for value in values.reshape(-1))

    def _computed(self, node: Node) -> Values | None:
        """The result itself, where it is small and follows from what is known."""
        kind = node.operator
        if kind == "Constant":
            return _constant_values(node)
        if kind in ("Shape", "Size"):
            shape = np.array(self._shape(node), np.int64)
            return shape if kind == "Shape" else np.array(shape.prod())
        given = [self._values.get(name) for name in node.inputs if name]
        known = [value for value in given if value is not None]
        if not known or len(known) < len(given):
            return None
        if kind in ("Squeeze", "Unsqueeze", "Reshape"):
            return known[0].reshape(self._results(node)[0])
        if kind == "Slice":
            return known[0][_cut(known[0].shape, *self._bounds(node))]
        return FOLLOWED[kind](node, *known) if kind in FOLLOWED else None

    def _results(self, node: Node) -> list[Shape]:
        """Shapes of a node's results."""
        kind = node.operator
        if kind in ELEMENTWISE:
            shapes = [self._shape(node, index) for index, name in enumerate(node.inputs) if name]
            return [tuple(np.broadcast_shapes(*shapes))]
        if kind in NORMS:
            return [self._shape(node)]
        if kind in ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool"):
            return [self._spatial(node)]
        if kind.startswith("Reduce") or kind in ("GlobalAveragePool", "GlobalMaxPool"):
            return [self._reduced(node)]
        if kind == "Constant":
            return [node.constant.shape if node.constant else ()]
        if kind in RESHAPING:
            return [RESHAPING[kind](self, node)]
        if kind == "Split":
            return self._split(node)
        raise UnknownShapeError(f"{kind}: the shape of its result is not known")

    def _spatial(self, node: Node) -> Shape:
        """Result of a convolution or of pooling: https://onnx.ai/onnx/operators."""
        batch, channels, *sides = self._shape(node)
        rank = len(sides)
        turned = node.operator == "ConvTranspose"
        if node.operator in ("Conv", "ConvTranspose"):
            weights = self._shape(node, 1)
            kernel = node.lists.get("kernel_shape", weights[2:])
            channels = weights[1] * node.numbers.get("group", 1) if turned else weights[0]
        else:
            kernel = node.lists["kernel_shape"]
        strides = node.lists.get("strides", (1,) * rank)
        dilations = node.lists.get("dilations", (1,) * rank)
        pads = node.lists.get("pads", (0,) * 2 * rank)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        padding = node.texts.get("auto_pad", "NOTSET")
        if padding.startswith("SAME"):
            out = [s * n if turned else ceil(s / n) for s, n in zip(sides, strides, strict=True)]
        elif turned:
            more = node.lists.get("output_padding", (0,) * rank)
            out = [
                (side - 1) * strides[i] + reach[i] - pads[i] - pads[i + rank] + more[i]
                for i, side in enumerate(sides)
            ]
        else:
            rounded = ceil if node.numbers.get("ceil_mode") else floor
            out = [
                rounded((side + pads[i] + pads[i + rank] - reach[i]) / strides[i]) + 1
                for i, side in enumerate(sides)
            ]
        return batch, channels, *out

    def _reduced(self, node: Node) -> Shape:
        shape = self._shape(node)
        if node.operator.startswith("Global"):
            return (*shape[:2], *(1 for _ in shape[2:]))
        axes = self._whole(node, 1, "axes") or tuple(range(len(shape)))
        gone = {axis % len(shape) for axis in axes}
        if node.numbers.get("keepdims", 1):
            return tuple(1 if axis in gone else side for axis, side in enumerate(shape))
        return tuple(side for axis, side in enumerate(shape) if axis not in gone)

    def _concat(self, node: Node) -> Shape:
        shapes = [self._shape(node, index) for index in range(len(node.inputs))]
        axis = node.numbers["axis"] % len(shapes[0])
        return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])

    def _reshape(self, node: Node) -> Shape:
        shape, wanted = self._shape(node), self._whole(node, 1, "shape")
        if wanted is None:
            raise ValueError("shape")
        sides = [shape[i] if side == 0 else side for i, side in enumerate(wanted)]
        if -1 in sides:
            sides[sides.index(-1)] = prod(shape) // -prod(sides)
        return tuple(sides)

    def _flatten(self, node: Node) -> Shape:
        shape, axis = self._shape(node), node.numbers.get("axis", 1)
        return prod(shape[:axis]), prod(shape[axis:])

    def _transpose(self, node: Node) -> Shape:
        shape = self._shape(node)
        return tuple(shape[axis] for axis in node.lists.get("perm", range(len(shape))[::-1]))

    def _squeeze(self, node: Node) -> Shape:
        shape, axes = self._shape(node), self._whole(node, 1, "axes")
        gone = {axis for axis, side in enumerate(shape) if side == 1} if axes is None else set()
        gone |= {axis % len(shape) for axis in axes or ()}
        return tuple(side for axis, side in enumerate(shape) if axis not in gone)

    def _unsqueeze(self, node: Node) -> Shape:
        shape, axes = self._shape(node), self._whole(node, 1, "axes") or ()
        rank = len(shape) + len(axes)
        added, sides = {axis % rank for axis in axes}, iter(shape)
        return tuple(1 if axis in added else next(sides) for axis in range(rank))

    def _expand(self, node: Node) -> Shape:
        return tuple(np.broadcast_shapes(self._shape(node), self._whole(node, 1, "shape") or ()))

    def _pad(self, node: Node) -> Shape:
        shape, pads = self._shape(node), self._whole(node, 1, "pads") or ()
        axes = self._whole(node, 3, "axes") or tuple(range(len(shape)))
        sides = list(shape)
        for index, axis in enumerate(axes):
            sides[axis] += pads[index] + pads[index + len(axes)]
        return tuple(sides)

    def _resize(self, node: Node) -> Shape:
        """`Resize` since opset 11, and `Upsample` before: sides, or what they are multiplied by."""
        shape = self._shape(node)
        axes = node.lists.get("axes", tuple(range(len(shape))))
        scales = self._value(node, 2 if node.operator == "Resize" else 1)
        sides = list(shape)
        for index, axis in enumerate(axes):
            if scales is not None and scales.size:
                sides[axis] = floor(shape[axis] * float(scales[index]))
            else:
                sides[axis] = (self._whole(node, 3, "sizes") or ())[index]
        return tuple(sides)

    def _bounds(self, node: Node) -> tuple[Shape, Shape, Shape | None, Shape | None]:
        """First, last, axes and steps of a slice."""
        first, stop = self._whole(node, 1, "starts"), self._whole(node, 2, "ends")
        if first is None or stop is None:
            raise ValueError("starts")
        return first, stop, self._whole(node, 3, "axes"), self._whole(node, 4, "steps")

    def _slice(self, node: Node) -> Shape:
        shape = self._shape(node)
        cut = _cut(shape, *self._bounds(node))
        return tuple(len(range(side)[part]) for side, part in zip(shape, cut, strict=True))

    def _gather(self, node: Node) -> Shape:
        shape, index = self._shape(node), self._shape(node, 1)
        axis = node.numbers.get("axis", 0) % len(shape)
        return (*shape[:axis], *index, *shape[axis + 1 :])

    def _split(self, node: Node) -> list[Shape]:
        shape, parts = self._shape(node), self._whole(node, 1, "split")
        axis, count = node.numbers.get("axis", 0) % len(shape), len(node.outputs)
        if parts is None:
            each = ceil(shape[axis] / count)
            parts = (*(each,) * (count - 1), shape[axis] - each * (count - 1))
        return [(*shape[:axis], part, *shape[axis + 1 :]) for part in parts]

    def _depth_to_space(self, node: Node) -> Shape:
        batch, channels, *sides = self._shape(node)
        block = node.numbers["blocksize"]
        return batch, channels // block ** len(sides), *(side * block for side in sides)

    def _matmul(self, node: Node) -> Shape:
        left, right = self._shape(node), self._shape(node, 1)
        if node.operator == "Gemm":
            rows = left[1] if node.numbers.get("transA") else left[0]
            return rows, right[0] if node.numbers.get("transB") else right[1]
        return (*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1])


RESHAPING: Mapping[str, Callable[[_Inference, Node], Shape]] = {
    "Concat": _Inference._concat,
    "Reshape": _Inference._reshape,
    "Flatten": _Inference._flatten,
    "Transpose": _Inference._transpose,
    "Squeeze": _Inference._squeeze,
    "Unsqueeze": _Inference._unsqueeze,
    "Expand": _Inference._expand,
    "Pad": _Inference._pad,
    "Resize": _Inference._resize,
    "Upsample": _Inference._resize,
    "Slice": _Inference._slice,
    "Gather": _Inference._gather,
    "DepthToSpace": _Inference._depth_to_space,
    "MatMul": _Inference._matmul,
    "Gemm": _Inference._matmul,
}
"""What finds the shape of the one result of each operator that is no arithmetic."""


def _constant_values(node: Node) -> Values | None:
    """What a `Constant` node holds; None where it is large or of another kind."""
    if node.constant is not None:
        return node.constant.values
    if "value_ints" in node.lists:
        return np.array(node.lists["value_ints"], np.int64)
    return np.array(node.numbers["value_int"], np.int64) if "value_int" in node.numbers else None


def _cut(
    shape: Shape, first: Shape, stop: Shape, axes: Shape | None, steps: Shape | None
) -> tuple[slice, ...]:
    """The slices that a `Slice` cuts out of an array of a shape."""
    parts = [slice(None)] * len(shape)
    for index, axis in enumerate(axes or range(len(first))):
        parts[axis] = slice(first[index], stop[index], steps[index] if steps else 1)
    return tuple(parts)
