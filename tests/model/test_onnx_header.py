"""What ONNX files say of themselves, read without the onnx package; and files that are cut, bent or none."""

from contextlib import suppress

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.onnx_header import (
    FLOAT,
    FLOAT16,
    OnnxFileError,
    OnnxHeader,
    OnnxValue,
    parse_onnx_header,
    read_onnx_header,
)
from tests.inference.onnx_files import bands, convolution, identity
from tests.places import ROOT

EMBEDDED = sorted((ROOT / "bundles" / "default").glob("*.onnx"))
SHAPE = (1, 1, 4, 5, 6)


def header_of(model):
    return parse_onnx_header(model.SerializeToString())


def by_the_package(path) -> OnnxHeader:
    """The same from the onnx package."""
    model = onnx.load(path, load_external_data=False)
    weights = {tensor.name for tensor in model.graph.initializer}

    def value(info):
        tensor = info.type.tensor_type
        sides = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
        return OnnxValue(name=info.name, element_type=tensor.elem_type, shape=sides)

    return OnnxHeader(
        opset=next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
        inputs=tuple(value(info) for info in model.graph.input if info.name not in weights),
        outputs=tuple(value(info) for info in model.graph.output),
        operators=frozenset(
            node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
            for node in model.graph.node
        ),
        functions=frozenset(function.name for function in model.functions),
        external_data=any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer),
    )


def test_a_small_file_by_hand():
    assert header_of(convolution(SHAPE, 3)) == OnnxHeader(
        opset=18,
        inputs=(OnnxValue(name="image", element_type=FLOAT, shape=SHAPE),),
        outputs=(OnnxValue(name="logits", element_type=FLOAT, shape=(1, 3, 4, 5, 6)),),
        operators=frozenset({"Conv"}),
        external_data=False,
    )


@pytest.mark.parametrize("path", EMBEDDED, ids=lambda path: path.name)
def test_real_files(path):
    assert read_onnx_header(path) == by_the_package(path)
    (given,) = read_onnx_header(path).inputs
    assert (given.element_type, len(given.shape)) == (FLOAT, 5)


def test_there_are_real_files():
    assert len(EMBEDDED) >= 3


def test_sides_that_are_left_open():
    model = identity((1, 1, "z", 5, None), 2.0)
    assert header_of(model).inputs[0].shape == (1, 1, None, 5, None)


def test_types_of_values():
    model = identity(SHAPE, 2.0)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    header = header_of(model)
    assert (header.inputs[0].element_type, header.outputs[0].element_type) == (FLOAT16, FLOAT)


def test_the_opset_is_that_of_the_standard_operators():
    model = identity(SHAPE, 2.0)
    model.opset_import.insert(0, helper.make_opsetid("com.microsoft", 1))
    model.graph.node.append(helper.make_node("FusedConv", ["logits"], ["more"], domain="com.microsoft"))
    header = header_of(model)
    assert header.opset == 18
    assert header.operators == {"Mul", "com.microsoft.FusedConv"}
    del model.opset_import[:]
    assert header_of(model).opset == 0


def test_external_data_is_noticed(tmp_path):
    model = convolution(SHAPE, 3)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1 << 10, np.float32), "large"))
    onnx.save(model, tmp_path / "b.onnx")
    assert not read_onnx_header(tmp_path / "b.onnx").external_data
    onnx.save(model, tmp_path / "a.onnx", save_as_external_data=True, size_threshold=0)
    assert (tmp_path / "a.onnx").stat().st_size < 1 << 11
    header = read_onnx_header(tmp_path / "a.onnx")
    assert header.external_data
    assert header == by_the_package(tmp_path / "a.onnx")


