"""Bundles that cannot be used end the call with exit code 2 and one line, before any case is opened."""

import json
import shutil

import onnx
import pytest
from onnx import TensorProto, helper

import predict
from model.bundle import file_sha256
from tests.inference.bundles import abdomen, hu, make_bundle
from tests.inference.images import write_nifti
from tests.inference.onnx_files import bands, graph, tensor


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return make_bundle(tmp_path_factory.mktemp("bundle") / "bands").folder


@pytest.fixture
def bundle(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "bundle")


@pytest.fixture
def bench(tmp_path, monkeypatch):
    (tmp_path / "inputs").mkdir()
    write_nifti(tmp_path / "inputs" / "case.nii.gz", hu(abdomen()))
    monkeypatch.setattr("inference.imaging.reading.open_image", lambda *given: pytest.fail("opened a case"))
    return tmp_path


def rewrite(bundle, change):
    path = bundle / "manifest.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def replace_network(bundle, model):
    """Another network with the hash that the manifest states of it."""
    (bundle / "member.onnx").write_bytes(model.SerializeToString())
    digest = file_sha256(bundle / "member.onnx")
    rewrite(bundle, lambda document: document["files"].update({"member.onnx": digest}))


THRESHOLDS = (0.1, 0.3, 0.5, 0.7)
SHAPE = (1, 1, 8, 16, 16)


def changed(change):
    model = bands(SHAPE, THRESHOLDS)
    change(model)
    return lambda bundle: replace_network(bundle, model)


def of_shape(shape, thresholds=THRESHOLDS):
    return lambda bundle: replace_network(bundle, bands(shape, thresholds))


def two_inputs(model):
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, SHAPE))


def half(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16


def weights_elsewhere(model):
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "weights.bin")


def old_opset(model):
    model.opset_import[0].version = 8


def link(bundle):
    (bundle / "member.onnx").rename(bundle.parent / "elsewhere.onnx")
    (bundle / "member.onnx").symlink_to(bundle.parent / "elsewhere.onnx")


def alter(bundle):
    scale = graph([helper.make_node("Mul", ["image", "s"], ["logits"])], [tensor("s", 2.0)], SHAPE, 1)
    (bundle / "member.onnx").write_bytes(scale.SerializeToString())


def cut(bundle):
    (bundle / "member.onnx").write_bytes(b"half")
    rewrite(
        bundle,
        lambda document: document["files"].update({"member.onnx": file_sha256(bundle / "member.onnx")}),
    )


def version_1(bundle):
    rewrite(bundle, lambda document: document.update({"format_version": 1}))


def unknown_kind(bundle):
    rewrite(bundle, lambda document: document.update({"fusion": {"kind": "staple"}}))


SPOILED = {
    "version 1": (version_1, "manifest.json", "format_version: this release reads 2, is 1"),
    "unknown kind": (
        unknown_kind,
        "manifest.json",
        "must be one of mean, first_then_organs, cleaned_groups, restored_ensembles, is 'staple'",
    ),
    "altered file": (alter, "member.onnx", "was altered"),
    "symbolic link": (link, "member.onnx", "no regular file"),
    "missing file": (
        lambda bundle: (bundle / "member.onnx").unlink(),
        "member.onnx",
        "cannot be read (No such file",
    ),
    "no network": (cut, "member.onnx", "not an ONNX model, or damaged"),
    "wrong window": (of_shape((1, 1, 8, 16, 32)), "member.onnx", "its input is 1×1×8×16×32, members[0] in"),
    "wrong channels": (of_shape((1, 2, 8, 16, 16)), "member.onnx", "its input is 1×2×8×16×16, members[0] in"),
    "wrong classes": (of_shape(SHAPE, (0.1,)), "member.onnx", "its output is 1×2×8×16×16, members[0] in"),
    "old opset": (changed(old_opset), "member.onnx", "uses opset 8"),
    "weights elsewhere": (changed(weights_elsewhere), "member.onnx", "keeps weights in another file"),
    "two inputs": (changed(two_inputs), "member.onnx", "has 2 inputs and 1 outputs"),
    "float16 input": (changed(half), "member.onnx", "its input is not float32"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_refused_before_any_case_is_opened(how, bench, bundle, capsys):
    spoil, file, message = SPOILED[how]
    spoil(bundle)
    paths = ["--input", str(bench / "inputs"), "--output", str(bench / "outputs"), "--bundle", str(bundle)]
    for options in ([], ["--plan"]):
        assert predict.main([*paths, *options]) == 2
        out, err = capsys.readouterr()
        assert (out, len(err.splitlines())) == ("", 1)
        assert err.startswith(f"error: {bundle / file}: ")
        assert message in err
        assert not (bench / "outputs").exists()
