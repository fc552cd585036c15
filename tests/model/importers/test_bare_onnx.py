"""Somebody's ONNX file becomes a bundle; what the engine cannot run is refused in one line."""

import json
import logging
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from model.__main__ import main
from model.bundle import load_bundle
from model.commands.work.import_onnx_work import intensity_of
from model.importers import bare_onnx
from model.importers.bare_onnx import FILE
from model.manifest.intensity import ClipZscoreIntensity, WindowIntensity, ZscoreIntensity
from model.manifest.output import Sigmoid, Softmax
from model.model_errors import RefusedModelError
from model.onnx_export import memory
from tests.inference.onnx_files import bands, convolution, write
from tests.places import ROOT

SHAPE = (1, 1, 4, 6, 8)


@pytest.fixture(autouse=True)
def fake_memory_program(monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", (sys.executable, str(ROOT / "tests/fake_memory_program.py")))


def call(file, folder, **options):
    words = {"labels": "flare21", "spacing-mm": "3 2 2", "window": "4 6 8", "intensity": "window:-250:250"}
    words |= {name.replace("_", "-"): value for name, value in options.items()}
    flat = [word for name, value in words.items() for word in (f"--{name}", *str(value).split())]
    return ["import", "onnx", str(file), *flat, "--output", str(folder)]


def imported(tmp_path, model, **options):
    assert main(call(write(model, tmp_path, "given.onnx"), tmp_path / "bundle", **options)) == 0
    return load_bundle(tmp_path / "bundle")


def with_open_sides(model):
    """The same with batch and sides that are left to whoever runs it."""
    for value in (model.graph.input[0], model.graph.output[0]):
        for place, side in enumerate(value.type.tensor_type.shape.dim):
            if place != 1:
                side.dim_param = f"side{place}"
    return model


def test_four_structures_and_background(tmp_path):
    manifest = imported(tmp_path, bands(SHAPE, [0.2, 0.4, 0.6, 0.8]), overlap=0.25, fuse="logits").manifest
    assert manifest.output.channels == ("background", "liver", "kidney", "spleen", "pancreas")
    assert manifest.output.activation == Softmax()
    (member,) = manifest.members
    assert (member.spacing_zyx_mm, member.window_zyx) == ((3.0, 2.0, 2.0), (4, 6, 8))
    assert member.tiling.overlap == 0.25
    assert manifest.fusion.of == "logits"
    assert manifest.inputs[0].intensity == WindowIntensity(lower=-250.0, upper=250.0)
    assert manifest.provenance.recipe == "imported from given.onnx"


def test_as_many_channels_as_structures_are_on_or_off_in_the_order_that_is_said(capsys, tmp_path):
    """FLARE21 has liver, kidney, spleen and pancreas."""
    model = convolution(SHAPE, 4)
    output = imported(tmp_path, model, priority="spleen kidney pancreas liver").manifest.output
    assert output.activation == Sigmoid(priority=(2, 1, 3, 0))
    assert output.priority_in_words == "liver over pancreas over kidney over spleen"
    line = refused(capsys, tmp_path, write(model, tmp_path, "silent.onnx"))
    assert line.endswith(
        "(regions from the outermost to the innermost): liver kidney spleen pancreas, in your order"
    )


ONE_PAIR = {
    "name": "own",
    "labels": {"liver": 1, "right kidney": 2, "left kidney": 3, "cyst": 4},
    "pairs": [{"merged": "kidney", "right": "right kidney", "left": "left kidney"}],
}
"""Four structures alone, or background and three with both kidneys as one: four channels either way."""


@pytest.fixture
def one_pair(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(ONE_PAIR), encoding="utf-8")
    return path


def test_channels_that_may_mean_two_things_are_refused(one_pair, capsys, tmp_path):
    file = write(convolution(SHAPE, 4), tmp_path, "given.onnx")
    assert refused(capsys, tmp_path, file, labels=one_pair) == (
        f'error: {file}: 4 channels fit both "background, liver, kidney, cyst" (softmax) and '
        '"liver, right kidney, left kidney, cyst" (sigmoid); say which with --activation'
    )


@pytest.mark.parametrize(
    ("activation", "channels"),
    [
        ("softmax", ("background", "liver", "kidney", "cyst")),
        ("sigmoid", ("liver", "right kidney", "left kidney", "cyst")),
    ],
)
def test_the_activation_says_which(activation, channels, one_pair, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    bundle = tmp_path / "bundle"
    words = call(
        write(convolution(SHAPE, 4), tmp_path, "given.onnx"), bundle, labels=one_pair, activation=activation
    )
    assert main(words + (["--priority", *channels] if activation == "sigmoid" else [])) == 0
    output = load_bundle(bundle).manifest.output
    assert (output.channels, output.activation.kind) == (channels, activation)
    assert f"given.onnx: 4 channels, {activation}: {', '.join(channels)}" in caplog.messages


def test_five_channels_of_one_pair_are_all_structures_and_background(one_pair, tmp_path):
    output = imported(tmp_path, convolution(SHAPE, 5), labels=one_pair).manifest.output
    assert output.channels == ("background", "liver", "right kidney", "left kidney", "cyst")


def test_a_network_of_another_label_set_is_refused_under_its_activation(capsys, tmp_path):
    """FLARE23's background and twelve merged channels are as many as FLARE22's organs."""
    file = write(convolution(SHAPE, 13), tmp_path, "given.onnx")
    line = refused(capsys, tmp_path, file, labels="flare22", activation="softmax")
    assert line == f"error: {file}: gives 13 channels; flare22 would be 12 (softmax) or 14 (softmax)"


def test_no_warning_of_the_runtime_is_shown(tmp_path, capfd):
    imported(tmp_path, convolution(SHAPE, 5))
    assert "onnxruntime" not in capfd.readouterr().err


def test_open_sides_are_fixed_to_the_window(tmp_path):
    bundle = imported(tmp_path, with_open_sides(convolution(SHAPE, 5)))
    graph = onnx.load(bundle.folder / FILE).graph
    sides = [[side.dim_value for side in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)]
    assert sides == [[1, 1, 4, 6, 8], [1, 5, 4, 6, 8]]


def test_weights_in_another_file_are_packed_in(tmp_path):
    path = tmp_path / "given.onnx"
    onnx.save(convolution(SHAPE, 5), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert main(call(path, tmp_path / "bundle")) == 0
    packed = onnx.load(tmp_path / "bundle" / FILE, load_external_data=False)
    assert packed.graph.initializer[0].raw_data == (tmp_path / "w.bin").read_bytes()


def test_axes_turn_the_window(tmp_path):
    (member,) = imported(tmp_path, convolution((1, 1, 8, 6, 4), 5), axes="RAS").manifest.members
    assert (member.window_zyx, member.input_shape) == ((4, 6, 8), (8, 6, 4))


def refused(capsys, tmp_path, file, **options):
    before = sorted(tmp_path.rglob("*"))
    assert main(call(file, tmp_path / "bundle", **options)) == 2
    assert sorted(tmp_path.rglob("*")) == before
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"window": "4 6 16"}, "takes windows of 4 6 8"),
        ({"intensity": "window:0:1 --intensity window:0:1"}, "wants 1 channels, 2 are told"),
        ({"intensity": "gamma"}, "--intensity gamma: unknown"),
        ({"intensity": "window:1"}, "--intensity window:1"),
        ({"intensity": "window:2:1"}, "upper: must be above lower"),
        (
            {"labels": "flare22"},
            "gives 5 channels; flare22 would be 12 (softmax) or 14 (softmax) or 13 (sigmoid)",
        ),
        ({"labels": "nowhere.json"}, "no label set of this name"),
        ({"spacing-mm": "0 1 1"}, "spacing_zyx_mm: must be 0.1 to 20 mm"),
        ({"axes": "SSS"}, "axes: must name each"),
    ],
)
def test_what_is_told_must_fit_the_file(options, complaint, capsys, tmp_path):
    file = write(convolution(SHAPE, 5), tmp_path, "given.onnx")
    assert complaint in refused(capsys, tmp_path, file, **options)


