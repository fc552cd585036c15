"""Norms over a large window are as exact as float64's, whichever CPU runtime adds them up."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from inference.runtime.session import open_session
from inference.runtime.settings import Settings
from model.onnx_export.exact_norm import FEWEST_VOXELS, with_exact_norms, with_whole_norms
from model.onnx_export.half_precision import write_fp16
from tests.inference.onnx_files import instance_norm, write

LARGE = (1, 2, 96, 160, 160)
SMALL = (1, 2, 15, 16, 17)
SCALE, SHIFT = (2.0, 0.5), (1.0, -3.0)


def operators(model):
    return [node.op_type for node in model.graph.node]


def exact(shape=LARGE):
    model = instance_norm(shape, SCALE, SHIFT)
    with_exact_norms(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def normalized(image):
    """What an instance norm gives, in float64."""
    image = image.astype(np.float64)
    mean, variance = (each(image, axis=(2, 3, 4), keepdims=True) for each in (np.mean, np.var))
    scale, shift = (np.reshape(values, (1, -1, 1, 1, 1)) for values in (SCALE, SHIFT))
    return (image - mean) / np.sqrt(variance + 1e-5) * scale + shift


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_two_and_a_half_million_voxels(backend, tmp_path):
    image = np.random.default_rng(0).normal(3, 1, LARGE).astype(np.float32)
    image[:, :, :40] = -1  # air
    expected = normalized(image)
    session = open_session(write(exact(), tmp_path), backend, Settings(input_shape=LARGE))
    assert np.abs(session.run(image) - expected).max() < 3e-5


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_what_is_everywhere_the_same_becomes_the_shift(backend, tmp_path):
    session = open_session(write(exact(), tmp_path), backend, Settings(input_shape=LARGE))
    logits = session.run(np.full(LARGE, 0.1, np.float32))
    assert np.abs(logits - np.reshape(SHIFT, (1, 2, 1, 1, 1))).max() < 1e-3


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_windows_of_open_sides(backend, tmp_path):
    model = instance_norm((1, 2, "z", "y", "x"), SCALE, SHIFT)
    with_exact_norms(model)
    assert "ReduceL2" in operators(model)
    image = np.random.default_rng(0).normal(3, 1, SMALL).astype(np.float32)
    session = open_session(write(model, tmp_path), backend, Settings(input_shape=SMALL))
    assert np.abs(session.run(image) - normalized(image)).max() < 3e-5


def test_norms_over_few_voxels_stay_one_node():
    assert np.prod(SMALL[2:]) < FEWEST_VOXELS
    assert operators(exact(SMALL)) == ["InstanceNormalization"]


def test_norms_become_one_node_again_as_they_were():
    model = exact()
    with_whole_norms(model)
    assert model.graph == instance_norm(LARGE, SCALE, SHIFT).graph


def test_half_floats_take_no_sums_of_squares(tmp_path):
    write_fp16(write(exact(), tmp_path), tmp_path / "fp16.onnx")
    assert operators(onnx.load(tmp_path / "fp16.onnx")) == ["Cast", "InstanceNormalization", "Cast"]


def test_operators_of_an_older_version_stay():
    model = instance_norm(LARGE, SCALE, SHIFT)
    model.opset_import[0].version = 17
    with_exact_norms(model)
    assert operators(model) == ["InstanceNormalization"]


def test_norms_in_half_floats_stay():
    model = instance_norm(LARGE, SCALE, SHIFT)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    for weight in model.graph.initializer:
        half = numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(half, weight.name))
    onnx.checker.check_model(model, full_check=True)
    with_exact_norms(model)
    assert operators(model) == ["InstanceNormalization"]
