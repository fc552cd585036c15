"""Packing: from a network and what is stated about it to a bundle that loads."""

import logging
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from model.bundle import load_bundle
from model.manifest.document import Input, Manifest, Provenance
from model.manifest.intensity import WindowIntensity
from model.manifest.network import Localization, Member
from model.manifest.output import Output
from model.manifest.tiling import Tiling
from model.model_errors import BundleError
from model.networks.build import build
from model.onnx_export import memory, packing
from model.onnx_export.packing import NetworkToPack, pack, pack_bundle
from model.onnx_export.parity import ParityError, onnxruntime_predict, synthetic_windows
from tests.model.networks.small import SMALL
from tests.places import ROOT

WINDOW = (8, 16, 24)


@pytest.fixture(autouse=True)
def fake_memory_program(monkeypatch):
    monkeypatch.setattr(memory, "PROGRAM", (sys.executable, str(ROOT / "tests/fake_memory_program.py")))


def to_pack(spec=SMALL[1], cls=Member, file="member-1.onnx", **fields):
    torch.manual_seed(0)
    stated = cls(file=file, spacing_zyx_mm=(2.0, 1.0, 1.0), window_zyx=WINDOW)
    network = build(spec).eval()
    return NetworkToPack(
        **{"network": network, "stated": stated, "windows": synthetic_windows(WINDOW)} | fields
    )


def manifest(members, localization, files):
    intensity = WindowIntensity(lower=-250.0, upper=250.0)
    return Manifest(
        name="packed",
        inputs=(Input(name="CT", modality="CT", intensity=intensity),),
        members=members,
        localization=localization,
        output=Output(
            label_set="two", labels={"liver": 1, "spleen": 2}, channels=("background", "liver", "spleen")
        ),
        provenance=Provenance(recipe="", git_revision="", data="", licence="", intended_use=""),
        files=files,
    )


@pytest.mark.parametrize("spec", SMALL, ids=lambda spec: spec.kind)
def test_every_kind_of_network_is_packed_by_the_same_path(spec, tmp_path):
    found = pack(to_pack(spec, fp16=False, precision="fp32"), tmp_path)
    assert found.memory_mb == {"openvino-fp32": 194, "onnxruntime-fp32": 360}
    logits = onnxruntime_predict(tmp_path / found.file)(synthetic_windows(WINDOW)[1])
    assert logits.shape == (1, 3, *WINDOW)


def test_what_was_stated_stays_and_what_was_found_is_added(tmp_path, monkeypatch):
    # Random weights have no opinion, so that bf16 may change some voxels.
    monkeypatch.setattr(packing, "bf16_is_safe", lambda *_: True)
    monkeypatch.setattr(packing, "export_fp16", lambda *_: True)
    item = to_pack()
    item = replace(item, stated=replace(item.stated, weight=3.0, tiling=Tiling(overlap=0.25)))
    found = pack(item, tmp_path)
    assert (found.weight, found.tiling.overlap, found.precision) == (3.0, 0.25, "bf16")
    assert found.fp16_file == "member-1.fp16.onnx"
    assert found.memory_mb == {"openvino-bf16": 194, "onnxruntime-fp32": 360}


def test_a_precision_that_is_known_is_not_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "bf16_is_safe", lambda *_: pytest.fail("asked"))
    assert pack(to_pack(precision="bf16", fp16=False), tmp_path).precision == "bf16"


def test_bf16_that_changes_the_result_is_not_stated(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "bf16_is_safe", lambda *_: False)
    monkeypatch.setattr(packing, "export_fp16", lambda *_: False)
    found = pack(to_pack(), tmp_path)
    assert (found.precision, found.fp16_file) == ("fp32", None)


def test_only_the_window_that_looks_like_an_image_decides_on_bf16(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(packing, "bf16_is_safe", lambda _, windows: seen.extend(windows) or True)
    noise, body = synthetic_windows(WINDOW)
    pack(to_pack(fp16=False, windows=(noise, body)), tmp_path)
    assert len(seen) == 1
    assert np.array_equal(seen[0], body)


def test_the_file_has_the_networks_own_axis_order(tmp_path):
    item = to_pack(fp16=False, precision="fp32", windows=synthetic_windows((24, 16, 8)))
    item = replace(item, stated=replace(item.stated, axes="LPS"))
    pack(item, tmp_path)
    logits = onnxruntime_predict(tmp_path / "member-1.onnx")(np.zeros((1, 1, 24, 16, 8), np.float32))
    assert logits.shape == (1, 3, 24, 16, 8)


def test_a_bundle_with_localization_loads_and_each_step_is_logged(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(packing, "bf16_is_safe", lambda *_: True)
    caplog.set_level(logging.INFO, logger="model")
    region = to_pack(SMALL[0], Localization, "localization.onnx", fp16=False)
    written = pack_bundle(tmp_path / "bundle", [to_pack()], region, manifest)
    loaded = load_bundle(tmp_path / "bundle")
    assert written == loaded
    assert sorted(loaded.manifest.files) == ["localization.onnx", "member-1.fp16.onnx", "member-1.onnx"]
    assert loaded.manifest.localization.memory_mb == {"openvino-bf16": 194, "onnxruntime-fp32": 360}
    steps = ("becomes ONNX", "rounded weights", "onnxruntime with torch", "bf16", "fp16", "measuring memory")
    told = [message for message in caplog.messages if message.startswith("member-1.onnx")]
    assert all(any(step in message for message in told) for step in steps)


def test_what_the_manifest_refuses_is_found_before_anything_is_exported(tmp_path, monkeypatch):
    """There is one input, and a member with schemes for two."""
    monkeypatch.setattr(packing, "export_onnx", lambda *_, **__: pytest.fail("exported"))
    item = to_pack()
    two = (WindowIntensity(lower=-250.0, upper=250.0),) * 2
    item = replace(item, stated=replace(item.stated, intensities=two))
    with pytest.raises(BundleError, match=r"bundle: the manifest cannot be .*: members\[0\]\.intensities"):
        pack_bundle(tmp_path / "bundle", [item], None, manifest)
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_translated_leaves_nothing(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ParityError("onnxruntime and torch disagree")

    monkeypatch.setattr(packing, "export_onnx", refuse)
    with pytest.raises(ParityError):
        pack_bundle(tmp_path / "bundle", [to_pack()], None, manifest)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exact", [True, False])
def test_weights_are_kept_as_they_are_where_that_is_asked_for(exact, tmp_path):
    found = pack(to_pack(fp16=False, precision="fp32", exact=exact), tmp_path)
    stored = {weight.data_type for weight in onnx.load(tmp_path / found.file).graph.initializer}
    assert (onnx.TensorProto.FLOAT16 in stored) is not exact