def test_a_licence_that_the_manifest_refuses_is_found_before_memory_is_measured(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(bare_onnx, "with_memory", lambda *_: pytest.fail("measured"))
    words = call(write(convolution(SHAPE, 5), tmp_path, "given.onnx"), tmp_path / "bundle")
    assert main([*words, "--licence", "CC\tBY"]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        f"error: {tmp_path / 'bundle'}: the manifest cannot be written: "
        "provenance.licence: must hold printable characters only, is 'CC\\tBY'"
    )


def test_no_onnx_file(capsys, tmp_path):
    (tmp_path / "text.onnx").write_text("not a network", encoding="utf-8")
    assert "not an ONNX model" in refused(capsys, tmp_path, tmp_path / "text.onnx")
    assert "cannot be read" in refused(capsys, tmp_path, tmp_path / "nowhere.onnx")


def test_operators_that_no_runtime_has(capsys, tmp_path):
    model = convolution(SHAPE, 5)
    model.graph.node[0].op_type, model.graph.node[0].domain = "Magic", "mine"
    model.opset_import.append(helper.make_opsetid("mine", 1))
    assert "mine.Magic" in refused(capsys, tmp_path, write(model, tmp_path, "given.onnx"))


def test_weights_outside_the_folder(capsys, tmp_path):
    model = convolution(SHAPE, 5)
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../w.bin")
    file = write(model, tmp_path, "given.onnx")
    assert "keeps weights outside its folder, in '../w.bin'" in refused(capsys, tmp_path, file)
    weights.external_data[0].value = "w.bin"
    file.write_bytes(model.SerializeToString())
    assert "w.bin: is missing" in refused(capsys, tmp_path, file)


def test_logits_of_another_size(capsys, tmp_path):
    node = helper.make_node("Conv", ["image", "weights"], ["logits"])
    weights = onnx.numpy_helper.from_array(np.ones((5, 1, 3, 3, 3), np.float32), "weights")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("image", SHAPE), ("logits", (1, 5, 2, 4, 6)))
    ]
    model = helper.make_model(
        helper.make_graph([node], "g", ends[:1], ends[1:], [weights]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    assert "gives 1×5×2×4×6" in refused(capsys, tmp_path, write(model, tmp_path, "given.onnx"))


def ending_in(*nodes):
    """Random logits of five channels that go through more nodes, from `inner` to `logits`."""
    model = convolution(SHAPE, 5)
    model.graph.node[0].output[0] = "inner"
    model.graph.node.extend(nodes)
    return model


LAST, FIRST = {"perm": [0, 2, 3, 4, 1]}, {"perm": [0, 4, 1, 2, 3]}
"""Turn channels to the end, and back."""


@pytest.mark.parametrize(
    ("nodes", "last"),
    [
        ([("Sigmoid", {})], "Sigmoid"),
        ([("Softmax", {"axis": 1})], "Softmax"),
        ([("Sigmoid", {}), ("Identity", {}), ("Cast", {"to": TensorProto.FLOAT})], "Sigmoid"),
        ([("Transpose", LAST), ("Softmax", {}), ("Transpose", FIRST)], "Softmax"),
    ],
    ids=["sigmoid", "softmax", "sigmoid handed on", "softmax of channels at the end"],
)
def test_a_file_that_ends_in_its_activation(nodes, last, capsys, tmp_path):
    """Read as logits, a sigmoid's 0 to 1 would make a label of every voxel."""
    names = ["inner", *(f"value {index}" for index in range(1, len(nodes))), "logits"]
    chain = [
        helper.make_node(kind, [names[index]], [names[index + 1]], **attributes)
        for index, (kind, attributes) in enumerate(nodes)
    ]
    file = write(ending_in(*chain), tmp_path, "given.onnx")
    assert refused(capsys, tmp_path, file) == (
        f"error: {file}: ends in {last}, so it gives probabilities, must give logits; "
        "export the network without its last activation"
    )


def test_an_activation_made_of_other_operators(capsys, tmp_path):
    """exp(-|x|) lies between 0 and 1 whatever x is."""
    steps = [("Abs", "inner", "size"), ("Neg", "size", "below"), ("Exp", "below", "logits")]
    model = ending_in(*(helper.make_node(kind, [given], [made]) for kind, given, made in steps))
    file = write(model, tmp_path, "given.onnx")
    assert refused(capsys, tmp_path, file) == (
        f"error: {file}: gives nothing but values from 0 to 1, which are probabilities, must give logits; "
        "export the network without its last activation"
    )


def test_an_activation_inside_the_network_is_no_matter(tmp_path):
    """A sigmoid that is doubled, less 1, lies between -1 and 1."""
    model = ending_in(
        helper.make_node("Sigmoid", ["inner"], ["half"]),
        helper.make_node("Add", ["half", "half"], ["whole"]),
        helper.make_node("Sub", ["whole", "one"], ["logits"]),
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1), "one"))
    assert len(imported(tmp_path, model).manifest.output.channels) == 5


def test_schemes_of_the_command_line():
    assert intensity_of("zscore:-900:300:80:120") == ClipZscoreIntensity(
        lower=-900.0, upper=300.0, mean=80.0, std=120.0
    )
    assert intensity_of("zscore-per-image") == ZscoreIntensity()
    with pytest.raises(RefusedModelError, match="known are window:LOW:HIGH"):
        intensity_of("zscore-per-image:1")
