"""What an ONNX file says of itself, held against the manifest: each refusal is a line that names the file."""

import onnx
import pytest
from onnx import TensorProto, helper

from model.bundle import load_bundle, write_bundle
from model.manifest.document import Manifest
from model.model_errors import BundleError
from model.schema import parse
from tests.inference.onnx_files import convolution, graph, identity, tensor
from tests.model.manifests import document, network, write_networks

MEMBER = (1, 2, 128, 112, 96)
"""Input of members[1], whose axes are RAS."""
CLASSES = 13
SAYS = "members[1] in manifest.json says"


def write_with(folder, name, model):
    """Write a bundle one of whose files is another network."""

    def write_files(staged):
        write_networks(staged)
        (staged / name).write_bytes(model if isinstance(model, bytes) else model.SerializeToString())

    return write_bundle(
        folder, write_files, lambda files: parse(Manifest, document() | {"files": dict(files)})
    )


def member(shape=MEMBER, channels=CLASSES, opset=18):
    model = convolution(shape, channels)
    model.opset_import[0].version = opset
    return model


def changed(change):
    model = member()
    change(model.graph)
    return model


def two_inputs(graph):
    graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, MEMBER))


def two_outputs(graph):
    graph.output.append(helper.make_tensor_value_info("deep", TensorProto.FLOAT, (1, CLASSES, *MEMBER[2:])))


def no_output(graph):
    del graph.output[:]


def half_input(graph):
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def half_output(graph):
    graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def weights_elsewhere(graph):
    onnx.external_data_helper.set_external_data(graph.initializer[0], "weights.bin")


def endless_loop(graph):
    graph.node[0].op_type = "Loop"


def custom_operator(graph):
    graph.node[0].domain = "com.example"


def own_relu():
    """A model that says itself what Relu is, as the standard operators' domain allows."""
    model = member()
    body = [helper.make_node("Identity", ["x"], ["y"])]
    opset = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], body, opset))
    return model


def no_shape(graph):
    graph.input[0].type.tensor_type.ClearField("shape")


REFUSED = {
    "window not turned to its axes": (
        member((1, 2, 96, 112, 128)),
        f"its input is 1×2×96×112×128, {SAYS} 1×2×128×112×96",
    ),
    "another window": (member((1, 2, 128, 112, 95)), f"its input is 1×2×128×112×95, {SAYS} 1×2×128×112×96"),
    "a batch of two": (member((2, 2, 128, 112, 96)), f"its input is 2×2×128×112×96, {SAYS} 1×2×128×112×96"),
    "another number of channels": (
        member((1, 1, 128, 112, 96)),
        f"its input is 1×1×128×112×96, {SAYS} 1×2×128×112×96",
    ),
    "another number of classes": (
        member(channels=12),
        f"its output is 1×12×128×112×96, {SAYS} 1×13×128×112×96",
    ),
    "two axes": (identity((1, 2, 8, 8), 1.0), f"its input is 1×2×8×8, {SAYS} 1×2×128×112×96"),
    "no shape": (changed(no_shape), f"its input is , {SAYS} 1×2×128×112×96"),
    "an opset that is too old": (member(opset=8), "uses opset 8, this release runs 9 to 24; export it again"),
    "an opset that is too new": (
        member(opset=25),
        "uses opset 25, this release runs 9 to 24; export it again",
    ),
    "weights in another file": (
        changed(weights_elsewhere),
        "keeps weights in another file, which has no hash; save it as a single file",
    ),
    "a loop that may not end": (
        changed(endless_loop),
        "uses Loop, which no network of a bundle needs; export it again",
    ),
    "an operator that the file defines": (
        own_relu(),
        "defines operators of its own (Relu), which no network of a bundle needs; export it again with its "
        "functions inlined",
    ),
    "an operator of nobody knows whom": (
        changed(custom_operator),
        "uses com.example.Conv, which no network of a bundle needs; export it again",
    ),
    "two inputs": (changed(two_inputs), "has 2 inputs and 1 outputs, a network of a bundle has one of each"),
    "two outputs": (
        changed(two_outputs),
        "has 1 inputs and 2 outputs, a network of a bundle has one of each",
    ),
    "no output": (changed(no_output), "has 1 inputs and 0 outputs, a network of a bundle has one of each"),
    "float16 input": (changed(half_input), "its input is not float32; export it again"),
    "float16 output": (changed(half_output), "its output is not float32; export it again"),
    "no network": (b"weights", "not an ONNX model, or damaged; fetch the bundle again"),
    "nothing": (b"", "not an ONNX model, or damaged; fetch the bundle again"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what, tmp_path):
    model, message = REFUSED[what]
    with pytest.raises(BundleError) as caught:
        write_with(tmp_path / "b", "member1.onnx", model)
    found = str(caught.value)
    said, _, remedy = found.partition("; set ")
    assert said.endswith(f"member1.onnx: {message}") or found.endswith(f"member1.onnx: {message}")
    if SAYS in message:
        assert remedy.endswith(" as the file has them")
    assert "\n" not in found
    assert not (tmp_path / "b").exists()


def test_every_file_of_a_network_is_checked(tmp_path):
    model = convolution((1, 2, 40, 224, 192), CLASSES)
    half_output(model.graph)
    with pytest.raises(BundleError, match=r"member0\.fp16\.onnx: its output is not float32"):
        write_with(tmp_path / "b", "member0.fp16.onnx", model)
    with pytest.raises(BundleError, match=r"roi\.onnx: its input is .*, localization in manifest\.json says"):
        write_with(tmp_path / "b", "roi.onnx", convolution((1, 2, 64, 64, 64), 2))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(member((1, 2, "x", "y", "z")), id="sides left open"),
        pytest.param(member(("batch", 2, 128, 112, 96)), id="batch left open"),
        pytest.param(member(opset=9), id="oldest opset"),
        pytest.param(member(opset=24), id="newest opset"),
    ],
)
def test_taken(model, tmp_path):
    bundle = write_with(tmp_path / "b", "member1.onnx", model)
    assert load_bundle(bundle.folder) == bundle


def test_localization_may_have_any_number_of_classes(tmp_path):
    for channels in (1, 2, 14):
        write_with(tmp_path / str(channels), "roi.onnx", convolution((1, 2, 128, 128, 128), channels))


def test_weights_that_are_inputs_too_are_no_inputs(tmp_path):
    """As exporters before ONNX IR version 4 wrote them."""
    shape = (1, 2, 128, 112, 96)
    model = convolution(shape, CLASSES)
    weights = model.graph.initializer[0]
    model.graph.input.append(helper.make_tensor_value_info(weights.name, TensorProto.FLOAT, weights.dims))
    write_with(tmp_path / "b", "member1.onnx", model)


def test_files_are_looked_into_only_after_their_hashes(tmp_path):
    bundle = write_with(tmp_path / "b", "member1.onnx", network("member1.onnx"))
    scale = graph(
        [helper.make_node("Mul", ["image", "s"], ["logits"])], [tensor("s", 2.0)], (1, 1, 8, 8, 8), 1
    )
    (bundle.folder / "member1.onnx").write_bytes(scale.SerializeToString())
    with pytest.raises(BundleError, match=r"member1\.onnx: was altered"):
        load_bundle(bundle.folder)
