"""In bf16 a norm that a file takes apart is OpenVINO's own node again."""

import numpy as np
from onnx import helper

from inference.runtime import openvino_session
from inference.runtime.backends import load_library
from inference.runtime.openvino_norm import with_whole_norms
from inference.runtime.openvino_session import OpenVinoSession
from inference.runtime.settings import Settings
from model.onnx_export.exact_norm import with_exact_norms
from tests.inference.onnx_files import graph, instance_norm, tensor

SHAPE = (1, 2, 16, 20, 24)


def taken_apart():
    model = instance_norm(SHAPE, (2.0, 0.5), (1.0, -3.0))
    with_exact_norms(model)
    return model


def kinds(network):
    return {node.get_type_name() for node in network.get_ordered_ops()}


def test_a_norm_by_its_own_moments_becomes_one_node():
    network = load_library("openvino").Core().read_model(taken_apart().SerializeToString())
    assert {"ReduceL2", "BatchNormInference"} <= kinds(network)
    with_whole_norms(network)
    assert kinds(network) == {"Parameter", "Constant", "MVN", "Multiply", "Add", "Reshape", "Result"}


def test_a_batch_norm_stays():
    values = {"scale": (2, 3), "shift": (0, 1), "mean": (5, 6), "variance": (1, 4)}
    node = helper.make_node("BatchNormalization", ["image", *values], ["logits"])
    model = graph([node], [tensor(name, each) for name, each in values.items()], SHAPE, 2)
    network = load_library("openvino").Core().read_model(model.SerializeToString())
    with_whole_norms(network)
    assert "BatchNormInference" in kinds(network)


def test_bf16_computes_the_same_of_both_files(monkeypatch):
    monkeypatch.setattr(openvino_session, "effective_precision", lambda backend, allowed: allowed)
    window = np.random.default_rng(0).normal(5, 1, SHAPE).astype(np.float32)
    settings = Settings(input_shape=SHAPE, precision="bf16")
    whole = instance_norm(SHAPE, (2.0, 0.5), (1.0, -3.0))
    apart, one = (
        OpenVinoSession(model.SerializeToString(), settings).run(window).copy()
        for model in (taken_apart(), whole)
    )
    np.testing.assert_array_equal(apart, one)
