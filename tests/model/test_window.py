"""What a manifest says of windows of any size."""

import json

import pytest

from model.bundle import load_bundle
from model.manifest.document import Manifest
from model.manifest.window import AnyWindow, MemoryLine
from model.model_errors import BundleError
from model.schema import SchemaError, dump, parse
from tests.inference.bundles import make_bundle, member
from tests.model.manifests import document, put

ANY = {
    "kind": "any",
    "multiple_of_zyx": [8, 16, 16],
    "smallest_zyx": [16, 32, 32],
    "memory": {"openvino-bf16": {"fixed_mb": 50.5, "mb_per_mvoxel": 200}},
}


def of_any(**changes):
    """The document of these tests, its second member for any window."""
    tree = document()
    tree["members"][1]["window"] = ANY | changes
    return tree


def test_a_member_of_any_window_survives_the_round_trip():
    manifest = parse(Manifest, of_any())
    assert parse(Manifest, json.loads(json.dumps(dump(manifest)))) == manifest
    line = MemoryLine(fixed_mb=50.5, mb_per_mvoxel=200.0)
    assert manifest.members[1].window == AnyWindow(
        multiple_of_zyx=(8, 16, 16), smallest_zyx=(16, 32, 32), memory={"openvino-bf16": line}
    )
    # Half a million voxels.
    assert line.mb((50, 100, 100)) == 150.5


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("members.1.window.kind", "some", "members[1].window.kind: must be one of fixed, any"),
        ("members.1.window.multiple_of_zyx", [0, 8, 8], "multiple_of_zyx: must be 1 to 1024"),
        ("members.1.window.smallest_zyx", [8, 16, 20], "smallest_zyx: must be multiples of (8, 16, 16)"),
        ("members.1.window.smallest_zyx", [0, 16, 16], "smallest_zyx: must be multiples of (8, 16, 16)"),
        ("members.1.window.memory", {"abacus": {}}, "fixed_mb"),
        (
            "members.1.window.memory",
            {"abacus": {"fixed_mb": 1, "mb_per_mvoxel": 1}},
            "memory.abacus: unknown; known are openvino-fp32",
        ),
        (
            "members.1.window.memory",
            {"openvino-fp32": {"fixed_mb": -1, "mb_per_mvoxel": 1}},
            "fixed_mb: must be 0 to",
        ),
        ("members.1.window_zyx", [96, 112, 120], "window_zyx: must be multiples of (8, 16, 16)"),
        ("members.1.window_zyx", [8, 112, 128], "from (16, 32, 32) on, is (8, 112, 128)"),
        ("members.1.tiling", {"order": {"kind": "centre_first"}}, "any needs tiling.order all"),
        ("localization.window", ANY, "window: must be fixed here, is any"),
    ],
)
def test_a_faulty_window_names_the_field(path, value, message):
    faulty = of_any()
    put(faulty, path, value)
    with pytest.raises(SchemaError) as caught:
        parse(Manifest, faulty)
    assert message in str(caught.value)


def test_members_of_one_file_take_the_same_windows():
    tree = of_any()
    tree["members"][0] = {**tree["members"][1], "window": {"kind": "fixed"}}
    with pytest.raises(SchemaError, match=r"^members\[1\]\.window: must be as in members\[0\]"):
        parse(Manifest, tree)


def test_a_file_of_one_window_is_no_network_of_any(tmp_path):
    bundle = make_bundle(tmp_path / "b", [member()])
    path = bundle.folder / "manifest.json"
    tree = json.loads(path.read_text(encoding="utf-8"))
    tree["members"][0]["window"] = {"kind": "any", "multiple_of_zyx": [1, 1, 1], "smallest_zyx": [1, 1, 1]}
    path.write_text(json.dumps(tree))
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle.folder)
    assert str(caught.value) == (
        f"{bundle.folder / 'member.onnx'}: is for windows of 8×16×16, members[0].window in manifest.json "
        "says any; export it again, or leave out window"
    )
