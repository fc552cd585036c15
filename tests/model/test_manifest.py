"""What a manifest may say, and what is said of one that is faulty."""

import json
from dataclasses import fields, is_dataclass, replace

import pytest

from model.labels import FLARE23
from model.manifest.document import Manifest
from model.manifest.fusion import CleanedGroupsFusion, FirstThenOrgansFusion, MeanFusion, fused_scores
from model.manifest.intensity import ClipZscoreIntensity, NoIntensity, WindowIntensity, ZscoreIntensity
from model.manifest.output import Output, Sigmoid
from model.manifest.resampling import CubicResampling, LinearResampling, SeparateAxisResampling
from model.manifest.tiling import AllWindows, GaussianImportance, Tiling
from model.schema import SchemaError, dump, parse
from tests.model.manifests import document
from tests.places import ROOT


def parsed(**changes) -> Manifest:
    return parse(Manifest, document() | changes)


def unused(value, given, where="") -> list[str]:
    """Fields of a parsed document that it left to their defaults."""
    if isinstance(value, tuple):
        return [name for i, item in enumerate(value) for name in unused(item, given[i], f"{where}[{i}]")]
    if not is_dataclass(value):
        return []
    found = []
    for field in fields(value):
        path = f"{where}.{field.name}"
        if field.name in given:
            found += unused(getattr(value, field.name), given[field.name], path)
        else:
            found.append(path)
    return found


def test_a_full_manifest_survives_the_round_trip():
    manifest = parsed()
    assert parse(Manifest, json.loads(json.dumps(dump(manifest)))) == manifest
    assert manifest.members[0].weight == 2.0
    assert manifest.members[1].tiling == Tiling()
    assert manifest.postprocessing[3].mm3 == 50.0


def test_the_manifest_of_these_tests_uses_every_field():
    """But for what its second member and its restoration leave out, to test defaults."""
    left = [name for name in unused(parsed(), document()) if not name.startswith(".members[1]")]
    network = (
        "kept_spacing",
        "kept_within",
        "window",
        "axes",
        "intensities",
        "resampling",
        "precision",
        "fp16_file",
        "memory_mb",
    )
    assert left == [".restoration.above_ratio", *(f".localization.{name}" for name in network)]


def test_defaults_are_few_and_known():
    sparse = document()
    for field in (
        "localization",
        "postprocessing",
        "preprocessing",
        "fusion",
        "restoration",
        "format_version",
    ):
        del sparse[field]
    for channel in sparse["inputs"]:
        channel["intensity"] = {"kind": "none"}
    manifest = parse(Manifest, sparse)
    assert manifest.localization is None
    assert manifest.postprocessing == ()
    assert (manifest.fusion, manifest.restoration) == (MeanFusion(of="probabilities"), LinearResampling())
    assert (manifest.preprocessing.orientation, manifest.preprocessing.crop) == ("canonical", "none")
    assert manifest.preprocessing.normalize == "after_resampling"
    tiling = manifest.members[1].tiling
    assert (tiling.overlap, tiling.mirror_axes, tiling.skip_air) == (0.5, (), True)
    assert (tiling.importance, tiling.order) == (GaussianImportance(sigma=0.125, least=1e-3), AllWindows())


@pytest.mark.parametrize(("count", "fits"), [(254, True), (255, False)])
def test_label_maps_hold_254_structures(count, fits):
    names = [f"s{i}" for i in range(1, count + 1)]
    output = {
        "label_set": "many",
        "labels": {name: i for i, name in enumerate(names, start=1)},
        "channels": ["background", *names],
    }
    changes = {"output": output, "postprocessing": [], "members": document()["members"][1:]}
    if fits:
        assert len(parsed(**changes).output.channels) == 255
    else:
        with pytest.raises(SchemaError, match=r"output\.channels: at most 254 structures, are 255"):
            parsed(**changes)


def test_memory_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match=r"memory_mb\.cuda-fp32"):
        replace(parsed().members[0], memory_mb={"cuda-fp32": float("nan")})


def sigmoid(channels, **activation):
    tree = document()
    tree["members"] = tree["members"][1:]
    tree["output"] |= {
        "activation": {"kind": "sigmoid", **activation},
        "channels": channels,
        "written_as": {},
    }
    return tree


def test_sigmoid_channels_have_no_background():
    output = parse(Manifest, sigmoid(["liver", "tumor"])).output
    assert output.channels == output.structures == ("liver", "tumor")
    with pytest.raises(
        SchemaError, match=r"output\.channels: background may only be the first, under softmax"
    ):
        parse(Manifest, sigmoid(["background", "liver"]))


