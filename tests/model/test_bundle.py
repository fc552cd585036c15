import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest

from model.bundle import BundleError, file_sha256, load_bundle, write_bundle
from model.labels import FLARE23, merged_channels
from model.manifest import Manifest
from model.schema import SchemaError, dump, parse

WINDOW = {"scheme": "window", "lower": -250, "upper": 250}


def document() -> dict:
    """A manifest that uses every field."""
    return {
        "format_version": 1,
        "name": "a test",
        "modality": "CT",
        "output": {
            "label_set": "flare23",
            "labels": dict(FLARE23.ids),
            "channels": list(merged_channels(FLARE23)),
            "activation": "softmax",
            "pairs": [{"merged": p.merged, "right": p.right, "left": p.left} for p in FLARE23.pairs],
        },
        "members": [
            {
                "file": "member0.onnx", "spacing_zyx_mm": [2.5, 0.8, 0.8], "window_zyx": [40, 224, 192],
                "intensity": WINDOW, "axes": "SPL",
                "interpolation": "cubic", "precision": "bf16", "overlap": 0.5, "importance": "gaussian",
                "window_strategy": "centre_first",
                "mirror_axes": ["x", "y"], "weight": 2,
            },
            {
                "file": "member1.onnx", "spacing_zyx_mm": [1, 1, 1], "window_zyx": [224, 224, 224],
                "axes": "RAS",
                "intensity": {"scheme": "clip_zscore", "lower": -970.5, "upper": 298.5, "mean": 93.3, "std": 136.2},
            },
        ],
        "localization": {"file": "roi.onnx", "spacing_zyx_mm": [4, 4, 4], "window_zyx": [128, 128, 128], "intensity": WINDOW,
                         "margin_mm": 20, "crop_axes": ["y", "x"]},
        "fuse": "mean_probability",
        "postprocessing": {"liver": {"keep": "longest_1d"}, "tumor": {"min_voxels": 100}},
        "provenance": {"recipe": "r", "git_revision": "g", "data": "d", "licence": "l", "intended_use": "research"},
        "files": {"member0.onnx": "0" * 64, "member1.onnx": "1" * 64, "roi.onnx": "2" * 64},
    }  # fmt: skip


def put(tree, path, value):
    """Set `members.0.overlap` and the like; `...` deletes."""
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        tree = tree[key]
    if value is ...:
        del tree[last]
    else:
        tree[last] = value


def test_a_full_manifest_survives_the_round_trip():
    manifest = parse(Manifest, document())
    assert parse(Manifest, json.loads(json.dumps(dump(manifest)))) == manifest
    assert manifest.members[0].weight == 2.0
    assert manifest.members[1].overlap == 0.5


