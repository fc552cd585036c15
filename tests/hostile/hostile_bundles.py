"""Bundles that somebody made to do harm: each changes a sound one. None of them may run, or take long."""

import hashlib
import json
import os
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from tests.inference.onnx_files import bands

SHAPE = (1, 1, 8, 16, 16)
THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
GIBIBYTE = 1 << 30


def _manifest(text):
    def spoil(bundle):
        (bundle / "manifest.json").write_bytes(text if isinstance(text, bytes) else text.encode())

    return spoil


def _fields(**changes):
    """Fields of the manifest, named by their path: `members/0/file`."""

    def spoil(bundle):
        path = bundle / "manifest.json"
        document = json.loads(path.read_text(encoding="utf-8"))
        for name, value in changes.items():
            *way, last = (int(part) if part.isdecimal() else part for part in name.split("/"))
            place = document
            for part in way:
                place = place[part]
            place[last] = value
        path.write_text(json.dumps(document), encoding="utf-8")

    return spoil


def _in_place_of(name, make):
    """Something that is no file where a file should be."""

    def spoil(bundle):
        (bundle / name).unlink()
        make(bundle / name)

    return spoil


def _network(change):
    """Another network, with the hash that the manifest states of it."""

    def spoil(bundle):
        model = bands(SHAPE, THRESHOLDS)
        change(model)
        _put(bundle, model.SerializeToString())

    return spoil


def _bytes(data):
    return lambda bundle: _put(bundle, data)


def _put(bundle, data):
    (bundle / "member.onnx").write_bytes(data)
    _fields(files={"member.onnx": hashlib.sha256(data).hexdigest()})(bundle)


def _body():
    """A graph that a Loop or an If runs."""
    values = [
        helper.make_tensor_value_info(name, kind, ())
        for name, kind in (("i", TensorProto.INT64), ("go", TensorProto.BOOL))
    ]
    same = helper.make_node("Identity", ["go"], ["on"])
    return helper.make_graph(
        [same], "body", values, [helper.make_tensor_value_info("on", TensorProto.BOOL, ())]
    )


def _adds(operator, **attributes):
    def change(model):
        model.graph.node.append(helper.make_node(operator, ["image"], ["more"], **attributes))

    return change


def _hidden_loop(model):
    """In a function of the model's own, which its graph calls."""
    inner = helper.make_node("Loop", ["x"], ["y"], body=_body())
    model.functions.append(
        helper.make_function("mine", "Quiet", ["x"], ["y"], [inner], [helper.make_opsetid("", 18)])
    )
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.graph.node.append(helper.make_node("Quiet", ["image"], ["more"], domain="mine"))


def _elsewhere(location):
    return _network(
        lambda model: onnx.external_data_helper.set_external_data(model.graph.initializer[0], location)
    )


def _huge_weight(model):
    """A tensor that says it is an exbibyte."""
    model.graph.initializer[0].dims[:] = [1 << 30, 1 << 30]


def _large_manifest(bundle):
    """A gibibyte, of which nothing is on the disk."""
    with (bundle / "manifest.json").open("r+b") as file:
        file.truncate(GIBIBYTE)


DEEP = 1_000_000
BUNDLES = {
    "manifest of a gibibyte": _large_manifest,
    "manifest of a million levels": _manifest("[" * DEEP),
    "manifest of a million objects": _manifest('{"a":' * DEEP),
    "manifest of nothing": _manifest(""),
    "manifest of zeros": _manifest(bytes(1000)),
    "manifest in UTF-16": _manifest("{}".encode("utf-16")),
    "manifest of broken UTF-8": _manifest(b'{"name": "\xff\xfe"}'),
    "manifest of a long number": _manifest('{"format_version": ' + "9" * 100_000 + "}"),
    "manifest of a number beyond floats": _manifest('{"format_version": 2, "inputs": [1e99999]}'),
    "manifest of a list": _manifest("[2]"),
    "manifest with a control character": _manifest('{"format_version": 2, "\\u001b[2J\\n": 1}'),
    "manifest that is a pipe": _in_place_of("manifest.json", os.mkfifo),
    "manifest that is a folder": _in_place_of("manifest.json", Path.mkdir),
    "manifest that is a device": _in_place_of("manifest.json", lambda path: path.symlink_to("/dev/zero")),
    "manifest that is itself": _in_place_of("manifest.json", lambda path: path.symlink_to(path)),
    "network that is a pipe": _in_place_of("member.onnx", os.mkfifo),
    "network that is a folder": _in_place_of("member.onnx", Path.mkdir),
    "network that is a device": _in_place_of("member.onnx", lambda path: path.symlink_to("/dev/zero")),
    "network that is itself": _in_place_of("member.onnx", lambda path: path.symlink_to(path)),
    "file above the bundle": _fields(**{"members/0/file": "../member.onnx"}),
    "file from the root": _fields(**{"members/0/file": "/etc/passwd"}),
    "file with a line break": _fields(**{"members/0/file": "member.onnx\n"}),
    "file with a nul": _fields(**{"members/0/file": "member\0.onnx"}),
    "file of no name": _fields(**{"members/0/file": ""}),
    "hash above the bundle": _fields(files={"../../etc/passwd": "0" * 64}),
    "hash of text": _fields(files={"member.onnx": "yes"}),
    "many members": _fields(members=[{}] * 100_000),
    "no members": _fields(members=[]),
    "window beyond memory": _fields(**{"members/0/window_zyx": [100_000, 100_000, 100_000]}),
    "window of nothing": _fields(**{"members/0/window_zyx": [0, 0, 0]}),
    "window beyond counting": _fields(**{"members/0/window_zyx": [10**30, 1, 1]}),
    "spacing of nothing": _fields(**{"members/0/spacing_zyx_mm": [0, 0, 0]}),
    "spacing that is no number": _fields(**{"members/0/spacing_zyx_mm": [float("nan"), 1, 1]}),
    "spacing beyond counting": _fields(**{"members/0/spacing_zyx_mm": [1e300, 1, 1]}),
    "kind of markup": _fields(fusion={"kind": "<script>alert(1)</script>\x1b[2J"}),
    "labels of a million": _fields(**{"output/labels": {f"s{i}": i for i in range(100_000)}}),
    "labels below nothing": _fields(**{"output/labels": {"liver": -1}}),
    "Loop": _network(_adds("Loop", body=_body())),
    "If": _network(_adds("If", then_branch=_body(), else_branch=_body())),
    "Scan": _network(_adds("Scan", body=_body(), num_scan_inputs=1)),
    "Loop in a function": _network(_hidden_loop),
    "operator of another library": _network(_adds("Evil", domain="com.example")),
    "operator of Microsoft": _network(_adds("FusedConv", domain="com.microsoft")),
    "weights of another file": _elsewhere("weights.bin"),
    "weights above the bundle": _elsewhere("../../../../etc/passwd"),
    "weights from the root": _elsewhere("/etc/passwd"),
    "weights of a device": _elsewhere("/dev/zero"),
    "weight of an exbibyte": _network(_huge_weight),
    "network of nothing": _bytes(b""),
    "network of text": _bytes(b"<html>" * 100),
    "network of ones": _bytes(b"\xff" * 5000),
    "network of lengths": _bytes(b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    "network nested without end": _bytes(b"\x3a\x80\x80\x04" * 10_000),
}
"""What is changed in a sound bundle."""
