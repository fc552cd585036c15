"""Nodes and shapes of ONNX files, read without the onnx package, held against it and against counting."""

from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.onnx_graph import Constant, OnnxGraph, parse_onnx_graph, read_onnx_graph
from model.onnx_header import OnnxFileError
from model.onnx_shapes import UnknownShapeError, infer_shapes
from tests.inference.onnx_files import convolution
from tests.places import ROOT

EMBEDDED = sorted((ROOT / "bundles" / "default").glob("*.onnx"))
IMAGE = (1, 2, 8, 10, 12)


def graph_of(nodes, weights=()) -> OnnxGraph:
    """A graph from `image` to `result`, of weights by name."""
    built = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, IMAGE)],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in weights],
    )
    return parse_onnx_graph(helper.make_model(built).SerializeToString())


def result_of(operator, weights=(), inputs=("image",), **attributes):
    """Shape of what one operator makes of an image."""
    names = [*inputs, *(name for name, _ in weights)]
    graph = graph_of([helper.make_node(operator, names, ["result"], **attributes)], weights)
    return infer_shapes(graph, IMAGE)["result"]


def whole(*numbers):
    return np.array(numbers, np.int64)


def test_a_file_of_one_convolution():
    graph = parse_onnx_graph(convolution((1, 1, 4, 5, 6), 3).SerializeToString())
    (node,) = graph.nodes
    assert (node.operator, node.inputs, node.outputs) == ("Conv", ("image", "weights"), ("logits",))
    assert node.lists == {"pads": (1, 1, 1, 1, 1, 1)}
    assert graph.constants == {"weights": Constant(shape=(3, 1, 3, 3, 3), values=None)}  # 81 are too many.
    assert (graph.inputs, graph.outputs, graph.weights) == (("image",), ("logits",), 81)


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize(
    ("kind", "values"),
    [(TensorProto.INT64, [3, -1, 2]), (TensorProto.INT32, [-7]), (TensorProto.FLOAT, [0.5])],
)
def test_small_constants_are_read_however_they_are_written(kind, values, raw):
    data = np.array(values, helper.tensor_dtype_to_np_dtype(kind)).tobytes() if raw else values
    tensor = helper.make_tensor("c", kind, [len(values)], data, raw=raw)
    node = helper.make_node("Constant", [], ["result"], value=tensor)
    (read,) = graph_of([node]).nodes
    assert read.constant is not None
    assert read.constant.values is not None
    assert read.constant.values.tolist() == values


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.name)
def test_shapes_of_the_embedded_networks_are_those_of_the_onnx_package(path):
    window = (64, 64, 64) if path.name == "localization.onnx" else (16, 24, 40)
    model = onnx.load(path)
    for side, length in zip(model.graph.input[0].type.tensor_type.shape.dim, (1, 1, *window), strict=True):
        side.dim_value = length
    known = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = infer_shapes(read_onnx_graph(path), (1, 1, *window))
    for value in (*known.value_info, *known.output):
        assert shapes[value.name] == tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def weights_of(*shape):
    return [("weights", np.zeros(shape, np.float32))]