def test_priorities_name_each_channel_once():
    output = parse(Manifest, sigmoid(["liver", "tumor"], priority=[1, 0])).output
    assert output.activation == Sigmoid(priority=(1, 0))
    for priority in ([0], [0, 0], [1, 2], [0, 1, 2]):
        with pytest.raises(SchemaError) as caught:
            parse(Manifest, sigmoid(["liver", "tumor"], priority=priority))
        message = "output.activation.priority: must name each of the 2 channels once"
        assert str(caught.value) == message


def test_what_channels_are_written_as():
    output = parsed().output
    assert output.structures == output.channels[1:]
    assert output.structure_of("liver") == "liver"
    assert output.structure_of("duodenum") == "stomach"
    assert output.structure_of("esophagus") is None
    assert output.structure_of("kidney") == "kidney"
    renamed = Output(
        label_set="flare23",
        labels=dict(FLARE23.ids),
        channels=("background", "kidneys", "class 7"),
        pairs=FLARE23.pairs,
        written_as={"kidneys": "kidney", "class 7": None},
    )
    assert [renamed.structure_of(channel) for channel in renamed.structures] == ["kidney", None]


def test_networks_by_their_places():
    manifest = parsed()
    assert list(manifest.networks()) == ["members[0]", "members[1]", "localization"]
    assert list(parsed(localization=None).networks()) == ["members[0]", "members[1]"]
    assert manifest.members[0].files == {"file": "member0.onnx", "fp16_file": "member0.fp16.onnx"}
    assert manifest.members[1].files == {"file": "member1.onnx"}
    assert manifest.members[1].input_shape == (128, 112, 96)  # R, A, S: x, y, z.


def test_what_a_network_states_itself_goes_before_what_the_manifest_states_for_all():
    manifest = parsed()
    first, second = manifest.members
    assert isinstance(manifest.resampling_of(first), CubicResampling)
    assert isinstance(manifest.resampling_of(second), SeparateAxisResampling)
    assert [type(each) for each in manifest.intensities_of(first)] == [ClipZscoreIntensity, NoIntensity]
    assert [type(each) for each in manifest.intensities_of(second)] == [WindowIntensity, ZscoreIntensity]


def test_the_channel_by_which_air_is_told():
    assert parsed().ct_channel == 0
    assert parsed(inputs=document()["inputs"][::-1]).ct_channel == 1
    inputs = [{"name": "T2", "modality": "MR", "intensity": {"kind": "zscore"}}] * 2
    assert parsed(inputs=inputs).ct_channel is None


def test_what_fusions_average():
    assert fused_scores(MeanFusion()) == fused_scores(FirstThenOrgansFusion()) == "probabilities"
    assert (
        fused_scores(MeanFusion(of="logits")) == fused_scores(FirstThenOrgansFusion(of="logits")) == "logits"
    )
    assert fused_scores(CleanedGroupsFusion()) == "probabilities"


def test_what_the_engine_cannot_run_is_refused():
    tree = document()
    tree["preprocessing"]["normalize"] = "after_resampling"
    with pytest.raises(SchemaError, match=r"^preprocessing\.normalize: must be before_resampling"):
        parse(Manifest, tree)
    tree = document()
    tree["members"][0]["tiling"]["order"]["passing_through"] = ["aortaa"]
    with pytest.raises(SchemaError, match=r"passing_through: aortaa is not among output\.channels$"):
        parse(Manifest, tree)
    for kind in ("first_then_organs", "cleaned_groups"):
        with pytest.raises(SchemaError, match=f"^fusion: {kind} needs preprocessing.orientation canonical"):
            parsed(fusion={"kind": kind})
    with pytest.raises(SchemaError, match=r"^restoration\.in_plane: must be one of linear, nearest"):
        parsed(restoration={"kind": "separate_axis", "in_plane": "cubic"})


def test_members_that_share_a_file_want_the_same_of_it():
    tree = document()
    first, second = tree["members"]
    tree["members"] = [first, {**first, "weight": 1.0}]
    assert len(parse(Manifest, tree).members) == 2
    tree["members"][1] = {**first, "precision": "fp32"}
    message = r"^members\[1\]\.precision: must be as in members\[0\], which has the same file$"
    with pytest.raises(SchemaError, match=message):
        parse(Manifest, tree)
    tree["members"][1] = {**first, "window_zyx": second["window_zyx"]}
    with pytest.raises(SchemaError, match=r"^members\[1\]\.window_zyx and axes: must be as"):
        parse(Manifest, tree)


def test_the_example_of_the_documents_is_a_manifest():
    manifest = parse(
        Manifest, json.loads((ROOT / "docs" / "manifest-example.json").read_text(encoding="utf-8"))
    )
    assert manifest.output.structures == ("liver", "spleen")
    assert manifest.members[0].tiling == Tiling()
