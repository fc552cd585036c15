"""What is said of manifests that are faulty."""

import copy
import math
import re

import pytest

from model.manifest.document import Manifest
from model.schema import SchemaError, parse
from tests.model.manifests import document, put


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("format_version", 1, ": this release reads 2, is 1"),
        ("name", ..., ": missing"),
        ("name", 3, ": must be str, is int 3"),
        ("name", "a\x1b[2J\nb", ": must hold printable characters only, is 'a\\x1b[2J\\nb'"),
        ("inputs.0.name", "C\x07T", ": must hold printable characters only, is 'C\\x07T'"),
        ("provenance.licence", "\x1b]0;p", ": must hold printable characters only, is '\\x1b]0;p'"),
        ("members.0.ensemble", "a\r", ": must hold printable characters only, is 'a\\r'"),
        ("surprise", 1, ": unknown field"),
        ("inputs", [], ": must have at least one"),
        ("inputs.0.modality", "US", ": must be one of CT, MR, PET, other, is 'US'"),
        ("members", [], ": must have at least one"),
        ("members", {}, ": must be a list"),
        ("members.0.tiling.overlap", 1.2, ": must be 0 to 0.9, is 1.2"),
        ("members.0.tiling.overlap", True, ": must be float, is bool True"),
        ("members.0.tiling.importance", {"kind": "gaussian", "sigma": 0}, ".sigma: must be 0.01 to 10"),
        ("members.0.tiling.importance", {"kind": "nnunet_gaussian", "sigma": 11}, ".sigma: must be 0.01 to"),
        ("members.0.tiling.importance.least", 0, ": must be 1e-06 to 1, is 0"),
        ("members.0.tiling.importance", "gaussian", ": must be a mapping with a kind, one of"),
        ("members.0.tiling.order.anterior_share", 2, ": must be 0 to 1, is 2"),
        ("members.0.tiling.order.least_foreground", -1, "order.least_foreground: must be 0 or more, is -1"),
        ("members.0.tiling.order.least_anterior", -1, "order.least_anterior: must be 0 or more, is -1"),
        ("members.0.tiling.mirror_axes", ["x", "x"], ": names an axis twice"),
        ("members.0.spacing_zyx_mm", [1, 1], ": must be a list of 3, has 2"),
        ("members.0.spacing_zyx_mm", [1, 0, 1], ": must be 0.1 to 20 mm"),
        ("members.0.window_zyx", [0, 8, 8], ": must be 1 to 1024"),
        ("members.0.window_zyx", [8, 8, 1025], ": must be 1 to 1024"),
        ("members.0.window_zyx", [8.5, 8, 8], "[0]: must be int"),
        ("members.0.axes", "RAL", ": must name each"),
        ("members.0.axes", "SPLR", ": must name each"),
        ("members.0.weight", 0, ": must be above 0"),
        ("members.0.memory_mb", {"cuda-fp32": 0}, ".cuda-fp32: must be above 0"),
        ("members.0.memory_mb", {"cuda-fp32": -5}, ".cuda-fp32: must be above 0"),
        ("members.0.memory_mb", {"cuda-fp32": 10**400}, ".cuda-fp32: must be above 0"),
        ("members.0.memory_mb", {"cuda-fp32": float("inf")}, ".cuda-fp32: must be int"),
        ("members.0.file", "../evil.onnx", ": must lie in the bundle"),
        ("members.0.file", "/etc/passwd", ": must lie in the bundle"),
        ("members.0.file", "a\\b.onnx", ": must lie in the bundle"),
        ("members.0.file", "", ": must lie in the bundle"),
        ("members.0.file", "other.onnx", ": 'other.onnx' has no hash in files"),
        ("members.0.fp16_file", "other.onnx", ": 'other.onnx' has no hash in files"),
        ("members.0.fp16_file", "../evil.onnx", ": must lie in the bundle"),
        ("members.0.precision", "fp16", ": must be one of fp32, bf16"),
        ("members.0.intensities", [{"kind": "none"}], ": must be one for each of the 2 inputs"),
        ("inputs.0.intensity", {"kind": "window", "lower": 1}, ".upper: missing"),
        ("inputs.0.intensity", {"kind": "zscore", "mean": 1}, ".mean: unknown field; known are kind, over"),
        ("inputs.0.intensity", {"kind": "window", "lower": 5, "upper": 1}, ".upper: must be above lower"),
        ("inputs.0.intensity", {"kind": "window", "lower": math.nan, "upper": 1}, ".lower: must be finite"),
        ("inputs.0.intensity", {"kind": "divide", "by": 0}, ".by: must be above 0"),
        ("members.0.intensities.0.std", 0, ": must be above 0"),
        ("members.0.intensities.0.mean", float("inf"), ": must be finite"),
        ("preprocessing.resampling.above_ratio", -1, ": must be 0 to 1e6"),
        ("preprocessing.resampling.along", "area", ": must be one of linear, cubic, nearest"),
        ("restoration", {"kind": "cubic"}, ".kind: must be one of linear, separate_axis, is 'cubic'"),
        ("restoration", {"kind": "separate_axis", "in_plane": "cubic"}, ".in_plane: must be one of linear"),
        ("fusion", {"kind": "cleaned_groups", "of": "logits"}, ".of: unknown field"),
        ("fusion", {"kind": "cleaned_groups", "clean_up": {"z": []}}, ".clean_up.z: no member names this"),
        (
            "fusion",
            {"kind": "cleaned_groups", "clean_up": {"a": [{"kind": "longest_run", "structures": ["cyst"]}]}},
            ".clean_up.a[0].structures: cyst is not among output.labels",
        ),
        ("localization.crop_axes", ["w"], "[0]: must be one of z, y, x"),
        ("localization.margin_mm", 501, ": must be 0 to 500, is 501"),
        ("localization.more_looks", 1, "localization.skip_outside: leaves out what"),
        ("localization.least_ml", -1, ": must be 0 to 10000"),
        ("localization.more_looks", 10, ": must be 0 to 9, is 10"),
        ("localization.weight", 1, ": unknown field"),
        ("output.channels", ["liver"], ": must begin with background"),
        ("output.channels", ["background"], ": no structure"),
        ("output.channels", ["background", "liver", "liver"], ": a name stands twice"),
        ("output.written_as", {"background": None}, ".background: not among channels"),
        ("output.written_as", {"hepar": "liver"}, ".hepar: not among channels"),
        ("output.written_as", {"liver": "hepar"}, "output.channels[1]: hepar is neither"),
        ("output.lesions", ["cyst"], "output.labels: label set flare23: lesion cyst is not in the set"),
        ("output.labels", {"liver": 1}, ": label set flare23: right kidney of pair kidney is not in the set"),
        ("output.activation", {"kind": "sigmoid"}, "channels: background may only be the first"),
        ("postprocessing.0.structures", ["bladder"], ": bladder is not among output.labels"),
        ("postprocessing.0.structures", [], ": must name at least one"),
        ("postprocessing.0.structures", ["liver", "liver"], ": a name stands twice"),
        ("postprocessing.1.together", True, ": unknown field"),
        ("postprocessing.2.voxels", -1, ": must be 1 or more"),
        ("postprocessing.3.mm3", 0, ": must be above 0"),
        ("postprocessing.4.ml", 0, ": must be above 0 and at most 10000"),
        ("postprocessing.5.distance_mm", 0, ": must be above 0 and at most 500"),
        ("files", {"member0.onnx": "zz"}, "members[0].fp16_file"),
    ],
)  # fmt: skip
def test_a_faulty_manifest_names_the_field(path, value, message):
    """Messages that begin with `:`, `.` or `[` go on after the path of the field."""
    faulty = copy.deepcopy(document())
    if path.startswith("output.channels"):
        del faulty["output"]["written_as"]
    put(faulty, path, value)
    with pytest.raises(SchemaError) as caught:
        parse(Manifest, faulty)
    where = re.sub(r"\.(\d+)", r"[\1]", path) if message[0] in ":.[" else ""
    assert where + message in str(caught.value)