@pytest.mark.parametrize("make", [lambda: identity(SHAPE, 2.0), lambda: bands(SHAPE, (0.1, 0.5))])
def test_a_file_cut_at_any_byte_is_an_error_of_ours_or_still_a_model(make, tmp_path):
    """A file that is cut between two fields of the model is one without the later fields."""
    data = make().SerializeToString()
    whole = parse_onnx_header(data)
    for length in range(len(data)):
        try:
            found = parse_onnx_header(data[:length])
        except OnnxFileError:
            continue
        assert found.inputs == whole.inputs
        assert found.opset in (0, whole.opset)
    path = tmp_path / "a.onnx"
    for length in (0, 1, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(OnnxFileError, match="not an ONNX model, or damaged"):
            read_onnx_header(path)


def test_bytes_that_are_bent_anywhere_never_raise_anything_else():
    data = bytearray(bands(SHAPE, (0.1, 0.5)).SerializeToString())
    for place in range(len(data)):
        for mask in (0x01, 0x80, 0xFF):
            data[place] ^= mask
            with suppress(OnnxFileError):
                parse_onnx_header(bytes(data))
            data[place] ^= mask


@pytest.mark.parametrize("seed", range(200))
def test_noise_never_raises_anything_else(seed):
    noise = np.random.default_rng(seed).integers(0, 256, 300, np.uint8).tobytes()
    with pytest.raises(OnnxFileError):
        parse_onnx_header(noise)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",
        b"\x80" * 20,  # a number that does not end
        b"\xff" * 20,
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",  # a graph of 2**63 bytes
        b"\x38\x07",  # a graph that is a number
        b"\x3a\x02\x5a\x05",  # an input that is longer than its graph
        b"\x3a\x00\x3a\x00",  # two graphs
        b"\x08\x07",  # no graph
        b"\x3b",  # a group, which ONNX does not have
    ],
)
def test_what_is_no_model(data):
    with pytest.raises(OnnxFileError):
        parse_onnx_header(data)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_onnx_header(tmp_path / "a.onnx")


def elsewhere(name="w"):
    """A tensor whose values lie in another file."""
    tensor = numpy_helper.from_array(np.ones(4, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"
    return tensor


def constant(tensor):
    return helper.make_node("Constant", [], ["c"], value=tensor)


def inner_graph(**parts):
    return helper.make_graph(parts.get("nodes", []), "inner", [], [], initializer=parts.get("weights", []))


def with_node(node):
    model = convolution(SHAPE, 3)
    model.graph.node.append(node)
    return model


def with_function():
    model = convolution(SHAPE, 3)
    model.functions.append(
        helper.make_function("own", "F", [], ["c"], [constant(elsewhere())], [helper.make_opsetid("", 18)])
    )
    return model


@pytest.mark.parametrize(
    "model",
    [
        with_node(constant(elsewhere())),
        with_node(helper.make_node("If", ["x"], [], then_branch=inner_graph(weights=[elsewhere()]))),
        with_node(helper.make_node("If", ["x"], [], then_branch=inner_graph(nodes=[constant(elsewhere())]))),
        with_node(
            helper.make_node(
                "Constant",
                [],
                ["c"],
                sparse_value=helper.make_sparse_tensor(
                    elsewhere(), numpy_helper.from_array(np.arange(4), "i"), [9]
                ),
            )
        ),
        with_function(),
    ],
    ids=["constant", "weight of a branch", "constant of a branch", "sparse", "function"],
)
def test_external_data_is_noticed_wherever_it_stands(model):
    assert header_of(model).external_data


def test_operators_that_a_file_defines_are_named_with_their_domain():
    assert header_of(with_function()).functions == {"own.F"}


def test_a_constant_in_the_file_is_no_external_data():
    assert not header_of(with_node(constant(numpy_helper.from_array(np.ones(4), "w")))).external_data


LOCATION = bytes([14 << 3, 1])
"""Field 14 of a tensor, `data_location`, with the value EXTERNAL."""


def test_a_location_with_more_bits_than_it_has_is_external_data():
    model = with_node(constant(elsewhere()))
    tensor = model.graph.node[-1].attribute[0].t
    tensor.ClearField("external_data")
    data = model.SerializeToString()
    assert data.count(LOCATION) == 1
    assert parse_onnx_header(data).external_data


def test_a_field_number_beyond_32_bits_is_refused():
    key = (1 << 32) | (1 << 3)
    varint = bytes(
        [key & 0x7F | 0x80, key >> 7 & 0x7F | 0x80, key >> 14 & 0x7F | 0x80, key >> 21 & 0x7F | 0x80]
    )
    long_key = varint + bytes([key >> 28])
    data = convolution(SHAPE, 3).SerializeToString() + long_key + b"\x01"
    with pytest.raises(OnnxFileError):
        parse_onnx_header(data)
