"""Tiny networks as ONNX files: identity, multiples, a convolution, a threshold."""

import hashlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write(model, folder, name="network.onnx"):
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def graph(nodes, initializers, shape, channels):
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, channels, *shape[2:]))]
    built = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def tensor(name, values):
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def identity(shape, scale):
    """Logits = scale times image."""
    return graph(
        [helper.make_node("Mul", ["image", "scale"], ["logits"])], [tensor("scale", scale)], shape, 1
    )


def convolution(shape, channels, seed=0):
    """A 3×3×3 convolution with random weights."""
    weights = np.random.default_rng(seed).normal(0, 0.2, (channels, shape[1], 3, 3, 3))
    node = helper.make_node("Conv", ["image", "weights"], ["logits"], pads=[1] * 6)
    return graph([node], [tensor("weights", weights)], shape, channels)


def bands(shape, thresholds):
    """Logits such that class c wins where thresholds[c - 1] < image < thresholds[c]; linear, steep.

    The image is the sum of its channels.

    With logit_c = s * (c * v - sum of the first c thresholds) class c beats c - 1 exactly where v >
    thresholds[c - 1].
    """
    scale = 200.0
    slopes = np.arange(len(thresholds) + 1, dtype=np.float32).reshape(-1, 1, 1, 1, 1) * scale
    slopes = np.repeat(slopes, shape[1], axis=1)
    offsets = -scale * np.concatenate([[0], np.cumsum(thresholds)]).astype(np.float32)
    node = helper.make_node("Conv", ["image", "weights", "offsets"], ["logits"])
    return graph([node], [tensor("weights", slopes), tensor("offsets", offsets)], shape, len(thresholds) + 1)


def regions(shape, thresholds):
    """One logit for each threshold, above 0 where the sum of the image's channels is above the threshold."""
    scale = 200.0
    slopes = np.full((len(thresholds), shape[1], 1, 1, 1), scale)
    offsets = -scale * np.asarray(thresholds, np.float32)
    node = helper.make_node("Conv", ["image", "weights", "offsets"], ["logits"])
    return graph([node], [tensor("weights", slopes), tensor("offsets", offsets)], shape, len(thresholds))


def fixed(shape, logits):
    """The same logits whatever the image: (channels, *window), or one number for each channel."""
    values = np.broadcast_to(
        np.asarray(logits, np.float32).reshape(len(logits), *np.shape(logits)[1:] or (1, 1, 1)),
        (len(logits), *shape[2:]),
    )
    nodes = [
        helper.make_node("ReduceSum", ["image", "axes"], ["sum"], keepdims=1),
        helper.make_node("Mul", ["sum", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "values"], ["logits"]),
    ]
    axes = numpy_helper.from_array(np.array([1], np.int64), "axes")
    return graph(nodes, [axes, tensor("zero", 0.0), tensor("values", values[None])], shape, len(logits))


def instance_norm(shape, scale, shift):
    """Instance norm of each channel of the image, with a scale and a shift for each."""
    node = helper.make_node(
        "InstanceNormalization", ["image", "scale", "shift"], ["logits"], "norm", epsilon=1e-5
    )
    return graph([node], [tensor("scale", scale), tensor("shift", shift)], shape, shape[1])
