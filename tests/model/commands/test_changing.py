"""`tune`, `measure` and `labels` write a bundle's manifest anew, or leave it alone and say why."""

import json
import shutil
import sys

import pytest

from inference.call import EMBEDDED_BUNDLE
from model.__main__ import main
from model.bundle import load_bundle
from model.onnx_export import memory
from tests.inference.bundles import make_bundle
from tests.places import FAKE_MEMORY_PROGRAM


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "made").folder


def test_tiling_is_changed_in_every_member(bundle, capsys):
    words = ["--set", "tiling.overlap=0.25", "--set", 'tiling.mirror_axes=["x"]']
    assert main(["tune", str(bundle), *words, "--set", "restoration.kind=linear"]) == 0
    tiling = load_bundle(bundle).manifest.members[0].tiling
    assert (tiling.overlap, tiling.mirror_axes) == (0.25, ("x",))
    assert "tiling.overlap=0.25" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("tiling.overlap=2", "overlap: must be 0 to 0.9, is 2"),
        (
            "window.use=fitted",
            "member.onnx was made for windows of 8×16×16 voxels alone, so there is none to",
        ),
        ("window.use=fitted", "make it again for any: `import nnunet --any-window`"),
        ("tiling.magic=1", "tiling.magic: unknown field"),
        ("tiling", "must read field=value"),
        ("window_zyx=[1,1,1]", "must read field=value with a field of tiling"),
        ("tiling.overlap.more=1", "overlap has no fields"),
        ('fusion={"kind": "median"}', "fusion.kind: must be one of"),
    ],
)
def test_faulty_fields_change_nothing(override, complaint, bundle, capsys):
    before = (bundle / "manifest.json").read_bytes()
    assert main(["tune", str(bundle), "--set", override]) == 2
    assert complaint in capsys.readouterr().err
    assert (bundle / "manifest.json").read_bytes() == before


def test_memory_is_measured_in_the_ways_of_this_machine(bundle, monkeypatch, capsys):
    monkeypatch.setattr(memory, "PROGRAM", FAKE_MEMORY_PROGRAM)
    document = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    document["members"][0]["memory_mb"] = {"openvino-bf16": 77, "openvino-fp32": 9}
    (bundle / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    assert main(["measure", str(bundle)]) == 0
    found = load_bundle(bundle).manifest.members[0].memory_mb
    assert found == {"openvino-bf16": 77, "openvino-fp32": 194, "onnxruntime-fp32": 360}
    assert "openvino-fp32 194 MiB" in capsys.readouterr().out


def test_a_network_that_cannot_be_measured_changes_nothing(bundle, monkeypatch, capsys):
    monkeypatch.setattr(memory, "PROGRAM", (sys.executable, "-c", "raise SystemExit('no room')"))
    before = (bundle / "manifest.json").read_bytes()
    assert main(["measure", str(bundle)]) == 1
    assert "memory with onnxruntime could not be measured (no room)" in capsys.readouterr().err
    assert (bundle / "manifest.json").read_bytes() == before


def own_set(folder, **ids):
    path = folder / "own.json"
    labels = {name.replace("_", " "): number for name, number in ids.items()}
    path.write_text(json.dumps({"name": "own", "labels": labels}), encoding="utf-8")
    return path


def test_equal_names_are_matched_and_the_rest_is_dropped(bundle, tmp_path, capsys):
    assert main(["labels", str(bundle), "--to", str(own_set(tmp_path, Liver=7, AORTA=3))]) == 0
    output = load_bundle(bundle).manifest.output
    assert {name: output.structure_of(name) for name in output.structures} == {
        "liver": "Liver", "kidney": None, "aorta": "AORTA", "tumor": None,
    }  # fmt: skip
    assert capsys.readouterr().out.splitlines() == [
        "written as own: liver as Liver, aorta as AORTA",
        "channels dropped: kidney, tumor",
    ]


def test_a_channel_written_under_the_name_of_another_is_said_so(bundle, tmp_path, capsys):
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"liver": "liver", "aorta": "kidney"}), encoding="utf-8")
    words = ["--to", str(own_set(tmp_path, liver=1, kidney=3)), "--map", str(table)]
    assert main(["labels", str(bundle), *words]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "written as own: liver, aorta as kidney",
        "channels dropped: kidney, tumor",
    ]
    assert main(["show", str(bundle)]) == 0
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert {"written: liver, aorta as kidney", "channels dropped: kidney, tumor"} <= set(shown)


def test_a_table_by_name_and_by_id(bundle, tmp_path):
    table = tmp_path / "table.json"
    table.write_text(json.dumps({"1": "organ", "tumor": "lesion"}), encoding="utf-8")
    words = ["--to", str(own_set(tmp_path, organ=1, lesion=2)), "--map", str(table)]
    assert main(["labels", str(bundle), *words]) == 0
    output = load_bundle(bundle).manifest.output
    assert output.structure_of("liver") == "organ"
    assert output.structure_of("tumor") == "lesion"
    assert output.label_set == "own"


def test_clean_up_follows_the_labels(tmp_path):
    """The embedded bundle without tumors, and with kidneys that are not told apart."""
    copy = tmp_path / "bundle"
    shutil.copytree(EMBEDDED_BUNDLE, copy)
    assert main(["labels", str(copy), "--to", "flare22"]) == 0
    before, after = (load_bundle(path).manifest for path in (EMBEDDED_BUNDLE, copy))
    assert after.output.dropped == ("tumor",)
    kept = tuple(step for step in before.postprocessing if step.structures != ("tumor",))
    assert after.postprocessing == kept
    assert len(kept) == len(before.postprocessing) - 2

    table = tmp_path / "table.json"
    table.write_text(json.dumps({"kidney": "kidneys", "liver": "organ"}), encoding="utf-8")
    words = ["--to", str(own_set(tmp_path, kidneys=1, organ=2)), "--map", str(table)]
    assert main(["labels", str(copy), *words]) == 0
    steps = load_bundle(copy).manifest.postprocessing
    assert [step.structures for step in steps] == [("organ", "kidneys"), ("organ",), ("kidneys",)]
    assert [step.ml for step in steps[1:]] == [50, 15]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"heart": "organ"}, "the bundle has no structure heart"),
        ({"99": "organ"}, "the bundle has no structure 99"),
        ({"liver": "heart"}, "heart is neither a structure nor a left/right pair of label set own"),
        ([1], "must map structures to structures"),
        ({}, "no structure of the bundle would be written"),
    ],
)
def test_faulty_tables_change_nothing(table, complaint, bundle, tmp_path, capsys):
    before = (bundle / "manifest.json").read_bytes()
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table), encoding="utf-8")
    words = ["--to", str(own_set(tmp_path, organ=1)), "--map", str(path)]
    assert main(["labels", str(bundle), *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line
    assert "table.json" in line
    assert (bundle / "manifest.json").read_bytes() == before