def test_defaults_are_few_and_known():
    sparse = document()
    del sparse["localization"], sparse["postprocessing"]
    manifest = parse(Manifest, sparse)
    assert manifest.localization is None
    assert manifest.members[1].mirror_axes == ()


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format_version", 2, "format_version: this release reads 1, is 2"),
        ("name", ..., "name: missing"),
        ("name", 3, "name: must be str, is int 3"),
        ("surprise", 1, "surprise: unknown field"),
        ("modality", "PET", "modality: must be one of CT, MR"),
        ("members", [], "members: must have at least one"),
        ("members", {}, "members: must be a list"),
        ("members.0.overlap", 1.2, "members[0].overlap: must be 0 to 0.9, is 1.2"),
        ("members.0.overlap", True, "members[0].overlap: must be float, is bool True"),
        ("members.0.spacing_zyx_mm", [1, 1], "members[0].spacing_zyx_mm: must be a list of 3, has 2"),
        ("members.0.spacing_zyx_mm", [1, 0, 1], "members[0].spacing_zyx_mm: must be 0.1 to 20 mm"),
        ("members.0.window_zyx", [1, 8, 8], "members[0].window_zyx: must be 8 to 1024"),
        ("members.0.window_zyx", [8.5, 8, 8], "members[0].window_zyx[0]: must be int"),
        ("members.0.axes", "RAL", "members[0].axes: must name each"),
        ("members.0.weight", 0, "members[0].weight: must be above 0"),
        ("members.0.memory_mb", {"cuda-fp32": 0}, "members[0].memory_mb.cuda-fp32: must be above 0"),
        ("members.0.memory_mb", {"cuda-fp32": -5}, "members[0].memory_mb.cuda-fp32: must be above 0"),
        ("members.0.memory_mb", {"cuda-fp32": 10**400}, "members[0].memory_mb.cuda-fp32: must be above 0"),
        ("members.0.memory_mb", {"cuda-fp32": float("inf")}, "members[0].memory_mb.cuda-fp32: must be int"),
        ("members.0.mirror_axes", ["x", "x"], "members[0].mirror_axes: names an axis twice"),
        ("members.0.file", "../evil.onnx", "members[0].file: must lie in the bundle"),
        ("members.0.file", "/etc/passwd", "members[0].file: must lie in the bundle"),
        ("members.0.file", "other.onnx", "members[0].file: 'other.onnx' has no hash in files"),
        ("members.0.fp16_file", "other.onnx", "members[0].fp16_file: 'other.onnx' has no hash in files"),
        ("members.0.fp16_file", "../evil.onnx", "members[0].fp16_file: must lie in the bundle"),
        ("members.0.precision", "fp16", "members[0].precision: must be one of fp32, bf16"),
        ("members.0.intensity", {"scheme": "window", "lower": 1}, "members[0].intensity.upper: missing with window"),
        ("members.0.intensity", {"scheme": "zscore", "mean": 1}, "members[0].intensity.mean: not used with zscore"),
        ("members.0.intensity", {"scheme": "window", "lower": 5, "upper": 1}, "members[0].intensity.upper: must be above lower"),
        ("members.1.intensity.std", 0, "members[1].intensity.std: must be above 0"),
        ("localization.crop_axes", ["w"], "localization.crop_axes[0]: must be one of z, y, x"),
        ("output.channels", ["liver"], "output.channels: must begin with background"),
        ("output.channels", ["background", "bladder"], "output.channels[1]: bladder is neither"),
        ("output.labels", {"liver": 1}, "output.labels: label set flare23: right kidney of pair kidney is not in the set"),
        ("postprocessing.bladder", {}, "postprocessing.bladder: not among output.labels"),
        ("postprocessing.tumor.min_voxels", -1, "postprocessing.tumor.min_voxels: must be 0 or more"),
        ("files", {"member0.onnx": "zz"}, "members[1].file"),
        ("files.roi.onnx", "zz", "files"),
    ],
)  # fmt: skip
def test_a_faulty_manifest_names_the_field(path, value, message):
    faulty = copy.deepcopy(document())
    if path == "files.roi.onnx":
        faulty["files"]["roi.onnx"] = value
    else:
        put(faulty, path, value)
    with pytest.raises(SchemaError) as caught:
        parse(Manifest, faulty)
    assert message in str(caught.value)


def test_a_hash_of_a_file_outside_the_bundle_is_refused():
    faulty = document()
    faulty["files"]["../../elsewhere"] = "3" * 64
    with pytest.raises(SchemaError, match=r"files\.\.\./\.\./elsewhere: must lie in the bundle"):
        parse(Manifest, faulty)


def test_the_crop_after_the_first_member_needs_one_mean_of_all():
    with pytest.raises(SchemaError, match="crop_after_first: cannot be used with fuse after_postprocessing"):
        parse(Manifest, document() | {"crop_after_first": True, "fuse": "after_postprocessing"})


@pytest.mark.parametrize(("count", "fits"), [(254, True), (255, False)])
def test_label_maps_hold_254_structures(count, fits):
    names = [f"s{i}" for i in range(1, count + 1)]
    output = {
        "label_set": "many",
        "labels": {name: i for i, name in enumerate(names, start=1)},
        "channels": ["background", *names],
    }
    tree = document() | {"output": output, "postprocessing": {}}
    if fits:
        assert len(parse(Manifest, tree).output.channels) == 255
    else:
        with pytest.raises(SchemaError, match=r"output\.channels: at most 254 structures, are 255"):
            parse(Manifest, tree)


def test_memory_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"memory_mb\.cuda-fp32"):
        replace(parse(Manifest, document()).members[0], memory_mb={"cuda-fp32": float("nan")})


def sigmoid(tree):
    tree["output"]["activation"] = "sigmoid"
    tree["output"]["channels"] = ["liver", "tumor"]


def test_sigmoid_channels_have_no_background():
    tree = document()
    sigmoid(tree)
    assert parse(Manifest, tree).output.channels == ("liver", "tumor")
    tree["output"]["channels"] = ["background", "liver"]
    with pytest.raises(SchemaError, match=r"output.channels\[0\]: background is neither"):
        parse(Manifest, tree)