def test_a_structure_whose_name_would_do_something_is_refused():
    faulty = document()
    faulty["output"]["labels"]["li\x1b[31mver"] = 15
    with pytest.raises(SchemaError) as caught:
        parse(Manifest, faulty)
    said = "output.labels: label set: name: must hold printable characters only, is 'li\\x1b[31mver'"
    assert str(caught.value) == said


def test_an_unknown_channel_is_named():
    faulty = document()
    faulty["output"] |= {"channels": ["background", "bladder"], "written_as": {}}
    with pytest.raises(SchemaError, match=r"output\.channels\[1\]: bladder is neither"):
        parse(Manifest, faulty)


@pytest.mark.parametrize(
    ("file", "digest", "message"),
    [
        ("roi.onnx", "zz", r"files\.roi\.onnx: must be 64 hexadecimal digits, is 'zz'"),
        ("roi.onnx", "A" * 64, r"files\.roi\.onnx: must be 64 hexadecimal digits"),
        ("../../elsewhere", "3" * 64, r"files\.\.\./\.\./elsewhere: must lie in the bundle"),
    ],
)
def test_a_hash_that_is_none_or_of_a_file_outside_the_bundle_is_refused(file, digest, message):
    faulty = document()
    faulty["files"][file] = digest
    with pytest.raises(SchemaError, match=message):
        parse(Manifest, faulty)
