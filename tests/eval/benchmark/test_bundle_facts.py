import json

import pytest

from eval.benchmark.bundle_facts import read_bundle
from eval.eval_errors import JudgingError
from tests.places import ROOT

PAIRS = [{"merged": "kidney", "right": "right kidney", "left": "left kidney"}]


def manifest() -> dict:
    """One member, one window of HU, a pair that is one channel; what has a default is left out."""
    return {
        "format_version": 2,
        "name": "made",
        "inputs": [
            {"name": "CT", "modality": "CT", "intensity": {"kind": "window", "lower": -250, "upper": 250}}
        ],
        "members": [{"file": "a.onnx", "spacing_zyx_mm": [2.5, 2, 2], "window_zyx": [8, 16, 16]}],
        "output": {
            "labels": {"liver": 1, "right kidney": 2, "left kidney": 13},
            "channels": ["background", "liver", "kidney"],
            "pairs": PAIRS,
        },
    }


def read(folder, document):
    (folder / "manifest.json").write_text(json.dumps(document))
    return read_bundle(folder)


def test_a_bundle_is_read_as_an_outsider_would(tmp_path):
    bundle = read(tmp_path, manifest())
    assert bundle.channel_ids == (0, 1, 2)
    assert bundle.right_of == {13: 2}
    (member,) = bundle.members
    assert member.path == tmp_path / "a.onnx"
    assert (member.shift_hu, member.scale_hu, member.window_zyx) == (-250.0, 500.0, (8, 16, 16))
    assert (member.overlap, member.importance, member.sigma) == (0.5, "gaussian", 0.125)
    assert member.interpolation == "linear"


def test_members_may_state_what_is_their_own(tmp_path):
    document = manifest()
    document["preprocessing"] = {"resampling": {"kind": "area"}}
    zscore = {"kind": "clip_zscore", "lower": -100, "upper": 300, "mean": 70, "std": 120}
    own = {"file": "b.onnx", "intensities": [zscore], "resampling": {"kind": "linear"}}
    own["tiling"] = {"overlap": 0.25, "importance": {"kind": "constant"}}
    document["members"].append({**document["members"][0], **own})
    first, second = read(tmp_path, document).members
    assert (first.interpolation, second.interpolation) == ("area", "linear")
    assert (second.lower_hu, second.upper_hu, second.shift_hu, second.scale_hu) == (-100, 300, 70, 120)
    assert (second.overlap, second.importance) == (0.25, "constant")


def test_the_embedded_bundle_is_known_apart_from_its_windows_of_any_size(tmp_path):
    """The plain pipeline has windows of one size."""
    document = json.loads((ROOT / "bundles" / "default" / "manifest.json").read_text(encoding="utf-8"))
    with pytest.raises(JudgingError, match=r"members\[0\]\.window\.kind 'any'"):
        read(tmp_path, document)
    for member in document["members"]:
        member["window"] = {"kind": "fixed"}
    bundle = read(tmp_path, document)
    assert [member.path.name for member in bundle.members] == ["member-1.onnx", "member-2.onnx"]
    assert bundle.channel_ids == (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 14)
    assert bundle.right_of == {13: 2, 8: 7}


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("format_version",), 1, "has format_version 1"),
        (("inputs",), manifest()["inputs"] * 2, "has 2 inputs"),
        (("preprocessing", "orientation"), "stored", "has preprocessing.orientation 'stored'"),
        (("preprocessing", "crop"), "nonzero", "has preprocessing.crop 'nonzero'"),
        (
            ("preprocessing", "normalize"),
            "before_resampling",
            "has preprocessing.normalize 'before_resampling'",
        ),
        (("preprocessing", "resampling"), {"kind": "separate_axis"}, "resampling.kind 'separate_axis'"),
        (("fusion", "kind"), "cleaned_groups", "has fusion.kind 'cleaned_groups'"),
        (("fusion", "of"), "logits", "has fusion.of 'logits'"),
        (("restoration",), {"kind": "separate_axis"}, "has restoration.kind 'separate_axis'"),
        (("output", "activation"), {"kind": "sigmoid"}, "has output.activation.kind 'sigmoid'"),
        (("output", "written_as"), {"liver": None}, "has output.written_as"),
        (("members", 0, "axes"), "RAS", "has members[0].axes 'RAS'"),
        (("members", 0, "window"), {"kind": "any"}, "has members[0].window.kind 'any'"),
        (("members", 0, "tiling"), {"mirror_axes": ["x"]}, "has members[0].tiling.mirror_axes"),
        (("members", 0, "tiling"), {"order": {"kind": "centre_first"}}, "tiling.order.kind 'centre_first'"),
        (("members", 0, "tiling"), {"importance": {"kind": "nnunet_gaussian"}}, "kind 'nnunet_gaussian'"),
        (("members", 0, "intensities"), [{"kind": "zscore"}], "intensity.kind 'zscore'"),
    ],
)
def test_what_the_plain_pipeline_does_not_do_is_refused_by_name(tmp_path, where, value, words):
    document = manifest()
    place = document
    for part in where[:-1]:
        place = place.setdefault(part, {}) if isinstance(part, str) else place[part]
    place[where[-1]] = value
    with pytest.raises(JudgingError) as error:
        read(tmp_path, document)
    assert words in str(error.value)
    assert str(error.value).startswith(f"{tmp_path / 'manifest.json'}: has ")
    assert str(error.value).endswith("which the plain pipeline does not know")


def test_members_of_different_weight_are_refused(tmp_path):
    document = manifest()
    document["members"].append({**document["members"][0], "weight": 2.0})
    with pytest.raises(JudgingError, match="has members of different weight"):
        read(tmp_path, document)


def test_what_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(JudgingError, match="cannot be read as a bundle's manifest"):
        read_bundle(tmp_path)
    for document in ({}, {"format_version": 2, "inputs": [{}]}, []):
        with pytest.raises(JudgingError, match="is this a bundle"):
            read(tmp_path, document)