@pytest.fixture
def bundle(tmp_path):
    def write_files(folder):
        for name in ("member0.onnx", "member1.onnx", "roi.onnx"):
            (folder / name).write_bytes(name.encode())

    return write_bundle(
        tmp_path / "bundle", write_files, lambda files: parse(Manifest, document() | {"files": dict(files)})
    )


def test_what_was_written_is_read_and_verified(bundle):
    assert load_bundle(bundle.folder) == bundle
    assert bundle.manifest.files["roi.onnx"] == file_sha256(bundle.folder / "roi.onnx")
    assert bundle.path_of(bundle.manifest.members[0]).read_bytes() == b"member0.onnx"
    assert bundle.sha256 == file_sha256(bundle.folder / "manifest.json")


def test_an_altered_file_is_refused(bundle):
    (bundle.folder / "roi.onnx").write_bytes(b"tampered")
    with pytest.raises(BundleError, match=r"roi\.onnx: was altered"):
        load_bundle(bundle.folder)


def test_a_link_is_no_file_of_a_bundle(bundle, tmp_path):
    elsewhere = tmp_path / "elsewhere.onnx"
    (bundle.folder / "roi.onnx").rename(elsewhere)
    (bundle.folder / "roi.onnx").symlink_to(elsewhere)
    with pytest.raises(BundleError, match="no regular file"):
        load_bundle(bundle.folder)


def test_a_missing_file_is_refused(bundle):
    (bundle.folder / "roi.onnx").unlink()
    with pytest.raises(BundleError, match=r"roi\.onnx: named in manifest\.json but cannot be read"):
        load_bundle(bundle.folder)


def test_no_bundle_and_no_json(tmp_path):
    with pytest.raises(BundleError, match="no bundle here"):
        load_bundle(tmp_path)
    for text in ("{", "[" * 100_000, "1" * 5000):
        (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
        with pytest.raises(BundleError, match="cannot be read as JSON"):
            load_bundle(tmp_path)


def test_writing_replaces_only_when_asked_and_only_bundles(bundle, tmp_path):
    def again(folder, **options):
        return write_bundle(folder, lambda _: None, lambda _: parse(Manifest, document()), **options)

    with pytest.raises(BundleError, match="already exists"):
        again(bundle.folder)
    precious = tmp_path / "precious"
    precious.mkdir()
    with pytest.raises(BundleError, match="already exists"):
        again(precious, overwrite=True)


def named(name):
    def write_files(folder):
        for file in ("member0.onnx", "member1.onnx", "roi.onnx"):
            (folder / file).write_bytes(name.encode())

    return write_files, lambda files: parse(Manifest, document() | {"name": name, "files": dict(files)})


def test_a_bundle_is_replaced_as_a_whole(bundle, tmp_path):
    assert write_bundle(bundle.folder, *named("new"), overwrite=True).manifest.name == "new"
    assert load_bundle(bundle.folder).manifest.name == "new"
    assert list(tmp_path.iterdir()) == [bundle.folder]


@pytest.mark.parametrize("failing", [1, 2])
def test_an_old_bundle_survives_a_rename_that_fails(bundle, tmp_path, monkeypatch, failing):
    """The first rename takes the old bundle away, the second one puts the new one in its place."""
    calls = []

    def rename(path, target, rename=Path.rename):
        calls.append(target)
        if len(calls) == failing:
            raise OSError("the disk is full")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match="the disk is full"):
        write_bundle(bundle.folder, *named("new"), overwrite=True)
    assert load_bundle(bundle.folder) == bundle
    assert list(tmp_path.iterdir()) == [bundle.folder]


def test_an_old_bundle_survives_a_new_one_that_is_faulty(bundle):
    with pytest.raises(BundleError, match="cannot be read"):
        write_bundle(bundle.folder, lambda _: None, lambda _: parse(Manifest, document()), overwrite=True)
    assert load_bundle(bundle.folder) == bundle


def test_a_failure_while_writing_leaves_nothing(tmp_path):
    def fail(folder):
        (folder / "half.onnx").write_bytes(b"half")
        raise RuntimeError("parity")

    with pytest.raises(RuntimeError, match="parity"):
        write_bundle(tmp_path / "bundle", fail, lambda _: parse(Manifest, document()))
    assert list(tmp_path.iterdir()) == []