@pytest.mark.parametrize(
    ("found", "shape"),
    [
        # 8, 10 and 12 voxels: (8 + 2 - 3) / 2 + 1 = 4.5, rounded down.
        (result_of("Conv", weights_of(5, 2, 3, 3, 3), pads=[1] * 6, strides=[2] * 3), (1, 5, 4, 5, 6)),
        (result_of("Conv", weights_of(5, 2, 3, 3, 3), dilations=[2] * 3), (1, 5, 4, 6, 8)),
        (
            result_of("Conv", weights_of(5, 2, 3, 3, 3), auto_pad="SAME_UPPER", strides=[3] * 3),
            (1, 5, 3, 4, 4),
        ),
        (result_of("ConvTranspose", weights_of(2, 5, 2, 2, 2), strides=[2] * 3), (1, 5, 16, 20, 24)),
        (
            result_of(
                "ConvTranspose",
                weights_of(2, 5, 3, 3, 3),
                strides=[2] * 3,
                pads=[1] * 6,
                output_padding=[1] * 3,
            ),
            (1, 5, 16, 20, 24),
        ),
        (result_of("MaxPool", kernel_shape=[3] * 3, strides=[2] * 3), (1, 2, 3, 4, 5)),
        (result_of("MaxPool", kernel_shape=[3] * 3, strides=[2] * 3, ceil_mode=1), (1, 2, 4, 5, 6)),
        (result_of("GlobalAveragePool"), (1, 2, 1, 1, 1)),
        (result_of("ReduceMean", [("axes", whole(-1, 2))], keepdims=0), (1, 2, 10)),
        (result_of("ReduceSum"), (1, 1, 1, 1, 1)),
        (result_of("Concat", inputs=("image", "image"), axis=1), (1, 4, 8, 10, 12)),
        (result_of("Add", [("weights", np.zeros((3, 1, 1, 1, 1), np.float32))]), (3, 2, 8, 10, 12)),
        (
            result_of("Resize", [("s", np.array([1, 1, 2, 2, 0.5], np.float32))], ("image", "")),
            (1, 2, 16, 20, 6),
        ),
        (result_of("Reshape", [("shape", whole(0, -1, 12))]), (1, 160, 12)),
        (result_of("Flatten"), (1, 1920)),
        (result_of("Transpose", perm=[0, 2, 3, 4, 1]), (1, 8, 10, 12, 2)),
        (result_of("Squeeze", [("axes", whole(0))]), (2, 8, 10, 12)),
        (result_of("Squeeze"), (2, 8, 10, 12)),
        (result_of("Unsqueeze", [("axes", whole(0, -1))]), (1, 1, 2, 8, 10, 12, 1)),
        (result_of("Pad", [("pads", whole(0, 0, 1, 2, 3, 0, 0, 4, 5, 6))]), (1, 2, 13, 17, 21)),
        (result_of("Slice", [("a", whole(1)), ("b", whole(-1)), ("c", whole(2))]), (1, 2, 6, 10, 12)),
        (result_of("Expand", [("shape", whole(4, 1, 1, 1, 1))]), (4, 2, 8, 10, 12)),
        (result_of("Gather", [("index", whole(0, 1, 1))], axis=2), (1, 2, 3, 10, 12)),
        (result_of("DepthToSpace", blocksize=1), (1, 2, 8, 10, 12)),
    ],
)
def test_shapes_by_hand(found, shape):
    assert found == shape


@pytest.mark.parametrize("operator", ["InstanceNormalization", "MeanVarianceNormalization", "Softmax"])
def test_a_norm_keeps_the_shape(operator):
    assert result_of(operator) == IMAGE


def test_sides_that_the_graph_computes_are_followed():
    """The image's sides, halved, are what a second value is resized to: as exporters write `interpolate`."""
    nodes = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Gather", ["shape", "spatial"], ["sides"]),
        helper.make_node("Div", ["sides", "two"], ["halves"]),
        helper.make_node("Concat", ["front", "halves"], ["wanted"], axis=0),
        helper.make_node("Resize", ["image", "", "", "wanted"], ["result"]),
    ]
    weights = [("spatial", whole(2, 3, 4)), ("two", whole(2)), ("front", whole(1, 2))]
    assert infer_shapes(graph_of(nodes, weights), (1, 2, 9, 10, 12))["result"] == (1, 2, 4, 5, 6)


def test_what_is_not_known_is_refused_by_name():
    with pytest.raises(UnknownShapeError, match="RoiAlign: the shape of its result is not known"):
        result_of("RoiAlign")
    with pytest.raises(UnknownShapeError, match="Conv"):  # Of a network for more channels and axes.
        infer_shapes(parse_onnx_graph(convolution((1, 1, 4, 5, 6), 3).SerializeToString()), (1, 1))


def test_files_that_are_cut_or_bent_anywhere_never_raise_anything_else(tmp_path):
    data = convolution((1, 1, 4, 5, 6), 2).SerializeToString()
    generator = np.random.default_rng(0)
    for length in range(0, len(data), 7):
        with suppress(OnnxFileError):
            parse_onnx_graph(data[:length])
    for place in generator.integers(0, len(data), 300):
        bent = bytearray(data)
        bent[place] = generator.integers(0, 256)
        with suppress(OnnxFileError, UnknownShapeError):
            infer_shapes(parse_onnx_graph(bytes(bent)), (1, 1, 4, 5, 6))
    (tmp_path / "empty.onnx").touch()
    with pytest.raises(OnnxFileError):
        read_onnx_graph(tmp_path / "empty.onnx")
